"""The depth of grey values that files do not declare: one rule for a set, and for all sets of a job.

Scanners store 12 bits in files of 16; divided by 65535 they would be nearly black. Of a set whose files declare
nothing (:mod:`lcmem.pictures.depth`), the depth is the smallest of :data:`DEPTHS` that holds all but one in a thousand
values of a sample; a few odd pixels change nothing. Where a table names a depth for some files, the others of the set
have it too.

Sets that are compared have to be scaled alike: they all get the deepest of their depths (that of an atlas, or one that
a table names, stays as it is). Values may still tell that a set was scaled in another way, or that it uses less than
its files hold: 8-bit pictures of the same job, or else the deepest set, say what grey values to expect. If they do not
fit at the common depth but do at another one, that one is taken. So a 12-bit set, its copy spread over 16 bits and its
8-bit twins look the same.

The paths end in ``#bits=12`` then, so that whoever loads the files, today or from a stored atlas, scales them alike.
"""

import io
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lcmem.errors import LCMemWarning
from lcmem.pictures.depth import BELOW, FULL, declared
from lcmem.pictures.paths import FORMATS, file_stamp, is_dicom, read_bytes, split_bits, split_slice, split_zip

Source = TypeVar("Source")
DEPTHS = (8, 10, 12, 14, 16)
SAMPLE = 32
"""Pictures of a set that are looked at, evenly spread over its list."""
VALUES = 512
"""Values of a sampled picture that are looked at along its longer side, up to twice as many."""
QUANTILES = (0.25, 0.5, 0.75, 0.95, BELOW)
ALIKE = 0.02
"""Grey values of two sets fit if these quantiles differ by no more, of 1, on average."""


@dataclass(frozen=True)
class Sample:
    """What some files of a set hold.

    Attributes:
        silent: Paths of those with more than 8 bits of grey whose depth neither they nor their paths name.
        others: Paths of the others.
        deep: Quantiles of the values of the silent ones; empty without such files.
        own: The smallest depth that holds the values of the silent ones; 0 without such files.
        named: The depth that paths name most often; 0 if none does.
    """

    silent: list[str]
    others: list[str]
    deep: np.ndarray
    own: int
    named: int

    @classmethod
    def of(cls, paths: Sequence[str]) -> "Sample":
        """Look at some files; those that a job looked at before, and that did not change, are not opened again."""
        spread = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLE)).round().astype(int)
        some = tuple(paths[at] for at in spread)
        named = Counter(bits for bits in (split_bits(path)[1] for path in paths) if bits is not None)
        found = _look(some, tuple(map(file_stamp, some)))
        return replace(found, named=max(named, key=named.__getitem__)) if named else found

    @cached_property
    def grey(self) -> np.ndarray:
        """Quantiles of the grey values, in [0, 1], of 8-bit files; empty without such files."""
        return _quantiles(_pooled([_values(path, grey=True) for path in self.others])) / 255

    def at(self, bits: int) -> np.ndarray:
        """Quantiles of the silent files' grey values at a depth."""
        return np.clip(self.deep / (2**bits - 1), 0, 1)


@lru_cache(maxsize=8)
def _look(some: tuple[str, ...], stamps: tuple[str, ...]) -> Sample:
    """What files hold, whatever depth their paths name; the stamps tell that they are what they were."""
    silent = [path for path in some if says_nothing(path)]
    values = _pooled([_values(path) for path in silent])
    own = next((bits for bits in DEPTHS if np.mean(values < 2**bits) >= BELOW), 16) if len(values) else 0
    return Sample(silent, [path for path in some if path not in silent], _quantiles(values), own, 0)


def _pooled(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


def _quantiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, QUANTILES) if len(values) else np.empty(0)


def with_bits(paths: list[str]) -> tuple[list[str], int | None]:
    """Paths of one set, with ``#bits=12`` behind those that need it, and the depth where it was guessed.

    Warns:
        LCMemWarning: A depth below 16 was found for files that declare none.
    """
    found = Sample.of(paths)
    if not found.silent or not len(found.deep):
        return paths, None
    bits = found.named or _fitting(found, found.own, found.grey)
    if bits < 16 and not found.named:
        warnings.warn(
            f"{found.silent[0]}: a 16-bit file that does not say how many bits it uses; like all such files of this "
            f"set it is taken for {bits} bits, because {BELOW:.1%} of the values of {len(found.silent)} of them are "
            f"below {2**found.own}; another depth is named behind the paths of a table, as "
            f"{os.path.basename(split_slice(found.silent[0])[0])}#bits=16",
            LCMemWarning,
            stacklevel=3,
        )
    return _spelt(paths, bits), None if found.named else bits


