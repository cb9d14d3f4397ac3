"""``python -m lcmem`` is the command line."""

from lcmem.cli import main

main()
