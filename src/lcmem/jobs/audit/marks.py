"""What a reviewer says of the pairs of an audit: ``marks.csv`` in its folder, and the rate corrected by it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import read_table, write_table
from lcmem.matching.verdicts import COPY, NO_MATCH, SAME_IDENTITY
from lcmem.report.pairs import PATHS, pair_table
from lcmem.stats.rates import Rate
from lcmem.stats.review import Reviewed, corrected_rate

if TYPE_CHECKING:
    from lcmem.jobs.audit.result import AuditResult

FILE = "marks.csv"
CONFIRMED, FALSE_ALARM, UNSURE = MARKS = ("confirmed", "false alarm", "unsure")
COLUMNS = ["synthetic", "real", "verdict", "mark"]


@dataclass(frozen=True)
class Review:
    """Marks and what follows from them.

    Attributes:
        marks: By the name of the synthetic picture, as the report shows it.
        counts: Of each mark among the matches.
        missed: Pictures that do not match and were confirmed nevertheless.
        undecided: Matches that are neither confirmed nor called false alarms.
        unknown: Marks of pictures that are not in the audit any more.
        rate: The memorization rate, corrected as :func:`lcmem.stats.review.corrected_rate` says.
    """

    marks: dict[str, str]
    counts: dict[str, int]
    missed: int
    undecided: int
    unknown: int
    rate: Rate

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        return {
            "confirmed": self.counts[CONFIRMED],
            "false_alarms": self.counts[FALSE_ALARM],
            "unsure": self.counts[UNSURE],
            "undecided": self.undecided,
            "missed": self.missed,
            "unknown": self.unknown,
            "corrected_rate": {"value": self.rate.value, "low": self.rate.low, "high": self.rate.high},
        }

    @property
    def sentence(self) -> str:
        """The same for people."""
        found = f"{self.counts[CONFIRMED]} confirmed, {self.counts[FALSE_ALARM]} false alarms, {self.undecided} open"
        missed = f"; {self.missed} that the detector missed" if self.missed else ""
        rate = f"{self.rate.value:.1%} (95 % interval {self.rate.low:.1%} to {self.rate.high:.1%})"
        others = f" {self.unknown} marks are of pictures that this audit does not have." if self.unknown else ""
        return f"Review of the matches: {found}{missed}. Corrected memorization rate: {rate}.{others}"


def read_review(folder: Path, result: "AuditResult") -> Review | None:
    """The review that lies in the folder of an audit; None if there is none, or none of its pictures.

    Raises:
        LCMemError: The file is damaged, or holds a mark that is none.
    """
    if not (folder / FILE).is_file():
        return None
    pairs = pair_table(result)
    found = review(pairs, result.memorization, kept_marks(folder, pairs))
    return found if found.marks or not found.unknown else None


def read_marks(source: Path) -> dict[str, str]:
    """Marks by the name of the synthetic picture.

    Raises:
        LCMemError: The file is missing or damaged, or holds a mark that is none.
    """
    table = read_table(source, ("synthetic", "mark"))
    marks = table["mark"].astype(str).str.strip().str.lower()
    for row, mark in enumerate(marks, 2):
        if mark not in MARKS:
            raise LCMemError(
                f"{source}, line {row}: {mark!r} is no mark; there are: {', '.join(MARKS)}. Correct the line, or move "
                "the file away"
            )
    return dict(zip(table["synthetic"], marks, strict=True))


def kept_marks(folder: Path, pairs: pd.DataFrame) -> dict[str, str]:
    """The marks in the folder of an audit, by the names that the report shows; the file may have paths, as other tables
    do.

    Args:
        folder: Of the audit; one without marks has none.
        pairs: As of :func:`lcmem.report.pairs.pair_table`.

    Raises:
        LCMemError: As of :func:`read_marks`.
    """
    marks = read_marks(folder / FILE) if (folder / FILE).is_file() else {}
    some = pairs[pairs[PATHS[0]].isin(marks)]
    shown = dict(zip(some[PATHS[0]], some["synthetic"], strict=True))
    return {shown.get(name, name): mark for name, mark in marks.items()}


def write_marks(marks: dict[str, str], pairs: pd.DataFrame, target: Path) -> None:
    """Write marks as the report exports them; those of pictures that are not among the pairs are kept at the end.

    Args:
        marks: By the name of the synthetic picture.
        pairs: As of :func:`lcmem.report.pairs.pair_table`.
        target: The file.
    """
    marked = pairs.loc[pairs["synthetic"].isin(marks), COLUMNS[:3]]
    others = pd.DataFrame({"synthetic": [name for name in marks if name not in set(marked["synthetic"])]})
    table = pd.concat([marked, others], ignore_index=True).fillna("")
    write_table(table.assign(mark=table["synthetic"].map(marks)), target)


def review(pairs: pd.DataFrame, rate: Rate, marks: dict[str, str]) -> Review:
    """What marks make of an audit.

    Args:
        pairs: As of :func:`lcmem.report.pairs.pair_table`.
        rate: Of memorization.
        marks: By the name of the synthetic picture.
    """
    names = set(pairs["synthetic"])
    known = {name: mark for name, mark in marks.items() if name in names}
    # equal pictures have one name in a private audit: a mark is of both
    said = Counter(zip(pairs["verdict"], pairs["synthetic"].map(marks), strict=True))
    matches = pairs["verdict"].value_counts()
    kinds = [
        Reviewed(int(matches.get(verdict, 0)), said[verdict, CONFIRMED], said[verdict, FALSE_ALARM])
        for verdict in (COPY, SAME_IDENTITY)
    ]
    missed = said[NO_MATCH, CONFIRMED]
    return Review(
        marks=known,
        counts={mark: sum(said[verdict, mark] for verdict in (COPY, SAME_IDENTITY)) for mark in MARKS},
        missed=missed,
        undecided=sum(kind.matches - kind.confirmed - kind.refuted for kind in kinds),
        unknown=len(marks) - len(known),
        rate=corrected_rate(rate, kinds, missed),
    )
