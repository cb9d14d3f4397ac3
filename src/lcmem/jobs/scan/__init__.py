"""``lcmem scan``: all pairs of two sets, as tables."""
