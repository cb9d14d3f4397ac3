"""The operating point: how alike must two pictures be, so that chance does not explain it?

An audit looks for the best match of a picture among N real ones. Even a picture of somebody who is not in the real set
has a best match, and the more real pictures, the better that one is. The threshold is therefore taken from best
matches of pictures that show nobody of the set they are compared with (:class:`lcmem.stats.chance.Chance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from numbers import Real
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.special import expit

from lcmem.errors import LCMemError
from lcmem.stats.chance import CONFIDENCE, PARTED, Chance
from lcmem.stats.evidence import tail_threshold

DEFAULT_RATE = 0.01
"""Share of pictures of unseen identities that may be taken for a match by mistake."""
WARNED = 0.05
"""Share of chance matches at a given threshold from which the user is warned."""
ALONE = "There is nobody else to compare with"
"""Where chance matches have no score."""
OF_EACH: Mapping[str, float] = MappingProxyType({})
"""In the place of how pictures divide over the kinds, where that is not known: what is stated holds for each kind."""
ORIGINS = {
    "identities": "{n} identities of the real set, each against all others",
    "holdout": "{n} identities of the holdout, or pictures where it names none (one part of it, which the control "
    "leaves out), against the real set",
    "copy groups": "{n} pictures or groups of copies of the real set, each against all others",
}
"""What chance matches are measured on, by method."""


def check_share(name: str, value: float) -> None:
    """Refuse a share that is none.

    Raises:
        LCMemError: It does not lie between 0 and 1.
    """
    if not isinstance(value, Real) or not 0 < value < 1:
        raise LCMemError(f"the {name} must lie between 0 and 1, not {value}")


def check_one_threshold(threshold: float | None, calibration: object) -> None:
    """Refuse a threshold beside a calibration, which has one of its own.

    Raises:
        LCMemError: Both are given.
    """
    if threshold is not None and calibration is not None:
        raise LCMemError("give a threshold or a calibration, not both")


@dataclass(frozen=True)
class Calibration:
    """A threshold and where it comes from.

    Attributes:
        logit: Pictures whose best match reaches it show the same identity; +∞ where that cannot be told from chance. Of
            several kinds the highest; where each picture is judged by its own, the highest finite one of these.
        rate: At most this share of pictures of unseen identities is expected to match; None if that is not known.
        bound: The share that is not exceeded in this audit with 95 % confidence; None if that is not known.
        method: ``given``, or what chance matches were measured on: ``identities``, ``holdout`` or ``copy groups``.
        explanation: The same in a few sentences for the report.
        by_kind: The threshold of pictures that are most like one of each kind, by its name; empty of one kind.
    """

    logit: float
    rate: float | None
    bound: float | None
    method: str
    explanation: str
    by_kind: Mapping[str, float] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        """Whether somebody named the threshold: it then holds for copies too."""
        return self.method == "given"

    @property
    def probability(self) -> float:
        """The threshold as a probability."""
        return float(expit(self.logit))

    def thresholds(self, kinds: np.ndarray) -> np.ndarray:
        """The threshold ``[n]`` of pictures whose best matches are of these kinds ``[n]``, the highest of others."""
        return pd.Series(kinds, dtype=object).map(self.by_kind).fillna(self.highest).to_numpy(dtype=float)

    @property
    def highest(self) -> float:
        """The threshold that is high enough for any kind."""
        return max(self.by_kind.values(), default=self.logit)


def calibrate(
    chance: Chance,
    rate: float,
    method: str,
    highest: float,
    sure: float = inf,
    shares: Mapping[str, float] | None = None,
) -> Calibration:
    """The lowest threshold that chance matches exceed rarely enough, if other pictures of an identity can reach it.

    Args:
        chance: Chance matches.
        rate: Share of pictures of unseen identities that may match.
        method: What they were measured on, a key of :data:`ORIGINS`.
        highest: What copies typically reach. A threshold above it would tell nothing: pictures that are less alike
            than copies could not be found any more, so none is set and only copies are reported.
        sure: Score from which a pair is a copy without a look at the pictures.
        shares: Of all pictures that are judged, the share whose best match is of each kind: what is stated is then of
            these pictures, by the threshold of each kind. :data:`OF_EACH` states what holds for pictures of each kind,
            None what holds for any kind at the one threshold.
    """
    parts = chance.distinct() or [([""], chance)]
    levels: dict[str, float] = {}
    for kinds, part in parts:
        levels |= dict.fromkeys(kinds, level_of(part, chance, rate, highest))
    several = shares is not None and bool(chance.parts)
    shown = [levels[kind] for kind in shares or () if kind in levels and levels[kind] < inf]
    level = max(shown if several and shown else levels.values())
    found = Calibration(level, None, None, method, "", levels if chance.parts else {})
    if shares is not None and several:
        expected, bound = _of_shares(found, chance, sure, shares)
    else:
        each = [(part.expected(min(level, sure)), part.bound(min(level, sure))) for _, part in parts]
        expected, bound = (max(values) for values in zip(*each, strict=True))
    stated = replace(found, rate=expected, bound=bound)
    return replace(stated, explanation=_explained(stated, chance, rate, highest, shares))


def _explained(
    found: Calibration, chance: Chance, rate: float, highest: float, shares: Mapping[str, float] | None
) -> str:
    """What a threshold rests on and promises; arguments as of :func:`calibrate`."""
    level, parts = found.logit, [part for _, part in chance.distinct()] or [chance]
    counted = max(part.threshold(rate) for part in parts)
    assert found.rate is not None and found.bound is not None
    texts = [f"Chance matches were measured on {ORIGINS[found.method].format(n=chance.identities)}."]
    if counted == inf:
        texts.append(f"{ALONE}, so no score shows the same identity.")
    elif level == inf:
        texts.append(
            f"At {rate:.2%} chance matches the model cannot tell other photos of a person from strangers here: the "
            f"threshold would be {counted:.2f}, and copies of real pictures themselves typically reach "
            f"{highest:.2f}. So no score shows the same identity. A larger rate (--false-positive-rate), another "
            "model, larger pictures or a look at the identities would help (an audit lists doubtful ones in twins.csv "
            "and strangers.csv)."
        )
    if chance.parts:
        texts.append(_on_kinds(found, chance, shares))
    texts.append(
        f"At most {found.rate:.2%} of pictures that show nobody of the real set are expected to match by chance, and "
        f"with 95 % confidence not more than {found.bound:.2%} do."
    )
    if found.rate > rate + 1e-12:
        needed = max(part.needed(rate) for part in parts)
        texts.append(f"To show {rate:.2%} takes {needed} identities{' of each kind' if chance.parts else ''}.")
    if not chance.parts and inf > level > chance.threshold(rate):
        texts.append("The threshold lies above all chance matches, as far as their tail says for that rate.")
    if found.method == "copy groups":
        texts.append(
            "The real pictures carry no identities, so the closest pictures of one person count as chance too and the "
            "threshold is stricter than need be: name identities, if you can, to find more."
        )
    return " ".join(texts)


def level_of(part: Chance, chance: Chance, rate: float, highest: float) -> float:
    """The threshold of one kind, +∞ where copies themselves would not reach it; of few identities not below that of
    all.

    Args:
        part: Its chance matches.
        chance: Those of all kinds.
        rate: Share of pictures of unseen identities that may match.
        highest: What copies typically reach.
    """
    counted = part.threshold(rate)
    if part.identities < PARTED:
        counted = max(counted, chance.threshold(rate))
    return max(counted, min(tail_threshold(part, rate), highest)) if counted <= highest else inf


def _of_shares(found: Calibration, chance: Chance, sure: float, shares: Mapping[str, float]) -> tuple[float, float]:
    """Expected rate and bound of pictures of which so many are most like each kind."""
    if not shares:
        levels = [(min(found.by_kind[kinds[0]], sure), part) for kinds, part in chance.distinct()]
        each = [(part.expected(level), part.bound(level)) for level, part in levels]
        expected, bound = (max(values) for values in zip(*each, strict=True))
        return expected, bound
    expected = bound = 0.0
    for kind, share in shares.items():
        parts = [chance.parts[kind]] if kind in chance.parts else [part for _, part in chance.distinct()]
        level = min(found.by_kind.get(kind, found.highest), sure)
        expected += share * max(part.expected(level) for part in parts)
        bound += share * max(part.bound(level) for part in parts)
    return min(expected, 1.0), min(bound, 1.0)


def _on_kinds(found: Calibration, chance: Chance, shares: Mapping[str, float] | None) -> str:
    blind = sum(level == inf for level in found.by_kind.values())
    parts = len(chance.distinct())
    text = f"Chance matches are of {parts} kinds of pictures ({len(found.by_kind)} datasets), and each kind has its own"
    if blind:
        text += f" ({blind} datasets without a threshold, since strangers there are as alike as copies)"
    if shares is None:
        return f"{text}: the highest threshold counts, and what is stated holds for each."
    if not shares:
        return f"{text}, and so a threshold of its own: what is stated holds for the pictures of each."
    text += ", and so a threshold of its own: what is stated is weighted by how the pictures divide over them."
    if set(shares) - set(found.by_kind):
        text += " For pictures that are most like one of another dataset the highest threshold counts."
    return text


def at_least(found: Calibration, chance: Chance, sure: float, shares: Mapping[str, float]) -> float:
    """The share of pictures that show nobody of the real set that matches by chance, not less with 95 % confidence.

    Args:
        found: The threshold.
        chance: The chance matches that it was taken from, or is held against.
        sure: As of :func:`calibrate`.
        shares: As of :func:`calibrate`.
    """
    if not chance.parts:
        return chance.floor(min(found.logit, sure))
    floors = {kind: part.floor(min(found.by_kind[kind], sure)) for kind, part in chance.parts.items()}
    return sum(share * floors.get(kind, 0.0) for kind, share in shares.items())


def reached(chance: Chance, threshold: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Share of pictures of unseen identities that reach a threshold chosen beforehand, and its bound; of the kind where
    most do."""
    parts = [part for _, part in chance.distinct()] or [chance]
    return max(part.share(threshold) for part in parts), max(part.bound(threshold, confidence) for part in parts)


def given_calibration(
    threshold: float, shown: float, chance: Chance | None, shares: Mapping[str, float] | None = None
) -> Calibration:
    """A threshold that the user chose, and what it means on these pictures.

    Args:
        threshold: As a score.
        shown: As the user gave it.
        chance: Chance matches, where something is known about them.
        shares: As of :func:`calibrate`.
    """
    text = f"The threshold {shown:g} was given."
    if chance is None:
        return Calibration(threshold, None, None, "given", text)
    levels = dict.fromkeys(chance.parts, threshold)
    if levels and shares is not None:
        of_kinds = [(share, *reached(chance.part(kind), threshold)) for kind, share in shares.items()]
        share, bound = (sum(row[0] * row[at] for row in of_kinds) for at in (1, 2))
    else:
        share, bound = reached(chance, threshold)
    text += (
        f" {share:.1%} of pictures that show nobody of the set they are compared with reach it by chance (up to "
        f"{bound:.1%}, with 95 % confidence)."
    )
    if levels:
        text += " That is " + ("of the pictures as they are divided." if shares else "in the dataset where most do.")
    return Calibration(threshold, share, bound, "given", text, levels)
