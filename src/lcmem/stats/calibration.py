"""The operating point: how alike must two pictures be, so that chance does not explain it?

An audit looks for the best match of a picture among N real ones. Even a picture of somebody who is not in the real set
has a best match, and the more real pictures, the better that one is. The threshold is therefore taken from best
matches of pictures that show nobody of the set they are compared with (:class:`lcmem.stats.chance.Chance`).
"""

from dataclasses import dataclass
from math import inf

from scipy.special import expit

from lcmem.errors import LCMemError
from lcmem.stats.chance import Chance
from lcmem.stats.evidence import tail_threshold

DEFAULT_RATE = 0.01
"""Share of pictures of unseen identities that may be taken for a match by mistake."""
WARNED = 0.05
"""Share of chance matches at a given threshold from which the user is warned."""
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
    if not 0 < value < 1:
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
        logit: Pictures whose best match reaches it show the same identity; +∞ where that cannot be told from chance.
        rate: At most this share of pictures of unseen identities is expected to match; None if that is not known.
        bound: The share that is not exceeded in this audit with 95 % confidence; None if that is not known.
        method: ``given``, or what chance matches were measured on: ``identities``, ``holdout`` or ``copy groups``.
        explanation: The same in a few sentences for the report.
    """

    logit: float
    rate: float | None
    bound: float | None
    method: str
    explanation: str

    @property
    def probability(self) -> float:
        """The threshold as a probability."""
        return float(expit(self.logit))


def calibrate(chance: Chance, rate: float, method: str, highest: float, sure: float = inf) -> Calibration:
    """The lowest threshold that chance matches exceed rarely enough, if other pictures of an identity can reach it.

    Args:
        chance: Chance matches.
        rate: Share of pictures of unseen identities that may match.
        method: What they were measured on, a key of :data:`ORIGINS`.
        highest: What copies typically reach. A threshold above it would tell nothing: pictures that are less alike
            than copies could not be found any more, so none is set and only copies are reported.
        sure: Score from which a pair is a copy without a look at the pictures.
    """
    counted = chance.threshold(rate)
    able = counted <= highest
    threshold = max(counted, min(tail_threshold(chance, rate), highest)) if able else counted
    level = threshold if able else inf
    expected, bound = chance.expected(min(level, sure)), chance.bound(min(level, sure))
    origin = ORIGINS[method].format(n=chance.identities)
    promise = (
        f"At most {expected:.2%} of pictures that show nobody of the real set are expected to match by chance; "
        f"in this audit not more than {bound:.2%}, with 95 % confidence."
    )
    texts = [f"Chance matches were measured on {origin}."]
    if not able:
        texts.append(
            f"At {rate:.2%} chance matches the model cannot tell other photos of a person from strangers here: the "
            f"threshold would be {threshold:.2f}, and copies of real pictures themselves typically reach "
            f"{highest:.2f}. So no score shows the same identity. A larger rate (--false-positive-rate), another "
            "model, larger pictures or a look at twins.csv and the identities would help."
        )
    texts.append(promise)
    if expected > rate + 1e-12:
        texts.append(f"To show {rate:.2%} takes {chance.needed(rate)} identities.")
    if able and threshold > counted:
        texts.append("The threshold lies above all chance matches, as far as their tail says for that rate.")
    if method == "copy groups":
        texts.append(
            "The real pictures carry no identities, so the closest pictures of one person count as chance too and the "
            "threshold is stricter than need be: name identities, if you can, to find more."
        )
    return Calibration(level, expected, bound, method, " ".join(texts))


def given(threshold: float, shown: float, chance: Chance | None) -> Calibration:
    """A threshold that the user chose, and what it means on these pictures.

    Args:
        threshold: As a score.
        shown: As the user gave it.
        chance: Chance matches, where something is known about them.
    """
    text = f"The threshold {shown:g} was given."
    if chance is None:
        return Calibration(threshold, None, None, "given", text)
    share, bound = chance.share(threshold), chance.bound(threshold)
    text += (
        f" {share:.1%} of pictures that show nobody of the set they are compared with reach it by chance (up to "
        f"{bound:.1%}, with 95 % confidence)."
    )
    return Calibration(threshold, share, bound, "given", text)
