"""The work behind each command, in the file or folder of its name, and :mod:`lcmem.jobs.output`, which all share."""
