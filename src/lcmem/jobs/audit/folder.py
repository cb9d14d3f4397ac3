"""The folder of an audit, read again: what :meth:`lcmem.jobs.audit.result.AuditResult.save` wrote of its parts."""

import json
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.jobs.audit.risk import Risk
from lcmem.matching.matches import first_matches
from lcmem.matching.strangers import STRANGERS
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import excess, proportion

PAIRED = ("paired.csv", "paired.json", "paired-skipped.csv")
"""What lies in the folder of an audit with ``--paired``."""


def read_parts(folder: Path, listed: bool) -> dict[str, Any]:
    """The attributes of a result, by name; ``about`` has all numbers of its summary.

    Args:
        folder: The audit's.
        listed: Whether to read all matches of each picture, or only the best ones.

    Raises:
        LCMemError: A file is missing or damaged.
    """
    try:
        numbers, evidence = (
            json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("summary", "evidence")
        )
        matches = pd.read_parquet(folder / "matches.parquet", filters=None if listed else [("rank", "==", 1)])
        scores = pd.read_parquet(folder / "scores.parquet")
        names = dict.fromkeys(STRANGERS[:-2], str) | dict.fromkeys(("kind", "set", "reason"), str)
        empty = {"threshold_without": [""]}
        twins, skipped, strangers = (
            pd.read_csv(folder / f"{name}.csv", dtype=names, keep_default_na=False, na_values=empty)
            for name in ("twins", "skipped", "strangers")
        )
        if missing := {"grade", "dataset", "found_by"} - set(matches):
            raise KeyError(f"no {min(missing)} in matches.parquet")
        best = first_matches(matches)["match"]
        if (len(best), int(best.sum())) != (numbers["n_synthetic"], numbers["n_memorized"]):
            raise ValueError("matches.parquet is not that of summary.json")
        total, independent = numbers["n_synthetic"], numbers["n_synthetic_independent"]
        memorization = proportion(numbers["n_memorized"], total, independent)
        held = (numbers["n_holdout_matches"], numbers["n_holdout"], numbers["n_holdout_independent"])
        holdout = proportion(*held) if numbers["n_holdout"] else None
        copies = proportion(numbers["n_copies"], total, numbers["n_copies_independent"])
        calibration = _calibration(numbers)
        risk = Risk.load(folder) if (folder / "risk-identities.csv").is_file() else None
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are ValueErrors
        raise LCMemError(f"{folder}: not the folder of an audit, or damaged ({error}); run the audit again") from error
    return dict(
        matches=matches,
        calibration=calibration,
        memorization=memorization,
        copies=copies,
        holdout=holdout,
        excess=excess(memorization, holdout) if holdout else None,
        twins=twins,
        strangers=strangers,
        skipped=skipped,
        scores={str(name): rows["logit"].to_numpy() for name, rows in scores.groupby("set", sort=False)},
        about=numbers,
        evidence=evidence,
        risk=risk,
    )


def _calibration(numbers: dict[str, Any]) -> Calibration:
    level = numbers["threshold_logit"]
    if level is None:  # JSON has no infinity
        level = -inf if numbers["same_identity"] and not numbers["threshold"] else inf
    return Calibration(
        level,
        numbers["false_positive_rate"],
        numbers["false_positive_rate_bound"],
        numbers["threshold_method"],
        numbers["threshold_explanation"],
        {row["dataset"]: _finite(row["threshold_logit"]) for row in numbers.get("by_dataset", []) if row["identities"]},
    )


def _finite(level: float | None) -> float:
    """A threshold as JSON has it, which knows no infinity."""
    return inf if level is None else level
