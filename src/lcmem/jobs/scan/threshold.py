"""From which score on a scan calls a pair a match."""

from dataclasses import replace
from math import inf

from lcmem.detectors.base import Detector
from lcmem.matching.asked import Asked
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.overview import SEARCHED
from lcmem.matching.own_chance import real_chance
from lcmem.matching.transfer import Transfer, with_finder
from lcmem.stats.calibration import ALONE, Calibration, calibrate, given_calibration, reached
from lcmem.stats.chance import Chance


def scan_threshold(gallery: FeatureSet, detector: Detector, asked: Asked, workers: int | None = None) -> Calibration:
    """As an audit with this gallery as its real set would set it, or what is known of one that was given.

    Args:
        gallery: What queries are compared with.
        detector: The model.
        asked: From which score on pairs match.
        workers: Decoding processes.

    Raises:
        LCMemError: A threshold that is none, or a calibration of another model.
    """
    given, file = asked.given(detector), asked.calibration
    if given is not None and len(gallery.manifest) > SEARCHED:
        return given_calibration(*given, None)
    known, finder = with_finder(gallery, detector, file, workers=workers)
    if file is not None:
        transfer = Transfer.of(file, known, finder)
        return transfer.noted(at_most(transfer.calibration(), file.copy_levels.typical, transfer.chance, file.rate))
    own, rate = real_chance(known, finder), asked.false_positive_rate
    if given is not None:
        return given_calibration(*given, own.chance)
    found = calibrate(own.chance, rate, own.method, finder.copy_levels.typical, finder.copy_levels.sure)
    return at_most(found, finder.copy_levels.typical, own.chance, rate)


def at_most(found: Calibration, typical: float, chance: Chance, rate: float) -> Calibration:
    """A scan has no verdict of its own for copies: where no threshold was set, what copies typically reach is one."""
    if found.logit <= typical:
        return found
    share, bound = reached(chance, typical)
    doubt = (
        "At the rate of chance matches that is asked for, other photos of a person cannot be told from strangers here"
    )
    text = (
        f"{ALONE if chance.threshold(rate) == inf else doubt}. So pairs as alike as copies typically are "
        f"match; {share:.1%} of pictures that show nobody of the set do so by chance (up to {bound:.1%}, with 95 % "
        "confidence)."
    )
    return replace(found, logit=typical, rate=share, bound=bound, explanation=text)
