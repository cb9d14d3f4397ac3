"""What can go wrong because of what was given, as opposed to a defect of the program."""


class LCMemError(Exception):
    """Bad input. The message names the file or the value and the way out; the command line prints only it."""


class PictureError(LCMemError):
    """A file that cannot be used as a picture. Long jobs skip it and list it."""


class CheckpointError(LCMemError):
    """A checkpoint that is missing, truncated, altered or of another kind."""
