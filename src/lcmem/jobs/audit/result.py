"""What an audit found, and how it is kept."""

import json
import os
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.files import finite, write_json, write_table, write_text
from lcmem.jobs.audit.folder import PAIRED, read_parts
from lcmem.jobs.audit.risk import Risk
from lcmem.matching.matches import first_matches
from lcmem.matching.strangers import STRANGERS
from lcmem.matching.verdicts import CLOSE, COPY
from lcmem.report.verdict import judge
from lcmem.shown import as_html, as_text
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import Difference, Rate

COPY_RULES = {
    "edited copies": "A file of equal content; or a picture and one of its five best matches, or any pair with a "
    "{score} of at least {level:.2f}, whose thumbnails agree; or, however it is turned, a picture and the real one "
    "that looks most like it, if theirs do. That level lies below all JPEG-75 and half-size copies that were made of "
    "the real set's own pictures.",
    "edited copies, unseen": "A file of equal content, or a pair with a {score} of at least {level:.2f}, which half of "
    "JPEG-75 and half-size copies of the real set's own pictures reach. Seen small, all pictures of this set look the "
    "same, so no look could tell.",
    "edited copies of other pictures": "A file of equal content, or a pair with a {score} of at least {level:.2f}. The "
    "real pictures cannot be opened, so that is what half of JPEG-75 and half-size copies of the other sets reach.",
    "equal pictures": "Only equal pictures: none can be opened to see what copies reach.",
}
"""What counts as a copy, by where the level comes from."""


SETS = ("real", "synthetic", "holdout")


