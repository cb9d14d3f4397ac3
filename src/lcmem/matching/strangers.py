"""The real pictures of two identities that are most alike: what sets a threshold, unless both show one person."""

from math import inf

import numpy as np
import pandas as pd

from lcmem.matching.chance import OwnMatches
from lcmem.matching.control import Control
from lcmem.matching.features import FeatureSet
from lcmem.matching.twins import TWINS
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance

STRANGERS = ["dataset", *TWINS[1:], "logit"]
FEWEST, MOST = 10, 100
"""Pairs that are listed: those that reach the threshold, so many of each kind in any case, and at most so many."""
SURE = 0.05
"""How improbable it must be that a holdout of the same source is so much less alike to the real set."""


def most_alike(real: FeatureSet, own: OwnMatches, calibration: Calibration, doubtful: float = inf) -> pd.DataFrame:
    """Pairs of chance matches, each once, those that reach the threshold first, the most alike first.

    Args:
        real: N pictures.
        own: Their chance matches.
        calibration: The thresholds that were taken from these.
        doubtful: Score from which pairs are listed in any case.

    Returns:
        ``dataset, path, identity, other, other_identity, logit`` (dataset: of the other).
    """
    rows = np.flatnonzero(own.partners >= 0)
    scores, partners = own.scores[rows], own.partners[rows]
    kinds = real.kinds[partners]
    reached = scores >= np.minimum(calibration.thresholds(kinds), doubtful)
    pairs = np.sort(np.stack((rows, partners), 1), axis=1)
    table = pd.DataFrame(pairs, columns=["one", "two"]).assign(logit=scores, reached=reached, kind=kinds)
    table = table.sort_values(["reached", "logit"], ascending=False, kind="stable").drop_duplicates(["one", "two"])
    first = table.groupby("kind", sort=False).cumcount() < FEWEST  # of each kind, whether or not it has a threshold
    table = table[first | table["reached"]].head(MOST)
    mine, theirs = (real.manifest.table.iloc[table[end]] for end in ("one", "two"))
    pair = (mine["path"], mine["identity"], theirs["path"], theirs["identity"])
    columns = (theirs["dataset"], *pair, table["logit"])
    return pd.DataFrame(dict(zip(STRANGERS, (each.to_numpy() for each in columns), strict=True)))


def split_people(chance: Chance, control: Control | None) -> list[str]:
    """A note where many identities of the real set are more alike to others of it than any of the holdout is.

    Of n identities and H of a holdout of the same source, the k most alike are all of the real set with a probability
    of about (n / (n + H))^k, or half that power, since best matches of one set come in mutual pairs; of pictures in
    place of identities, where the real set has more of each.

    Args:
        chance: Of the real set's own pictures.
        control: The holdout.
    """
    if control is None:
        return []
    people, held = chance.identities, len(np.unique(control.clusters))
    highest = pd.Series(chance.scores).groupby(chance.clusters).max()
    above = int((highest > control.scores.max()).sum())
    share = max(people / (people + held), len(chance.scores) / (len(chance.scores) + len(control.scores)))
    if share ** (above / 2) > SURE:
        return []
    return [
        f"{above} identities of the real set are more alike to another of it than any of the {held} of the holdout is. "
        "Some may be people who are filed under two names, which raises the threshold and hides matches: look at the "
        "pairs in strangers.csv. Or the holdout comes from another source."
    ]
