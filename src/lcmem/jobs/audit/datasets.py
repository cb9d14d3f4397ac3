"""What an audit says of each dataset of a real set that mixes several kinds of pictures."""

from typing import Any

import numpy as np
import pandas as pd

from lcmem.files import finite
from lcmem.matching.control import Control
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.matches import first_matches
from lcmem.matching.verdicts import COPY
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance


def by_dataset(
    matches: pd.DataFrame, kinds: np.ndarray, calibration: Calibration, chance: Chance, sure: float
) -> list[dict[str, Any]]:
    """Of each dataset that has a threshold of its own, or shares it with other small ones: JSON-ready rows.

    Args:
        matches: As of :class:`lcmem.jobs.audit.result.AuditResult`.
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
    if not calibration.by_kind:
        return []
    first = first_matches(matches)
    matched, copied = first["match"].to_numpy(), (first["verdict"] == COPY).to_numpy()
    rate = Chance.share if calibration.given else Chance.expected
    rows = []
    for kind in sorted({*calibration.by_kind, *kinds}):
        part, mine = chance.parts.get(kind), kinds == kind
        level = calibration.by_kind.get(kind, calibration.highest)
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
    rows: list[dict[str, Any]], real: FeatureSet, control: Control | None, chance: Chance, few: int, named: bool
) -> list[str]:
    """What to know of datasets of which little is known.

    Args:
        rows: As of :func:`by_dataset`.
        real: The real set.
        control: The holdout.
        chance: The chance matches that thresholds come from.
        few: Identities that a rate should rest on at least.
        named: Whether to name them.
    """
    notes = []
    if real.bare.any():
        bare = _datasets(sorted(set(real.kinds[real.bare])), named)
        notes.append(
            f"{int(real.bare.sum())} real pictures are of {bare} without identities, so each counts as a person of its "
            "own. Several pictures of one person raise the threshold there and hide matches: name identities, or take "
            "one picture of each."
        )
    small = [row for row in rows if row["identities"] and row["identities"] < few and row["synthetic"]]
    if small:
        share = sum(row["synthetic"] * row["false_positive_rate"] for row in small)
        notes.append(
            f"{_rows(small, named)} rest on fewer than {few} identities: {share:.1f} of the matches that are expected "
            "by chance at most are there."
        )
    unknown = [row for row in rows if not row["identities"] and row["synthetic"]]
    if unknown:
        notes.append(
            f"No chance matches are known of {_rows(unknown, named)}: the highest threshold counts there, and what is "
            "stated may not hold."
        )
    if control is not None and rows:
        seen = {kind for kinds, _ in chance.distinct() if {*kinds} & {*control.kinds} for kind in kinds}
        missed = [row for row in rows if row["dataset"] not in seen and row["match"]]
        if missed:
            where = _datasets([row["dataset"] for row in missed], named)
            notes.append(
                f"The holdout has no pictures like those of {where}, where {sum(row['match'] for row in missed)} of "
                "the matches lie: it is no control of these."
            )
    return notes


def _rows(rows: list[dict[str, Any]], named: bool) -> str:
    count = sum(row["synthetic"] for row in rows)
    return f"{_datasets([row['dataset'] for row in rows], named)} with {count} of the synthetic pictures"


def _datasets(names: list[str], named: bool) -> str:
    count = "1 dataset" if len(names) == 1 else f"{len(names)} datasets"
    shown = ", ".join(name or "(none)" for name in names[:3]) + (", …" if len(names) > 3 else "")
    return f"{count} ({shown})" if named else count
