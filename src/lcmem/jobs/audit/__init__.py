"""``lcmem audit``: everything between two sets of pictures and what is said of them."""
