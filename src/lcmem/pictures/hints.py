"""Whether identities are those of people: what looks wrong about them, and the option that would fit."""

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from lcmem.pictures.listing import Found, match_identities, split_level, split_of
from lcmem.pictures.medical import PSEUDONYM, pseudonym
from lcmem.pictures.tables import COLUMNS, as_text

if TYPE_CHECKING:
    from lcmem.pictures.manifest import Manifest

FEW, MANY = 10, 100
"""So few identities with so many pictures each are rather kinds of pictures, such as ``benign`` and ``malignant``."""
NAMES = (r"(\d+)_", r"(\d+)-", r"([A-Za-z]+\d+)[_-]", r"/([^/]+)[_-]\d+\.[^/]*$")
"""How file names begin that name a person: ``00000506_013.png``, ``patient7-2.png``, ``Aaron_Eckhart_0001.jpg``."""
FITTING = 0.95
"""Share of the file names that such a pattern has to fit."""
BATCH, MORE = 20, 3
"""Folders of so many pictures each, whose file names name so many times more people, are rather batches than people."""
PERSON = ("patient", "subject", "person", "participant", "individual", "celeb", "mrn", "pid", "lesion", "case")
"""What columns are called that name people, the likeliest first."""
SURE = PERSON[:5]
"""Those that name people even if each has one picture; a case may be a picture."""


NUMBER = r"0*([0-9]+)(?:\.0+)?"
"""A whole number as tables have it."""


class Proposal(NamedTuple):
    """An option that may fit better.

    Attributes:
        option: As it is typed.
        identities: How many it would give.
        pictures: How many pictures would have one.
    """

    option: str
    identities: int
    pictures: int

    def __str__(self) -> str:
        return f"{self.option} would give {self.identities} identities for {self.pictures} pictures"


def doubtful_folders(found: list[Found]) -> str:
    """What is doubtful about taking the innermost folder for the identity, with the pattern that would fit; or "".

    File names that name many more people than there are folders speak for batches (``images_001/00000506_013.png``).
    Folders inside folders are studies of a patient as often as patients of a group, and the same innermost names under
    several folders (``patient1/images``, ``patient2/images``) can't be people at all.
    """
    level = split_level([folders for _, folders in found])
    doubt = _batches(found, level) or (_mixed_splits(found) if level is None else "")
    if doubt:
        return doubt
    inner = [_without(folders, split_of(folders, level)[0]) for _, folders in found]
    parents: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for folders in inner:
        if len(folders) > 1:
            parents[folders[-1]].add(folders[:-1])
    above = set[tuple[str, ...]]().union(*parents.values())
    if len(above) < 2:
        return ""
    proposal = _propose_folder([folders for _, folders in found], inner, level)
    shared = max(parents, key=lambda name: (len(parents[name]), name))
    if len(parents[shared]) > 1:
        return (
            f"the innermost folders do not name people: {shared!r} lies in {len(parents[shared])} different folders; "
            f"{proposal or 'name the identities with --identity-pattern'}"
        )
    if len(above) == len(parents):
        return ""
    otherwise = f"if those around them are: {proposal}" if proposal else "else name them with --identity-pattern"
    return f"the innermost folders ({len(parents)}) are taken for people; {otherwise}"


def _batches(found: list[Found], level: int | None) -> str:
    """Whether file names name many more people than folders do, each of them in one folder; or ""."""
    inner = [_without(folders, split_of(folders, level)[0]) for _, folders in found]
    sizes = Counter(folders for folders in inner if folders)
    if len(sizes) < 2 or median(sizes.values()) < BATCH:
        return ""
    proposal = propose_pattern([path for path, _ in found])
    if proposal is None or proposal.identities < MORE * len(sizes):
        return ""
    places: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    pattern = shlex.split(proposal.option)[1]
    for name, folders in zip(match_identities([path for path, _ in found], pattern), inner, strict=True):
        places[name].add(folders)
    if sum(len(each) > 1 for each in places.values()) > (1 - FITTING) * len(places):
        return ""
    return f"the folders ({len(sizes)}) hold {int(median(sizes.values()))} pictures each, as batches do; {proposal}"


def _mixed_splits(found: list[Found]) -> str:
    """Whether the innermost folder of some pictures is taken for a split though those beside it are none; or ""."""
    inner = [folders for _, folders in found if split_of(folders, None)[0] == len(folders) - 1 and folders]
    for at in sorted({len(folders) - 1 for folders in inner}):
        taken = {folders[at] for folders in inner if len(folders) == at + 1}
        others = {folders[at] for _, folders in found if len(folders) > at} - taken
        if others:
            proposal = _counted("^/" + "[^/]+/" * at + "([^/]+)/", ["/" + "/".join((*each, "")) for _, each in found])
            return (
                f"{min(taken)!r} is taken for the pictures of a split, but {min(others)!r} lies beside it: if both are "
                f"people, {proposal}"
            )
    return ""


def _without(folders: tuple[str, ...], at: int | None) -> tuple[str, ...]:
    return folders if at is None else folders[:at] + folders[at + 1 :]


def _propose_folder(folders: list[tuple[str, ...]], inner: list[tuple[str, ...]], level: int | None) -> Proposal | None:
    """The innermost folders but one whose names are each found in one place only."""
    depth = Counter(map(len, inner)).most_common(1)[0][0]
    whole = Counter(len(outer) for outer, kept in zip(folders, inner, strict=True) if len(kept) == depth)
    extra = whole.most_common(1)[0][0] - depth
    for at in range(depth - 2, -1, -1):
        places = {kept[: at + 1] for kept in inner if len(kept) > at + 1}
        if len(places) > 1 and len({place[-1] for place in places}) == len(places):
            skipped = at + (extra if level is None or level <= at else 0)
            pattern = "^/" + "[^/]+/" * skipped + "([^/]+)/"
            return _counted(pattern, ["/" + "/".join((*outer, "")) for outer in folders])
    return None


