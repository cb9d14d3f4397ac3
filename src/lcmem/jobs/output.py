"""Where a command may write: one rule for all of them, applied before anything is read."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lcmem.errors import LCMemError
from lcmem.files import read_json, write_json
from lcmem.locks import alone_in
from lcmem.store.card import is_store

MARK = "made-by.json"
"""In a folder of results: the commands that wrote there, each with its inputs."""
HIDDEN = "scrypt:"
"""How an input begins there of which only a hash is written."""
FILES = {".csv", ".tsv", ".parquet", ".json", ".html", ".txt", ".png", ".jpg", ".zip"}
"""Suffixes of what is meant to be a file."""


def check_output(out: str | os.PathLike[str], command: str, inputs: Mapping[str, Any]) -> None:
    """Refuse a folder for the results of a command unless it is new, empty, or of the same command and inputs.

    Args:
        out: The folder; nothing is written yet.
        command: Such as ``audit`` or ``benchmark reid``; those with the same first word may share a folder.
        inputs: Each input by its name: a path, an atlas, a manifest, pictures, or None where it was not given.

    Raises:
        LCMemError: It is a file, lies in an input, or holds something else.
    """
    target, given = outside_inputs(out, inputs), _described(inputs)
    made = _made(target)
    kind = command.split()[0]
    if _results(target) and not any(name.split()[0] == kind for name in made):
        holds = f"the results of lcmem {next(iter(made))}" if made else "other files"
        raise LCMemError(f"{target}: holds {holds}; choose another folder for those of lcmem {command}, with --out")
    known = made.get(command, given)
    if known != given and known != _hidden(given):
        changed = [name for name in {**known, **given} if known.get(name) != given.get(name)]
        before = ", ".join(f"{name} {known[name]}" if name in known else f"no {name}" for name in changed)
        raise LCMemError(
            f"{target}: holds the results of lcmem {command} of other pictures ({before}); choose another folder "
            "with --out, or delete this one"
        )


@contextmanager
def claim_output(
    out: str | os.PathLike[str], command: str, inputs: Mapping[str, Any], *, hidden: bool = False
) -> Iterator[Path]:
    """Have a folder for the results of a command to oneself until the block ends; see :func:`check_output`.

    Args:
        out: The folder; it is made, with a note of who writes there.
        command: As of :func:`check_output`.
        inputs: As of :func:`check_output`.
        hidden: Whether the note holds hashes in place of the inputs; the same inputs are still known by them.

    Raises:
        LCMemError: The folder may not be used, or another process is at work there.
    """
    check_output(out, command, inputs)
    target, given = Path(out), _described(inputs)
    _make(target)
    with alone_in(target):
        check_output(out, command, inputs)  # another command may have begun meanwhile
        write_json(_made(target) | {command: _hidden(given) if hidden else given}, target / MARK)
        yield target


@contextmanager
def claim_store(out: str | os.PathLike[str], kind: str, inputs: Mapping[str, Any]) -> Iterator[Path]:
    """Have a folder for a store (an atlas, latents) to oneself until the block ends.

    Args:
        out: The folder, which is made: a new or an empty one, or one that is to be added to.
        kind: Of the store, as of :data:`lcmem.store.card.KINDS`.
        inputs: As of :func:`check_output`.

    Raises:
        LCMemError: It is a file, lies in an input, or holds something else; or another process is at work there.
    """
    target = outside_inputs(out, inputs)
    if _held(target) and not is_store(target, kind):
        raise LCMemError(f"{target}: holds other files; choose another folder with --out")
    _make(target)
    with alone_in(target):
        yield target


def claim_file(
    out: str | os.PathLike[str],
    inputs: Mapping[str, Any],
    suffixes: tuple[str, ...] = (".csv", ".parquet"),
    option: str = "--out",
) -> Path:
    """Have a place for a file, by default a table, and the folder that it is to lie in.

    Args:
        out: The file to write.
        inputs: As of :func:`check_output`.
        suffixes: Those that it may have.
        option: What the user names it with.

    Raises:
        LCMemError: It is a folder or one of the inputs, or has another suffix.
    """
    target = Path(out)
    if target.is_dir() or target.suffix.lower() not in suffixes:
        raise LCMemError(f"{target}: name a {' or '.join(suffixes)} file with {option}")
    for name, source in _paths(inputs):
        if target.resolve() == source:
            raise LCMemError(f"{target}: is the input {name}, which would be lost; choose another file with {option}")
    _check_parents(target)
    _make(target.parent, option)
    return target


def outside_inputs(out: str | os.PathLike[str], inputs: Mapping[str, Any]) -> Path:
    """A folder that results may lie in as far as its place is concerned.

    Raises:
        LCMemError: It is a file, or looks like one, or lies in one of the inputs.
    """
    target = Path(out)
    if target.is_file() or (target.suffix.lower() in FILES and not target.is_dir()):
        raise LCMemError(f"{target}: a file, but a folder is needed for the results; name one with --out")
    _check_parents(target)
    for name, source in _paths(inputs):
        if target.resolve().is_relative_to(source):
            raise LCMemError(
                f"{target}: lies in the input {name} ({source}), so results would end up among its pictures; choose "
                "another folder with --out"
            )
    return target


def input_name(source: Any) -> str:
    """An input in a word: its absolute path, or a hash of what is only in memory."""
    place = getattr(source, "folder", None) or getattr(source, "source", None) or source
    if isinstance(place, str | os.PathLike):
        return os.path.abspath(place)
    paths = getattr(source, "paths", None)
    if paths is not None:
        return f"{len(paths)} pictures, {hashlib.sha256(chr(0).join(paths).encode()).hexdigest()[:16]}"
    return f"{len(source)} pictures"


def _make(folder: Path, option: str = "--out") -> None:
    """Have a folder that can be written to; that it cannot is said before the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LCMemError(f"{folder}: cannot be made ({error.strerror}); choose another place with {option}") from error
    if not os.access(folder, os.W_OK):
        raise LCMemError(f"{folder}: nothing can be written there; choose another place with {option}")


def _made(target: Path) -> dict[str, dict[str, str]]:
    """The inputs of each command that wrote there."""
    return read_json(target / MARK) if _results(target) and (target / MARK).is_file() else {}


def _results(target: Path) -> list[str]:
    """What lies in a folder of results, but for the features, and a benchmark's cache, that a command left that failed:
    any may use them."""
    ours = {"features": target / "features" / "features.json", "cache": target / MARK}
    return [name for name in _held(target) if name not in ours or not ours[name].is_file()]


def _held(target: Path) -> list[str]:
    """What lies in a folder, but for the note of a command that wrote nothing else, and hidden files."""
    names = [path.name for path in target.iterdir()] if target.is_dir() else []
    return [name for name in names if name != MARK and not name.startswith(".")]


def _paths(inputs: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Name and real path of each input that has one."""
    return [(name, Path(place).resolve()) for name, place in _described(inputs).items() if os.path.isabs(place)]


def _described(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {name: input_name(source) for name, source in inputs.items() if source is not None}


def _hidden(given: Mapping[str, str]) -> dict[str, str]:
    """Slow hashes, since paths can be tried out: a tenth of a second for each."""
    return {
        name: HIDDEN + hashlib.scrypt(place.encode(), salt=name.encode(), n=2**15, r=8, p=1, maxmem=2**26).hex()
        for name, place in given.items()
    }


def _check_parents(target: Path) -> None:
    for parent in target.absolute().parents:
        if parent.is_file():
            raise LCMemError(f"{target}: {parent} is a file; choose another place with --out")
