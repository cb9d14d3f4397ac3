"""What an audit says of each dataset of a real set that mixes several kinds of pictures."""

from math import inf
from typing import Any

import numpy as np
import pandas as pd

from lcmem.matching.features import FeatureSet
from lcmem.matching.verdicts import COPY
from lcmem.scan import Best
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance


def nearest_datasets(best: Best, real: FeatureSet) -> dict[str, float]:
    """The share of the synthetic pictures whose best match is of each dataset."""
    nearest = best.positions[np.arange(len(best.logits)), best.logits.argmax(1)]
    shares: dict[str, float] = pd.Series(real.kinds[nearest]).value_counts(normalize=True).to_dict()
    return shares


def by_dataset(
    matches: pd.DataFrame, calibration: Calibration, chance: Chance | None, sure: float
) -> list[dict[str, Any]]:
    """Of each dataset that has a threshold of its own, or shares it with other small ones: JSON-ready rows.

    Args:
        matches: As of :class:`lcmem.jobs.audit_result.AuditResult`.
        calibration: The thresholds.
        chance: The chance matches that they come from.
        sure: Score from which a pair is a copy without a look at the pictures.

    Returns:
        ``dataset, threshold_logit`` (None: by no score), ``identities`` (that chance matches were measured on),
        ``false_positive_rate, false_positive_rate_bound``, ``synthetic`` (pictures whose highest score is with one of
        this dataset), ``match`` (how many of these do, with whatever picture) and ``copies``.
    """
    if chance is None or not calibration.levels:
        return []
    nearest = matches.loc[matches.groupby("synthetic", sort=False)["logit"].idxmax()].set_index("synthetic")["dataset"]
    first = matches[matches["rank"] == 1].assign(nearest=lambda table: nearest.loc[table["synthetic"]].to_numpy())
    rows = []
    for kind, level in sorted(calibration.levels.items()):
        part, own = chance.parts[kind], first[first["nearest"] == kind]
        rows.append(
            {
                "dataset": kind,
                "threshold_logit": level if level < inf else None,
                "identities": part.identities,
                "false_positive_rate": part.expected(min(level, sure)),
                "false_positive_rate_bound": part.bound(min(level, sure)),
                "synthetic": len(own),
                "match": int(own["match"].sum()),
                "copies": int((own["verdict"] == COPY).sum()),
            }
        )
    return rows
