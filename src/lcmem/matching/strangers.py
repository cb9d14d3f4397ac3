"""The real pictures of two identities that are most alike: what sets a threshold, unless both show one person."""

from collections.abc import Callable, Collection, Mapping
from math import inf

import numpy as np
import pandas as pd

from lcmem.matching.chance import OwnMatches
from lcmem.matching.control import Control
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.twins import TWINS
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance

STRANGERS = ["dataset", *TWINS[1:], "logit", "threshold_without"]
FEWEST, MOST = 10, 100
"""Pairs that are listed: so many of each kind, and of the others those that reach it, up to so many in all."""
SURE = 0.05
"""How improbable it must be that a holdout of the same source is so much less alike to the real set."""
TIMES, MORE = 2, 3
"""A pair of identities hides matches where so many times as many pictures would match without it, and so many more."""

Level = Callable[[Chance, Chance], float]
"""Chance matches of a kind and of all kinds → its threshold."""


def most_alike(
    real: FeatureSet,
    own: OwnMatches,
    calibration: Calibration,
    chance: Chance,
    level: Level,
    doubtful: Mapping[str, float],
) -> pd.DataFrame:
    """Pairs of chance matches, each once, those that reach the threshold first, the most alike first.

    Args:
        real: N pictures.
        own: Their chance matches.
        calibration: The thresholds that were taken from these.
        chance: The same chance matches by their kinds.
        level: What makes a threshold of those of a kind.
        doubtful: Score from which pairs are listed in any case, by dataset.

    Returns:
        ``dataset, path, identity, other, other_identity, logit`` (dataset: whose threshold it is), and
        ``threshold_without``, what that were without these two identities: of the first pair of each kind, else NaN.
    """
    rows = np.flatnonzero(own.partners >= 0)
    rows = rows[np.argsort(real.ranks[rows])]  # of equally alike pairs those that come first by content
    scores, partners = own.scores[rows], own.partners[rows]
    kinds = real.kinds[partners]
    listed = pd.Series(kinds, dtype=object).map(doubtful).fillna(inf).to_numpy(dtype=float)
    reached = scores >= np.minimum(calibration.thresholds(kinds), listed)
    pairs = np.stack((rows, partners), 1)
    pairs = np.take_along_axis(pairs, np.argsort(real.ranks[pairs], axis=1), 1)
    table = pd.DataFrame(pairs, columns=["one", "two"]).assign(logit=scores, reached=reached, kind=kinds)
    table = table.sort_values(["reached", "logit"], ascending=False, kind="stable").drop_duplicates(["one", "two"])
    first = table.groupby("kind", sort=False).cumcount() < FEWEST  # of each kind, whether or not it has a threshold
    others = table["reached"] & ~first
    table = table[first | (others & (others.cumsum() <= MOST - first.sum()))]
    mine, theirs = (real.manifest.table.iloc[table[end]] for end in ("one", "two"))
    pair = (mine["path"], mine["identity"], theirs["path"], theirs["identity"])
    columns = (table["kind"], *pair, table["logit"], _without(table, own.identities, chance, level))
    return pd.DataFrame(dict(zip(STRANGERS, (each.to_numpy() for each in columns), strict=True)))


def _without(table: pd.DataFrame, identities: np.ndarray, chance: Chance, level: Level) -> pd.Series:
    """The threshold without the two identities of the first pair of each kind, by the rows of a table."""
    parts = table["kind"].map(lambda kind: id(chance.part(kind)))
    found = pd.Series(np.nan, index=table.index)
    for at in table.index[~parts.duplicated()]:
        row = table.loc[at]
        pair = identities[[row["one"], row["two"]]]
        rest = chance.part(row["kind"]).without(pair)
        if rest.identities > 1:
            found[at] = level(rest, chance.without(pair))
    return found.where(found < inf)


def hidden_by_one(
    strangers: pd.DataFrame, chance: Chance, scores: np.ndarray, kinds: np.ndarray, matched: np.ndarray
) -> list[str]:
    """A note for each pair of identities without which far more synthetic pictures would match; without names.

    Args:
        strangers: As of :func:`most_alike`.
        chance: Chance matches by their kinds.
        scores: Highest score of each synthetic picture ``[Q]``.
        kinds: Dataset of the real picture that it has it with ``[Q]``.
        matched: Which of them match ``[Q]``.
    """
    notes = []
    for row in strangers[strangers["threshold_without"].notna()].itertuples():
        part = chance.part(str(row.dataset))
        mine = np.array([chance.part(kind) is part for kind in kinds])
        now = int(matched[mine].sum())
        then = int((matched | (scores >= row.threshold_without))[mine].sum())
        if then - now >= MORE and then >= TIMES * now:
            notes.append(
                f"Two identities alone hide matches: without the pair in row {row.Index + 1} of strangers.csv the "
                f"threshold would be {row.threshold_without:.2f} and {then} instead of {now} pictures would match. "
                "Does that pair show one person? Then give both one identity, and audit again."
            )
    return notes


def split_people(
    chance: Chance, control: Control | None, unnamed: Collection[str] = ()
) -> tuple[list[str], dict[str, float]]:
    """Notes where many identities are more alike to others of the real set than any of the holdout is, kind by kind.

    Of n identities and H of a holdout of the same source, the k most alike are all of the real set with a probability
    of about (n / (n + H))^k, or half that power, since best matches of one set come in mutual pairs; of pictures in
    place of identities, where the real set has more of each.

    Args:
        chance: Of the real set's own pictures.
        control: The holdout.
        unnamed: Datasets whose pictures have no identities.

    Returns:
        The notes, without names, and the score that no holdout picture reaches, by the datasets that they are about.
    """
    notes: list[str] = []
    highest: dict[str, float] = {}
    if control is None:
        return notes, highest
    for kinds, part in chance.distinct() or [(sorted(set(control.kinds)), chance)]:
        mine = np.isin(control.kinds, kinds)
        if not mine.any() or set(kinds) <= set(unnamed):
            continue
        scores, held = control.scores[mine], len(np.unique(control.clusters[mine]))
        best = pd.Series(part.scores).groupby(part.clusters).max()
        above, people = int((best > scores.max()).sum()), part.identities
        share = max(people / (people + held), len(part.scores) / (len(part.scores) + len(scores)))
        if share ** (above / 2) > SURE:
            continue
        highest |= dict.fromkeys(kinds, float(scores.max()))
        notes.append(
            f"{above} identities of the real set are more alike to another of it than any of the {held} of the holdout "
            "is. Some may be people who are filed under two names, which raises the threshold and hides matches: look "
            "at the pairs in strangers.csv. Or the holdout comes from another source."
        )
    return notes, highest
