"""``lcmem experiment``: generators trained on known pictures, and what is found of them."""
