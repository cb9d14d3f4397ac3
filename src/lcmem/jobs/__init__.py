"""The work behind each command, in the file of its name."""