def same_depth(sets: Mapping[str, Source]) -> dict[str, Source]:
    """Manifests of one job, scaled alike; see the top of this page. Atlases stay as they are.

    Args:
        sets: Each by its name.

    Warns:
        LCMemWarning: A set is scaled otherwise than alone.
    """
    bare = {name: _bare(source) for name, source in sets.items()}
    samples = {name: Sample.of(paths) for name, paths in bare.items()}
    chosen = _depths(samples, [name for name in sets if _is_free(sets[name])]) if len(sets) > 1 else {}
    return {name: _scaled(name, source, bare[name], chosen) for name, source in sets.items()}


def alike(paths: list[str], source: Any = None) -> list[str]:
    """Paths of single pictures, scaled like a manifest or an atlas, or alike if there is none."""
    if source is None:
        return with_bits(paths)[0]
    mine = Sample.of(paths)
    if not mine.own:  # of a million pictures not even the paths need be read then
        return paths
    samples = {"pictures": mine, "set": Sample.of(list(source.paths))}
    return _spelt(paths, _depths(samples, ["pictures"]).get("pictures", 16))


def _depths(samples: Mapping[str, Sample], free: list[str]) -> dict[str, int]:
    """The depth of each of the free sets that need one; the others have theirs."""
    needy = [name for name in free if samples[name].own]
    fixed = [sample.named or (16 if sample.silent else 0) for name, sample in samples.items() if name not in free]
    common = max([samples[name].own for name in needy] + fixed, default=16)
    expected = _expected(samples, common) if needy else np.empty(0)
    return {name: _fitting(samples[name], common, expected) for name in needy}


def _is_free(source: Any) -> bool:
    """Whether nothing but our own guess rules the depth: not in an atlas, nor where a table names it."""
    return hasattr(source, "guessed") and (source.guessed is not None or not any(map(_named, source.paths)))


def _named(path: str) -> bool:
    return split_bits(path)[1] is not None


def _bare(source: Any) -> list[str]:
    """Paths without a guessed depth."""
    paths = list(source.paths)
    return [split_bits(path)[0] for path in paths] if getattr(source, "guessed", None) is not None else paths


def _expected(samples: Mapping[str, Sample], common: int) -> np.ndarray:
    """Quantiles of grey values as 8-bit pictures have them, or else the deepest set."""
    eight = [sample.grey for sample in samples.values() if len(sample.grey)]
    if eight:
        return np.mean(eight, axis=0)
    return max(samples.values(), key=lambda sample: sample.own).at(common)


def _fitting(sample: Sample, common: int, expected: np.ndarray) -> int:
    """The common depth unless grey values fit at another one only, and its values fit into that."""
    if len(expected):
        for bits in (common, *(depth for depth in DEPTHS if depth >= sample.own)):
            if np.abs(sample.at(bits) - expected).mean() <= ALIKE:
                return bits
    return common


def _scaled(name: str, source: Any, paths: list[str], chosen: Mapping[str, int]) -> Any:
    if name not in chosen:
        return source
    bits, alone = chosen[name], source.guessed or 16
    if bits != alone:
        warnings.warn(
            f"{name}: its 16-bit files, which do not say how many bits they use, are read as {bits} bits and not as "
            f"{alone}, so that they compare with the other pictures; another depth is named behind the paths of a "
            "table, as a.png#bits=16",
            LCMemWarning,
            stacklevel=3,
        )
    return replace(source, table=source.table.assign(path=_spelt(paths, bits)), guessed=bits)


def _spelt(paths: list[str], bits: int) -> list[str]:
    return paths if bits == 16 else [f"{path}#bits={bits}" if says_nothing(path) else path for path in paths]


def says_nothing(path: str) -> bool:
    """Whether a file has more than 8 bits of grey, and neither it nor its path says how many."""
    try:
        file, bits = split_slice(path)[0], split_bits(path)[1]
        if bits is not None:
            return False
        inside = split_zip(file)[0] is not None
        if not inside and not os.path.isfile(file):
            return False
        with io.BytesIO(read_bytes(file)) if inside else open(file, "rb") as stream:
            head = stream.read(FULL)
            if is_dicom(head):  # some are TIFF files as well, by what stands before the letters DICM
                return False
            with Image.open(stream, formats=("PNG", "TIFF")) as picture:
                said = declared(picture, head)
                return picture.mode.startswith("I") and said.white is None and said.significant is None
    except Exception:  # Pillow and zipfile raise many kinds on damaged files, which are named when they are loaded
        return False


def _values(path: str, *, grey: bool = False) -> np.ndarray:
    """Every second, third, … value of a file in both directions, so that a sample fits into memory; none if damaged.

    With ``grey``, those of an 8-bit picture, 0 to 255; none of any other.
    """
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=FORMATS) as picture:
            if grey and picture.mode not in ("L", "RGB"):
                return np.empty(0, np.int32)
            step = 1 + max(picture.size) // VALUES
            return np.asarray(picture.convert("L") if grey else picture)[::step, ::step].astype(np.int32).ravel()
    except Exception:  # Pillow raises many kinds on damaged files, which are named when they are loaded
        return np.empty(0, np.int32)