@dataclass(frozen=True)
class AuditResult:
    """Which synthetic pictures show a real identity or copy a real picture, how often, and how sure that is.

    Attributes:
        matches: For each synthetic picture its best real ones: ``synthetic, real, identity, dataset, logit,
            probability, rank, p_value, q_value, grade, match, verdict, found_by`` (identity and dataset: of the real
            one; rank from 1, copies first; verdict: ``copy``, ``same identity`` or ``no match``; match: one of the
            first two; found_by: what decided it). Of
            a detector without a head ``logit`` is its similarity and ``probability`` is empty. Of the synthetic
            picture, the same in all of its rows, are ``p_value`` (how probable so high a best score is for a picture of
            an unseen identity), ``q_value`` (the smallest false discovery rate at which the picture is found) and
            ``grade`` (its first verdict, or ``close``).
        calibration: The threshold of the verdict ``same identity`` and where it comes from.
        memorization: Share of synthetic pictures with a match (paper, equation 4, over the whole real set).
        copies: Share of synthetic pictures that are copies.
        holdout: Share of holdout pictures that match; None without a holdout.
        excess: Memorization less holdout.
        twins: Pictures that cannot count as chance matches, since they are the same: ``kind, path, identity, other,
            other_identity``.
        skipped: ``set, path, reason`` of each picture that could not be used.
        scores: Best logits of every set: ``synthetic``, ``holdout`` and ``chance`` (real pictures against other
            identities), where there are such.
        about: Model, encoder, counts, what copies reach, notes, speed, the command.
        evidence: Where in the strongest pairs the evidence lies, as of :func:`lcmem.jobs.explain.explain_matches`.
        risk: Who is at risk, see :class:`lcmem.jobs.audit.risk.Risk`; None of a result that was put together by hand.
        strangers: Real pictures of two identities that are most alike, which set the threshold: ``path, identity,
            other, other_identity, logit, threshold_without`` (what the threshold were without these two identities, of
            the first pair of each dataset). A pair of one person hides matches: correct its identity.
    """

    matches: pd.DataFrame
    calibration: Calibration
    memorization: Rate
    copies: Rate
    holdout: Rate | None
    excess: Difference | None
    twins: pd.DataFrame
    skipped: pd.DataFrame
    scores: dict[str, np.ndarray]
    about: dict[str, Any] = field(default_factory=dict)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    risk: Risk | None = None
    strangers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=STRANGERS))

    def to_frame(self) -> pd.DataFrame:
        """One row for each synthetic picture: its best match and the verdict on it."""
        best = first_matches(self.matches).drop(columns="rank")
        return best.rename(columns={"synthetic": "path"}).reset_index(drop=True)

    def _rows(self) -> list[tuple[str, str]]:
        rates = {"memorized": self.memorization, "of these copies": self.copies, "holdout": self.holdout}
        rows = [
            (name, f"{rate.percent}, {rate.count} of {rate.total}") for name, rate in rates.items() if rate is not None
        ]
        if self.excess is not None:
            rows.append(("excess", self.excess.percent))
        return rows

    def __repr__(self) -> str:
        return as_text(f"AuditResult, model {self.about.get('model')}", self._rows())

    def _repr_html_(self) -> str:
        return as_html(f"Memorization audit, model {self.about.get('model')}", self._rows())

    @property
    def copy_rule(self) -> str:
        """What counts as a copy, in a sentence."""
        score, level = self.about.get("score", "logit"), self.about.get("copy_threshold_logit", inf)
        return COPY_RULES[self.about.get("copy_method", "equal pictures")].format(score=score, level=level)

    @property
    def rejected(self) -> pd.DataFrame:
        """Synthetic pictures that match a real one, copies first, then strongest first."""
        frame = self.to_frame()
        frame = frame[frame["match"]].drop(columns="match")
        return frame.iloc[np.lexsort((-frame["logit"], frame["verdict"] != COPY))]

    @property
    def kept(self) -> pd.DataFrame:
        """Synthetic pictures without a match."""
        frame = self.to_frame()
        return frame[~frame["match"]].drop(columns="match")

    @property
    def _counted(self) -> dict[str, Any]:
        """The numbers that follow from the other attributes than ``about``."""
        calibration = self.calibration
        logits = self.about.get("score", "logit") == "logit"
        numbers: dict[str, Any] = {
            "n_synthetic": self.memorization.total,
            "n_holdout": self.holdout.total if self.holdout else 0,
            "n_memorized": self.memorization.count,
            "n_copies": self.copies.count,
            "n_same_identity": self.memorization.count - self.copies.count,
            "n_holdout_matches": self.holdout.count if self.holdout else 0,
            "n_close": int((first_matches(self.matches)["grade"] == CLOSE).sum()),
            "n_twins": len(self.twins),
            "same_identity": calibration.logit < inf or calibration.given,
            "threshold": calibration.probability if logits else None,
            "threshold_logit": finite(calibration.logit),
            "threshold_method": calibration.method,
            "threshold_explanation": calibration.explanation,
            "false_positive_rate": calibration.rate,
            "false_positive_rate_bound": calibration.bound,
        }
        rates = {"memorization_rate": self.memorization, "copy_rate": self.copies, "holdout_rate": self.holdout}
        for name, value in (rates | {"excess": self.excess}).items():
            numbers |= value.columns(name) if value else dict.fromkeys((name, f"{name}_low", f"{name}_high"))
        numbers["excess_p_value"] = self.excess.p_value if self.excess else None
        numbers["n_synthetic_independent"] = self.memorization.effective
        numbers["n_copies_independent"] = self.copies.effective
        numbers["n_holdout_independent"] = self.holdout.effective if self.holdout else 0
        numbers["skipped"] = len(self.skipped)
        for name in SETS:
            numbers[f"n_{name}_skipped"] = self.left_out(name)
        return numbers

    def left_out(self, name: str) -> int:
        """How many pictures of a set (one of :data:`SETS`) could not be used."""
        return int((self.skipped["set"] == name).sum()) if len(self.skipped) else 0

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        numbers = self._counted | self.about
        verdict = judge(numbers)
        return {"verdict": verdict.level, "verdict_sentence": verdict.sentence} | numbers

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``summary.json``, ``audit-card.json``, ``evidence.json``, ``matches.parquet`` and ``.csv``,
        ``kept.csv``, ``rejected.csv``, ``twins.csv``, ``strangers.csv``, ``skipped.csv``, ``scores.parquet``, the
        tables ``risk-*.csv`` and the report ``index.html``.

        Returns:
            The report's path.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        # what says that the folder is whole goes first and comes last: the tables of two runs are never read together
        for name in ("summary.json", *PAIRED):
            (target / name).unlink(missing_ok=True)
        for name in ("matches", "kept", "rejected", "twins", "strangers", "skipped"):
            write_table(getattr(self, name), target / f"{name}.csv")
        scores = [pd.DataFrame({"set": name, "logit": values}) for name, values in self.scores.items()]
        for name, table in (("matches", self.matches), ("scores", pd.concat(scores, ignore_index=True))):
            write_table(table, target / f"{name}.parquet")
        if self.risk is not None:
            self.risk.save(target)
        write_text(json.dumps(self.evidence), target / "evidence.json")
        report = self.write_report(target)
        write_json(self.summary, target / "summary.json")
        return report

    def write_report(self, folder: Path) -> Path:
        """Write ``index.html`` and ``audit-card.json``, with the rate that the marks in ``marks.csv`` make of it.

        Returns:
            The report's path.

        Raises:
            LCMemError: ``marks.csv`` is damaged.
        """
        from lcmem.jobs.audit.marks import read_review
        from lcmem.report import audit_card, render

        found = read_review(folder, self)
        write_json(audit_card(self, found), folder / "audit-card.json")
        write_text(render(self, found), folder / "index.html")
        return folder / "index.html"

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, listed: bool = True) -> "AuditResult":
        """Read what :meth:`save` wrote.

        Args:
            folder: The audit's.
            listed: Whether to read all matches of each picture; the best ones are enough for the report and a review.

        Raises:
            LCMemError: A file is missing or damaged.
        """
        found = cls(**read_parts(Path(folder), listed))
        derived = {"verdict", "verdict_sentence", *found._counted}
        return replace(found, about={name: value for name, value in found.about.items() if name not in derived})
