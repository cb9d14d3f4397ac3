"""Which pictures, whose, which split: a folder, a zip file, a CSV or a Parquet file becomes a Manifest."""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, Union

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.files import common_folder, write_table
from lcmem.pictures.hints import doubtful_folders, few_people, hashed_numbers, same_numbers
from lcmem.pictures.listing import SPLITS, ignored_text
from lcmem.pictures.medical import expanded
from lcmem.pictures.paths import split_zip
from lcmem.pictures.set_depth import with_bits
from lcmem.pictures.sources import listed, matched, without_ids
from lcmem.pictures.splits import hash_share, hash_splits
from lcmem.pictures.tables import once


def known_numbers(identities: pd.Series) -> np.ndarray:
    """A number for each identity ``[N]``, int64, from 0; −1 where it is "": unknown."""
    return pd.factorize(identities.where(identities != ""))[0].astype(np.int64)


ManifestLike: TypeAlias = Union[str, os.PathLike[str], "Manifest"]


@dataclass(frozen=True)
class Manifest:
    """A table of pictures.

    Attributes:
        table: One row for each picture, with the columns ``path`` (absolute, ``archive.zip/member``,
            ``file#slice=57`` or ``file#bits=12``, as :func:`~lcmem.pictures.image.load_picture` takes it),
            ``identity`` ("" where it is not known: the picture then stands for itself), ``split`` ("" or train, val,
            test) and ``dataset`` ("" or a name), all strings, and any further columns of the file it was read from.
        ignored: How many files that are not pictures lay beside them, by suffix.
        source: Absolute path of the folder or file that all of them were read from; "" if there is none.
        guessed: Depth in bits that was found for files that declare none (see :mod:`lcmem.pictures.set_depth`), None
            if there are no such files.
        doubt: What is doubtful about the identities, as it was warned of; "" if nothing is.
        numbers: Of hashed identities that are numbers with leading zeros or .0 the hash without these.
    """

    table: pd.DataFrame
    ignored: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    guessed: int | None = None
    doubt: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        repeated = self.table["path"][self.table["path"].duplicated()]
        if len(repeated):
            raise LCMemError(f"{len(repeated)} pictures are listed more than once, for example {repeated.iloc[0]}")

    @classmethod
    def of(cls, paths: Iterable[str]) -> "Manifest":
        """Pictures of which nothing but the paths is known, each of them once."""
        return cls(pd.DataFrame({"path": list(paths), "identity": "", "split": "", "dataset": ""}))

    @classmethod
    def read(
        cls,
        source: ManifestLike,
        *,
        identity_pattern: str | None = None,
        identity_column: str = "identity",
        identity_tag: str | None = None,
        identities: bool = True,
        show_ids: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> "Manifest":
        """Read a folder (recursively), a zip file of pictures, or a CSV or Parquet file with a column ``path``.

        Pictures are known by their first bytes, whatever their suffix. All frames of a DICOM file and all slices of a
        NIfTI volume are listed, unless a table names some of them (``volume.nii.gz#slice=57``); one such file may also
        be given alone.

        In a folder, the identity of a picture is the name of the sub-folder that it lies in (unless that is a split
        such as ``train``, or the only sub-folder); pictures that lie directly in the folder stand for themselves.

        Args:
            source: The folder or file. Relative paths in a table are relative to the table's folder; where
                ``<dataset>.zip`` lies beside the table, they may be members of it. A Manifest is returned as it is.
            identity_pattern: A regular expression, searched in the path below the folder, zip file or table's folder
                (``/a/1.png``); its first group (or whole match) is the identity.
            identity_column: The column of the table that names the identity.
            identity_tag: Keyword of the DICOM element that names the identity, such as ``PatientID``.
            identities: False ignores every identity: each picture stands for itself.
            show_ids: Whether the identities of medical pictures (DICOM, NIfTI, more than 8 bits of grey) are kept as
                they are; by default they are replaced by hashes, see :func:`lcmem.pictures.medical.pseudonyms`.
            root: What a table's relative paths are relative to; None is its folder.

        Raises:
            LCMemError: Nothing there, no picture in it, a missing column, a pattern or a tag that fits no picture, or
                options that exclude each other.

        Warns:
            LCMemWarning: Identities that are hardly people, or pictures that are listed more than once.
        """
        if isinstance(source, Manifest):
            return source
        path, base = Path(source), None if root is None else Path(root)
        if base is not None and not base.is_dir():
            raise LCMemError(f"{base}: no such folder for the paths of a table to start at; correct --root")
        if not identities and (identity_pattern or identity_tag):
            raise LCMemError("an option that names identities does not go with --no-identities; leave one out")
        listing, table = listed(path, identity_column, base)
        if table.empty:
            others = ignored_text(listing.ignored) or "no files at all"
            raise LCMemError(f"{path}: no pictures found ({others})")
        doubtful = identities and identity_pattern is None and identity_tag is None
        if identity_pattern is not None:
            within = base or (path if listing.pictures or path.is_dir() else path.parent)
            table["identity"] = matched(table["path"], within, identity_pattern)
        if not identities:
            table["identity"] = ""
        own = doubtful and bool(listing.pictures)
        table, medical, headers = expanded(table, identity_tag, identities=identities, folders=own)
        table["path"], guessed = with_bits(list(table["path"]))
        table = once(table, path)  # some may have been spelt with their depth and without
        twice, numbers = same_numbers(table), dict[str, str]()  # hashes do not show it
        if not show_ids and (medical or guessed is not None or table["path"].str.contains(r"#bits=\d+$").any()):
            numbers = hashed_numbers(table["identity"])
            table = without_ids(table, identity_column)
        folders, few = doubtful_folders(listing.pictures) if doubtful else "", few_people(table) if identities else ""
        doubt = "; ".join(filter(None, (headers, folders or few, twice)))
        if doubt:
            warnings.warn(f"{path}: {doubt}", LCMemWarning, stacklevel=2)
        return cls(table, listing.ignored, os.path.abspath(path), guessed, doubt, numbers)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def paths(self) -> list[str]:
        """The pictures' paths, in order."""
        return list(self.table["path"])

    @property
    def identities(self) -> list[str]:
        """One identity for each picture; a picture without one is its own identity."""
        own = "\0" + self.table["path"]  # no identity of a table can hold a NUL, so the two never meet
        return list(self.table["identity"].where(self.table["identity"] != "", own))

    @property
    def identity_numbers(self) -> np.ndarray:
        """A number for each picture's identity ``[N]``, int64, from 0; a picture without one has a number alone."""
        return pd.factorize(pd.Series(self.identities, dtype=object))[0].astype(np.int64)

    @property
    def known_numbers(self) -> np.ndarray:
        """As :func:`known_numbers`, of the pictures' identities ``[N]``."""
        return known_numbers(self.table["identity"])

    @property
    def known_identities(self) -> int:
        """How many identities are known."""
        return int(self.table["identity"][self.table["identity"] != ""].nunique())

    @property
    def labelled(self) -> bool:
        """Whether at least one identity is known."""
        return bool((self.table["identity"] != "").any())

    @property
    def counts(self) -> str:
        """Pictures and identities, of each split where there are any: ``train 46 pictures of 23 identities, …``."""
        if (self.table["split"] == "").all():
            return _counted(self.table)
        parts = dict(tuple(self.table.groupby("split")))
        order = [name for name in (*SPLITS, *sorted(parts.keys() - {*SPLITS})) if name in parts]
        return ", ".join(f"{name or 'no split'} {_counted(parts[name])}" for name in order)

    def below(self, text: str) -> str:
        """A text, such as why a picture cannot be used, with paths below the set's root instead of whole ones."""
        return text.replace(f"{self._root}{os.sep}", "") if self._root.strip(os.sep) else text

    @cached_property
    def _root(self) -> str:
        if self.source and (os.path.isdir(self.source) or split_zip(f"{self.source}/")[0]):
            return self.source
        return common_folder({os.path.dirname(path) for path in self.table["path"]})

    def select(self, *, split: str | None = None, dataset: str | None = None) -> "Manifest":
        """The pictures of one split, one dataset, or both; None takes any.

        Raises:
            LCMemError: Nothing is left.
        """
        keep = pd.Series(True, index=self.table.index)
        for column, value in (("split", split), ("dataset", dataset)):
            if value is not None:
                keep &= self.table[column] == value
        if not keep.any():
            wanted = ", ".join(f"{name}={value!r}" for name, value in (("split", split), ("dataset", dataset)) if value)
            found = sorted(set(self.table["split"] if split else self.table["dataset"]))
            way = "; lcmem manifest --split divides them" if found == [""] and dataset is None else ""
            raise LCMemError(f"no pictures with {wanted} in the manifest (found: {', '.join(map(repr, found))}){way}")
        return Manifest(self.table[keep].reset_index(drop=True), numbers=self.numbers)

    def rows(self, keep: Iterable[int]) -> "Manifest":
        """The pictures at these positions, in this order."""
        return Manifest(self.table.iloc[list(keep)].reset_index(drop=True), numbers=self.numbers)

    def with_splits(self) -> "Manifest":
        """Divide the identities 80/10/10 by :func:`lcmem.pictures.splits.hash_split`: the same on every machine.

        Pictures of nobody known are divided by their content, so that neither the folder's place nor a file's name
        matters, and copies stay together.

        More pictures change nobody's split, except in a small set, where the identities that are nearest to it are
        taken so that val and test have two each.

        Raises:
            LCMemError: Too few identities to leave three for train.
        """
        identities = self._lots()
        order = sorted(identities.unique(), key=hash_share)
        if len(order) < 7:
            raise LCMemError(f"{len(order)} identities are too few to divide into train, val and test (at least 7)")
        splits = hash_splits(pd.Series(order))
        ends = [max(2, int((splits == "test").sum()))]
        ends.append(max(ends[0] + 2, int((splits != "train").sum())))
        split = {name: "test" if k < ends[0] else "val" if k < ends[1] else "train" for k, name in enumerate(order)}
        return Manifest(self.table.assign(split=identities.map(split).to_numpy()), numbers=self.numbers)

    def _lots(self) -> pd.Series:
        """What is divided: the identity, or the content of a picture without one (its name if it cannot be read)."""
        from lcmem.pictures.content import content_table  # brings PyTorch, which lists need not wait for

        lots = self.table["identity"].reset_index(drop=True)
        bare = lots == ""
        contents = content_table(list(self.table["path"][bare.to_numpy()]), {})
        names = contents["path"].str.rsplit("/", n=1).str[-1]
        own = contents["sha256"].where(contents["sha256"] != "", names)
        lots[bare] = ("\0" + own).to_numpy()  # no identity of a table can hold a NUL, so the two never meet
        return lots

    def check_disjoint(self) -> None:
        """Identities must not be shared between splits.

        Raises:
            LCMemError: An identity is in two splits: a model trained on one would be tested on people it has seen.
        """
        known = self.table[(self.table["identity"] != "") & (self.table["split"] != "")]
        splits = known.groupby("identity")["split"].nunique()
        shared = splits[splits > 1]
        if len(shared):
            raise LCMemError(
                f"identities in more than one split: {len(shared)}, for example {shared.index[0]!r}; give "
                "each identity one split, or leave the column out to have them divided"
            )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Save as CSV or Parquet, by the file's suffix."""
        write_table(self.table, Path(path))


def _counted(table: pd.DataFrame) -> str:
    people = table["identity"][table["identity"] != ""].nunique()
    of = f" of {people} {'identity' if people == 1 else 'identities'}" if people else ""
    return f"{len(table)} picture{'' if len(table) == 1 else 's'}{of}"
