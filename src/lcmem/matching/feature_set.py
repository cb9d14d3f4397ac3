"""Features of a set of pictures, and what is known of each of them."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest
from lcmem.scan.chunked import ChunkedRows


@dataclass(frozen=True)
class FeatureSet:
    """Features of the pictures of a manifest that could be read.

    Attributes:
        manifest: These pictures.
        blocks: Features ``[N, D]`` float32, in the manifest's order; those of a store lie on the disk.
        skipped: Path and reason, with paths below the set's root, for each picture that could not be read.
        encoded: How many were encoded in this run; the others were stored already.
        seconds: What this run spent on encoding.
        known_keys: Content hashes, where they are known already.
        closed: ``[N]`` booleans: which files are gone, or no longer what their features were made of; None if none is.
        doubt: What is doubtful about the features, as it was warned of; "" if nothing is.
        told_apart: How many kinds of pictures its datasets are that no column told apart
            (:mod:`lcmem.matching.kinds`); 0 where datasets are those of the table.
    """

    manifest: Manifest
    blocks: ChunkedRows
    skipped: list[tuple[str, str]]
    encoded: int
    seconds: float
    known_keys: list[str] | None = None
    closed: np.ndarray | None = None
    doubt: str = ""
    told_apart: int = 0

    @cached_property
    def keys(self) -> list[str]:
        """``[N]`` content hashes, as of :func:`lcmem.pictures.content.content_table`.

        A picture that has gone since has one of its own, so that it equals no other.
        """
        if self.known_keys is not None:
            return self.known_keys
        hashes = content_table(self.manifest.paths, {})["sha256"]
        return [key or f"gone: {path}" for key, path in zip(hashes, self.manifest.paths, strict=True)]

    @cached_property
    def fingerprint(self) -> str:
        """One hash (hexadecimal sha256) of all contents: the same pictures have it, whatever their names."""
        return hashlib.sha256("\n".join(sorted(self.keys)).encode()).hexdigest()

    @cached_property
    def ranks(self) -> np.ndarray:
        """Place of each picture in an order by content, ``[N]``."""
        return np.argsort(np.argsort(np.array(self.keys, dtype=object), kind="stable"))

    @cached_property
    def kinds(self) -> np.ndarray:
        """Name of the dataset of each picture, ``[N]`` strings."""
        return self.manifest.table["dataset"].to_numpy(dtype=object)

    @cached_property
    def bare(self) -> np.ndarray:
        """Which pictures are of a dataset without any identity, where other datasets have some, ``[N]`` booleans."""
        named = self.manifest.table["identity"] != ""
        found: np.ndarray = (~named.groupby(self.kinds).transform("any") & named.any()).to_numpy()
        return found

    def paths_of(self, rows: np.ndarray) -> list[str]:
        """Paths of the pictures at these positions ``[n]``."""
        return list(self.manifest.table["path"].iloc[rows])

    def openable(self, rows: np.ndarray) -> np.ndarray:
        """Which of these positions ``[n]`` have files that show what their features were made of, ``[n]`` booleans."""
        return np.ones(len(rows), dtype=bool) if self.closed is None else ~self.closed[rows]

    def check_usable(self, name: str) -> None:
        """Refuse a set without a usable picture; ``name`` says which it is.

        Raises:
            LCMemError: None of its pictures can be used.
        """
        if not len(self.manifest):
            if not self.skipped:
                raise LCMemError(f"there are no {name} pictures")
            count, reason = len(self.skipped), self.skipped[0][1]
            raise LCMemError(f"none of the {count} {name} pictures can be used: {reason}")

    def remark_skipped(self, name: str) -> None:
        """Say what of a set is missing, where no file lists it; ``name`` says which it is.

        Warns:
            LCMemWarning: Some of its pictures cannot be used.
        """
        if self.skipped and len(self.manifest):
            left, example = len(self.skipped), self.skipped[0][1]
            of = f"{left} of {left + len(self.manifest)} {name} pictures cannot be used"
            warnings.warn(f"{of} (see lcmem check), for example {example}", LCMemWarning, stacklevel=3)

    @property
    def features(self) -> Tensor:
        """``[N, D]`` in memory."""
        values = self.blocks[:]
        return torch.from_numpy(values if values.flags.writeable else values.copy())


def skipped_table(sets: Mapping[str, FeatureSet]) -> pd.DataFrame:
    """``set, path, reason`` of each picture of some sets that could not be used."""
    rows = [(name, *item) for name, found in sets.items() for item in found.skipped]
    return pd.DataFrame(rows, columns=["set", "path", "reason"])
