"""From which pictures an audit takes its threshold, and with which it controls that: never the same."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcmem.matching.control import FEWEST, Control, real_chance
from lcmem.matching.copies import CopyFinder
from lcmem.matching.features import FeatureSet
from lcmem.stats.calibration import Calibration, calibrate, given
from lcmem.stats.chance import Chance

WARNED = 0.05
"""Share of chance matches at a given threshold from which the user is warned."""


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold, and which pictures say what about it.

    Attributes:
        calibration: The threshold.
        control: Holdout pictures that the threshold was not taken from; None without a holdout.
        own: Scores of the real set's chance matches ``[n]``, where they were looked for.
        chance: The chance matches that say what the threshold means; None where none were looked for.
        twins: Pictures filed under two identities.
        notes: What the user should know about it.
    """

    calibration: Calibration
    control: Control | None
    own: np.ndarray | None
    chance: Chance | None
    twins: pd.DataFrame
    notes: list[str]


def operating_point(
    real: FeatureSet,
    listed: np.ndarray,
    control: Control | None,
    finder: CopyFinder,
    chosen: tuple[float, float] | None,
    rate: float,
) -> OperatingPoint:
    """Identities of the real set calibrate where there are any, and then the whole holdout controls; without
    identities one half of the holdout calibrates and the other controls; without a holdout groups of copies calibrate.

    Args:
        real: The real set.
        listed: Positions of its pictures that are files of the synthetic set.
        control: The holdout; None without one.
        finder: Tells copies from look-alikes.
        chosen: A threshold that the user gave: as a score, and as given; None calibrates.
        rate: Share of pictures of unseen identities that may match.

    Raises:
        LCMemError: Too few real pictures.
    """
    if chosen is not None and len(real.keys) < 3:
        return OperatingPoint(given(*chosen, None), control, None, None, pd.DataFrame(), [])
    own, method, twins = real_chance(real, listed, finder)
    if chosen is not None:
        return OperatingPoint(given(*chosen, own), control, own.scores, own, twins, _warning(own.share(chosen[0])))
    notes: list[str] = []
    chance, half = own, control
    if control is not None and method != "identities":
        identities = len(np.unique(control.marks))
        if identities >= 2 * FEWEST:
            chance, half, method = *control.divided(), "holdout"
            notes.append(
                f"{chance.identities} of {identities} identities of the holdout set the threshold, the other "
                f"{identities - chance.identities} control it. With identities of the real set all would control."
            )
        else:
            notes.append(
                f"The holdout's {identities} identities are too few to set the threshold and to control it (2 × "
                f"{FEWEST} are needed), so they only control it."
            )
    calibration = calibrate(chance, rate, method, finder.levels.typical, finder.levels.sure)
    return OperatingPoint(calibration, half, own.scores, chance, twins, notes)


def _warning(share: float) -> list[str]:
    text = f"{share:.0%} of pictures that show nobody of the real set match at this threshold, by chance alone."
    return [f"{text} Leave --threshold out and it is calibrated."] if share > WARNED else []
