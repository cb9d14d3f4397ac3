"""``lcmem review``: an audit's pairs in the browser."""