def _counted(pattern: str, paths: list[str]) -> Proposal:
    names = [name for name in match_identities(paths, pattern) if name]
    return Proposal(f"--identity-pattern '{pattern}'", len(set(names)), len(names))


def few_people(table: pd.DataFrame) -> str:
    """Whether few identities have very many pictures each, as classes have; or ""."""
    named = table[table["identity"] != ""]
    counts = named["identity"].value_counts()
    if not 0 < len(counts) <= FEW or counts.median() < MANY:
        return ""
    proposal = propose_pattern(named["path"])
    examples = ", ".join(map(repr, counts.index[:3]))
    number = "1 identity" if len(counts) == 1 else f"{len(counts)} identities"
    return (
        f"only {number} ({examples}, …) with {int(counts.median())} pictures each: if these are kinds of pictures and "
        f"not people, {proposal or '--no-identities'}"
    )


def plain_number(identity: str) -> str:
    """An identity without what spreadsheets drop or add: ``7`` of ``007`` and ``7.0``; others as they are."""
    found = re.fullmatch(NUMBER, identity)
    return found[1] if found else identity


def hashed_numbers(identities: pd.Series) -> dict[str, str]:
    """Hashes of identities, to the hash of the same number as :func:`plain_number` writes it, where that is another."""
    plain = {name: plain_number(name) for name in identities.unique() if name}
    return {pseudonym(name): pseudonym(number) for name, number in plain.items() if number != name}


def called_alike(real: "Manifest", others: "Manifest") -> tuple[int, int]:
    """How many identities of the other pictures are called like real ones; hashed or not, and how many exactly so.

    The first number also counts those that differ by leading zeros or ``.0`` only.
    """
    sets = [(each.numbers, set(each.table["identity"]) - {""}) for each in (real, others)]
    hashed = any(PSEUDONYM.fullmatch(name) for _, names in sets for name in names)
    exact = [{pseudonym(name) if hashed else name for name in names} for _, names in sets]
    plain = [[numbers.get(name) or plain_number(name) for name in names] for numbers, names in sets]
    known, asked = ([pseudonym(name) if hashed else name for name in names] for names in plain)
    return int(np.isin(asked, known).sum()), len(exact[0] & exact[1])


def same_numbers(table: pd.DataFrame) -> str:
    """Whether identities are one number that is written in two ways, as spreadsheets leave it; or ""."""
    names = pd.Series(table["identity"][table["identity"] != ""].unique())
    numbers = names[names.str.fullmatch(NUMBER).astype(bool)]
    twice = int(numbers.map(plain_number).duplicated().sum())
    if not twice:
        return ""
    return (
        f"{twice} identities are the same number as another one and written otherwise, with leading zeros or .0: if "
        "they are the same people, write them alike"
    )


def propose_pattern(paths: Iterable[str]) -> Proposal | None:
    """A pattern for file names that begin with what may be a person, such as a patient's number."""
    names = [path.replace(os.sep, "/").rpartition("/")[2] for path in paths]
    nested = len({path.rpartition("/")[0] for path in paths}) > 1
    for pattern in NAMES:
        found = [re.search(pattern, "/" + name) for name in names]
        people = [match[1] for match in found if match is not None]
        count = len(set(people))
        few = count <= FEW and len(people) >= MANY * count
        if len(people) >= FITTING * len(names) and 1 < count < len(people) and not few:
            pattern = pattern if pattern[0] == "/" or not nested else f"{pattern}[^/]*$"  # no folder is meant
            return Proposal(f"--identity-pattern '{pattern}'", count, len(people))
    return None


def names_people(column: str) -> bool:
    """Whether a column is called as if it said who somebody is: ``patient``, ``Subject_ID``, ``PatientName``."""
    who = f"(?:{'|'.join(PERSON)})s?"
    return bool(re.fullmatch(rf"(?i)name|(?:{who})?[ _-]?(?:{who}|id|name|number|no|nr|key|code|uid)", column))


def propose_column(table: pd.DataFrame) -> Proposal | None:
    """A further column of a table that is called as if it named people."""
    for word in PERSON:
        for column in table.columns:
            if word in str(column).lower() and column not in COLUMNS:
                names = as_text(table[column]).str.strip()
                known = names[names != ""]
                if known.nunique() > 1 and (word in SURE or known.nunique() < len(known)):
                    return Proposal(f"--identity-column {shlex.quote(str(column))}", known.nunique(), len(known))
    return None


def identity_advice(manifest: "Manifest") -> str:
    """How many identities are known; and if none is, the option that would find some."""
    known = manifest.table["identity"][manifest.table["identity"] != ""]
    if len(known):
        without = len(manifest) - len(known)
        rest = f"; {without} pictures have none and stand for themselves" if without else ""
        hashed = ", shown as hashes (--show-ids)" if known.map(PSEUDONYM.fullmatch).any() else ""
        return f"{known.nunique()} identities for {len(known)} pictures{hashed}{rest}"
    unknown = "identities unknown: each picture stands for itself"
    if "--identity-" in manifest.doubt:  # which is printed as well
        return unknown
    proposal = propose_column(manifest.table) or propose_pattern(manifest.paths)
    return f"{unknown}. {proposal or 'Sub-folders, --identity-column or --identity-pattern name them'}"
