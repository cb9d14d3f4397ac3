"""What a data set looks like on disk: its description, its tables and where its pictures lie."""

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.listing import refuse_unlisted
from lcmem.pictures.manifest import Manifest

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class DatasetInfo:
    """A known data set.

    Attributes:
        name: What ``--layout`` takes; also in the manifest's column ``dataset``.
        reader: Folder to manifest.
        expects: What has to lie in the folder.
        identity: What an identity is.
        splits: Where the splits come from.
        terms: Of use, in short; also in the manifest's column ``terms``.
        url: Where to get it.
    """

    name: str
    reader: Callable[[Path], Manifest]
    expects: str
    identity: str
    splits: str
    terms: str
    url: str


def find_table(root: Path, *patterns: str) -> Path | None:
    """The first file in the folder, or in one of its sub-folders, that fits the first pattern that any file fits."""
    for pattern in patterns:
        for found in (sorted(root.glob(pattern)), sorted(root.glob(f"*/{pattern}"))):
            if found:
                return found[0]
    return None


def require_table(root: Path, info: DatasetInfo, *patterns: str) -> Path:
    """As :func:`find_table`, but something has to be there.

    Raises:
        LCMemError: Nothing is; the message says what was expected and what was found.
    """
    found = find_table(root, *patterns)
    if found is None:
        raise wrong_layout(root, info, f"no {' or '.join(patterns)}")
    return found


def wrong_layout(root: Path, info: DatasetInfo, missing: str) -> LCMemError:
    """The error to raise for a folder that is not laid out as it should be."""
    if not root.is_dir():
        return LCMemError(f"{root}: no such folder")
    entries = sorted(os.listdir(root))
    found = ", ".join(entries[:8]) + (f", … ({len(entries)} entries)" if len(entries) > 8 else "")
    return LCMemError(f"{root}: {missing}. The layout {info.name} expects {info.expects}; found {found or 'nothing'}")


def index_pictures(root: Path, suffixes: tuple[str, ...] = PICTURES, *, within: str = "") -> pd.Series:
    """Where every picture below a folder is, those inside zip files included.

    One walk, because asking the file system for each of 400,000 listed files takes much longer.

    Args:
        root: The folder.
        suffixes: Those to look for; of two pictures with the same name, the one with the earlier suffix counts, and an
            extracted one before one in a zip file.
        within: Regular expression that has to be found in the path below the root.

    Returns:
        Absolute path by file name without suffix.
    """
    inside = re.compile(within)
    rank = {suffix: number for number, suffix in enumerate(suffixes)}
    rows = []
    for relative, zipped in _walk(root):
        file = PurePosixPath(relative)
        if file.suffix.lower() in rank and inside.search(relative) and not file.name.startswith("."):
            rows.append((file.stem, rank[file.suffix.lower()], zipped, relative))
    table = pd.DataFrame(rows, columns=["stem", "rank", "zipped", "relative"])
    table = table.sort_values(["rank", "zipped", "relative"]).drop_duplicates("stem")
    return pd.Series(
        (f"{root.absolute().as_posix()}/" + table["relative"]).to_numpy(), index=table["stem"].astype(str), dtype=str
    )


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    """Every file below the root as a relative path, and whether it is inside a zip file."""
    for folder, _, files in os.walk(root, onerror=partial(refuse_unlisted, root=root)):
        inner = Path(folder).relative_to(root).as_posix() + "/" if folder != str(root) else ""
        for name in files:
            yield inner + name, False
            if name.endswith(".zip"):
                yield from ((f"{inner}{name}/{member}", True) for member in _members(Path(folder, name)))


def _members(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.namelist()
    except zipfile.BadZipFile as error:
        raise LCMemError(f"{archive}: damaged, or not downloaded completely ({error})") from error
