"""What an audit found, and how it is kept."""

import json
import os
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import write_json, write_table, write_text
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import Difference, Rate, excess, wilson


@dataclass(frozen=True)
class AuditResult:
    """Which synthetic pictures show a real identity or copy a real picture, how often, and how sure that is.

    Attributes:
        matches: For each synthetic picture its best real ones: ``synthetic, real, identity, logit, probability, rank,
            match`` (rank from 1, match: at or above the threshold). Of a detector without a head ``logit`` is its
            similarity and ``probability`` is empty.
        calibration: The threshold and where it comes from.
        memorization: Share of synthetic pictures with a match (paper, equation 4, over the whole real set).
        holdout: The same share of holdout pictures; None without a holdout.
        excess: Their difference.
        skipped: ``set, path, reason`` of each picture that could not be used.
        scores: Best logits of every set: ``synthetic``, ``holdout`` and ``chance`` (real pictures against other
            identities), where there are such.
        about: Model, encoder, counts, speed, the command.
    """

    matches: pd.DataFrame
    calibration: Calibration
    memorization: Rate
    holdout: Rate | None
    excess: Difference | None
    skipped: pd.DataFrame
    scores: dict[str, np.ndarray]
    about: dict[str, Any] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """One row for each synthetic picture: its best match and whether it is one."""
        best = self.matches[self.matches["rank"] == 1].drop(columns="rank")
        return best.rename(columns={"synthetic": "path"}).reset_index(drop=True)

    @property
    def rejected(self) -> pd.DataFrame:
        """Synthetic pictures that match a real one, strongest first."""
        frame = self.to_frame()
        return frame[frame["match"]].sort_values("logit", ascending=False, kind="stable").drop(columns="match")

    @property
    def kept(self) -> pd.DataFrame:
        """Synthetic pictures without a match."""
        frame = self.to_frame()
        return frame[~frame["match"]].drop(columns="match")

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        logits = self.about.get("score", "logit") == "logit"
        numbers: dict[str, Any] = {
            "n_synthetic": self.memorization.total,
            "n_real": self.about.get("n_real"),
            "n_holdout": self.holdout.total if self.holdout else 0,
            "n_memorized": self.memorization.count,
            "n_holdout_matches": self.holdout.count if self.holdout else 0,
            "threshold": self.calibration.probability if logits else None,
            "threshold_logit": self.calibration.logit if isfinite(self.calibration.logit) else None,
            "threshold_method": self.calibration.method,
            "threshold_explanation": self.calibration.explanation,
            "false_positive_rate": self.calibration.rate,
            "memorization_rate": self.memorization.value,
            "memorization_rate_low": self.memorization.low,
            "memorization_rate_high": self.memorization.high,
        }
        for name, value in (("holdout_rate", self.holdout), ("excess", self.excess)):
            numbers[name] = value.value if value else None
            numbers[f"{name}_low"] = value.low if value else None
            numbers[f"{name}_high"] = value.high if value else None
        return numbers | {"skipped": len(self.skipped)} | self.about

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``summary.json``, ``matches.parquet`` and ``.csv``, ``kept.csv``, ``rejected.csv``, ``skipped.csv``,
        ``scores.parquet`` and the report ``index.html``.

        Returns:
            The report's path.
        """
        from lcmem.report import render

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        tables = {"matches": self.matches, "kept": self.kept, "rejected": self.rejected, "skipped": self.skipped}
        for name, table in tables.items():
            write_table(table, target / f"{name}.csv")
        scores = [pd.DataFrame({"set": name, "logit": values}) for name, values in self.scores.items()]
        for name, table in (("matches", self.matches), ("scores", pd.concat(scores, ignore_index=True))):
            write_table(table, target / f"{name}.parquet")
        write_json(self.summary, target / "summary.json")
        write_text(render(self), target / "index.html")
        return target / "index.html"

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "AuditResult":
        """Read what :meth:`save` wrote.

        Raises:
            LCMemError: A file is missing or damaged.
        """
        source = Path(folder)
        try:
            numbers = json.loads((source / "summary.json").read_text(encoding="utf-8"))
            matches, scores = (pd.read_parquet(source / f"{name}.parquet") for name in ("matches", "scores"))
            skipped = pd.read_csv(source / "skipped.csv", dtype=str, keep_default_na=False)
            memorization = wilson(numbers["n_memorized"], numbers["n_synthetic"])
            holdout = wilson(numbers["n_holdout_matches"], numbers["n_holdout"]) if numbers["n_holdout"] else None
            calibration = _calibration(numbers)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
            raise LCMemError(
                f"{source}: not the folder of an audit, or damaged ({error}); run the audit again"
            ) from error
        return cls(
            matches=matches,
            calibration=calibration,
            memorization=memorization,
            holdout=holdout,
            excess=excess(memorization, holdout) if holdout else None,
            skipped=skipped,
            scores={str(name): rows["logit"].to_numpy() for name, rows in scores.groupby("set", sort=False)},
            about={key: numbers[key] for key in numbers if key == "n_real" or key not in _DERIVED},
        )


_DERIVED = (
    "n_synthetic", "n_holdout", "n_memorized", "n_holdout_matches", "threshold", "threshold_logit", "threshold_method",
    "threshold_explanation", "false_positive_rate", "memorization_rate", "memorization_rate_low",
    "memorization_rate_high", "holdout_rate", "holdout_rate_low", "holdout_rate_high", "excess", "excess_low",
    "excess_high", "skipped",
)  # fmt: skip
"""Numbers of a summary that follow from the other attributes of a result."""


def _calibration(numbers: dict[str, Any]) -> Calibration:
    level = numbers["threshold_logit"]
    if level is None:  # JSON has no infinity
        level = inf if numbers["threshold"] else -inf
    return Calibration(
        level, numbers["false_positive_rate"], numbers["threshold_method"], numbers["threshold_explanation"]
    )
