"""What can go wrong because of what was given, as opposed to a defect of the program."""

from collections.abc import Iterator
from contextlib import contextmanager


class LCMemError(Exception):
    """Bad input. The message names the file or the value and the way out; the command line prints only it."""

    def __str__(self) -> str:
        """In one line, also where it cites a library's several."""
        return " ".join(line.strip() for line in super().__str__().splitlines())


class PictureError(LCMemError):
    """A file that cannot be used as a picture. Long jobs skip it and list it."""


class LowInformationError(PictureError):
    """A picture that shows nothing by which anybody or anything could be recognised, such as a blank page."""


class CheckpointError(LCMemError):
    """A checkpoint that is missing, truncated, altered or of another kind."""


class LCMemWarning(UserWarning):
    """Something about what was given that a person should know; the command line prints it as a line."""


def first_line(error: Exception) -> str:
    """What a library's error says, or its kind if it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def extra(name: str, purpose: str, kind: type[LCMemError] = LCMemError) -> Iterator[None]:
    """For imports that need more packages.

    Args:
        name: The extra that brings them: ``lcmem[name]``.
        purpose: What needs which package; the message begins like that.
        kind: Raised where one is missing.
    """
    try:
        yield
    except ImportError as error:
        raise kind(f"{purpose}: pip install 'lcmem[{name}]' ({error})") from error
