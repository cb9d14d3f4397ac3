"""What an audit says of each dataset of a real set that mixes several kinds of pictures."""

from typing import Any

import numpy as np
import pandas as pd

from lcmem.files import finite
from lcmem.matching.control import Control
from lcmem.matching.features import FeatureSet
from lcmem.matching.verdicts import COPY
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance


def by_dataset(
    matches: pd.DataFrame, kinds: np.ndarray, calibration: Calibration, chance: Chance | None, sure: float
) -> list[dict[str, Any]]:
    """Of each dataset that has a threshold of its own, or shares it with other small ones: JSON-ready rows.

    Args:
        matches: As of :class:`lcmem.jobs.audit_result.AuditResult`.
        kinds: Of each synthetic picture, the dataset of the real one that it has the highest score with, ``[Q]``.
        calibration: The thresholds.
        chance: The chance matches that they come from.
        sure: Score from which a pair is a copy without a look at the pictures.

    Returns:
        ``dataset, threshold_logit`` (None: by no score), ``identities`` (that chance matches were measured on; None for
        a dataset of which none are known, where the highest threshold counts), ``false_positive_rate,
        false_positive_rate_bound`` (by their score), ``synthetic`` (pictures of this dataset), ``match`` (how many of
        these do, with whatever picture) and ``copies``.
    """
    if chance is None or not calibration.levels:
        return []
    first = matches[matches["rank"] == 1]
    matched, copied = first["match"].to_numpy(), (first["verdict"] == COPY).to_numpy()
    rate = Chance.share if calibration.method == "given" else Chance.expected
    rows = []
    for kind in sorted({*calibration.levels, *kinds}):
        part, mine = chance.parts.get(kind), kinds == kind
        level = calibration.levels.get(kind, calibration.highest)
        rows.append(
            {
                "dataset": kind,
                "threshold_logit": finite(level),
                "identities": part.identities if part else None,
                "false_positive_rate": rate(part, min(level, sure)) if part else None,
                "false_positive_rate_bound": part.bound(min(level, sure)) if part else None,
                "synthetic": int(mine.sum()),
                "match": int(matched[mine].sum()),
                "copies": int(copied[mine].sum()),
            }
        )
    return rows


def dataset_notes(
    rows: list[dict[str, Any]], real: FeatureSet, control: Control | None, chance: Chance | None, few: int
) -> list[str]:
    """What to know of datasets of which little is known; without names, for private audits as well.

    Args:
        rows: As of :func:`by_dataset`.
        real: The real set.
        control: The holdout.
        chance: The chance matches that thresholds come from.
        few: Identities that a rate should rest on at least.
    """
    notes = []
    if real.bare.any():
        count, bare = int(real.bare.sum()), len(set(real.kinds[real.bare]))
        notes.append(
            f"{count} real pictures are of {_datasets(bare)} without identities, so each counts as a person of its "
            "own. Several pictures of one person raise the threshold there and hide matches: name identities, or take "
            "one picture of each."
        )
    small = [row for row in rows if row["identities"] and row["identities"] < few and row["synthetic"]]
    if small:
        share = sum(row["synthetic"] * row["false_positive_rate"] for row in small)
        notes.append(
            f"{_datasets(len(small))} with {sum(row['synthetic'] for row in small)} of the synthetic pictures rest on "
            f"fewer than {few} identities: {share:.1f} of the matches that are expected by chance at most are there."
        )
    unknown = [row for row in rows if not row["identities"] and row["synthetic"]]
    if unknown:
        notes.append(
            f"No chance matches are known of {_datasets(len(unknown))} with {sum(row['synthetic'] for row in unknown)} "
            "of the synthetic pictures: the highest threshold counts there, and what is stated may not hold."
        )
    if control is not None and chance is not None and rows:
        seen = {kind for kinds, _ in chance.distinct() if {*kinds} & {*control.kinds} for kind in kinds}
        missed = [row for row in rows if row["dataset"] not in seen and row["match"]]
        if missed:
            notes.append(
                f"The holdout has no pictures like those of {_datasets(len(missed))}, where "
                f"{sum(row['match'] for row in missed)} of the matches lie: it is no control of these."
            )
    return notes


def _datasets(count: int) -> str:
    return "1 dataset" if count == 1 else f"{count} datasets"
