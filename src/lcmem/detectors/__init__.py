"""Everything that scores a pair of pictures."""
