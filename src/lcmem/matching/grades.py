"""The evidence for each synthetic picture, beside its verdict: how probable chance is, and a grade."""

import numpy as np
import pandas as pd

from lcmem.matching.matches import first_matches
from lcmem.matching.verdicts import CLOSE, NO_MATCH
from lcmem.stats.chance import Chance
from lcmem.stats.evidence import q_values, tail_p_values

CLOSE_RATE = 0.1
"""A picture without a match is close if its q-value is at most this."""


def graded(matches: pd.DataFrame, chance: Chance, kinds: np.ndarray) -> pd.DataFrame:
    """The table of matches with ``p_value, q_value, grade`` of the synthetic picture before ``match, verdict``.

    The grade is the verdict on the picture's first match, or ``close``: no match, but so alike that of all pictures
    that are at least as alike at most a tenth is expected to be there by chance.

    Args:
        matches: As of :func:`lcmem.matching.matches.match_table`, the rows of each picture together.
        chance: What its best score is held against.
        kinds: Dataset of the best match of each picture, in their order.
    """
    best = matches.groupby("synthetic", sort=False)["logit"].max()
    p = _p_values(best.to_numpy(), chance, kinds)
    q = q_values(p)
    verdicts = first_matches(matches)["verdict"].to_numpy()
    grades = np.where((verdicts == NO_MATCH) & (q <= CLOSE_RATE), CLOSE, verdicts)
    found = pd.DataFrame({"p_value": p, "q_value": q, "grade": grades}, index=best.index).loc[matches["synthetic"]]
    made = matches.assign(**{name: found[name].to_numpy() for name in found})
    columns = [name for name in matches if name not in ("match", "verdict")]
    return made[[*columns, *found, "match", "verdict"]]


def _p_values(scores: np.ndarray, chance: Chance, kinds: np.ndarray) -> np.ndarray:
    """Against the chance matches of each one's kind; of a kind that is not known, the highest of all."""
    if not chance.parts:
        return tail_p_values(scores, chance)
    found = np.zeros(len(scores))
    unknown = ~np.isin(kinds, list(chance.parts))
    for names, part in chance.distinct():
        rows = np.flatnonzero(np.isin(kinds, names) | unknown)
        found[rows] = np.maximum(found[rows], tail_p_values(scores[rows], part))
    return found
