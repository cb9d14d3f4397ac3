"""The threshold of an audit, given, calibrated or read from a file, with what the user should know about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from lcmem.matching.asked import Asked
from lcmem.matching.basis import calibration_basis
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.control import Control
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.look_levels import UNMEASURED, Look
from lcmem.matching.own_chance import OwnChance, real_chance
from lcmem.matching.strangers import STRANGERS, most_alike, split_people
from lcmem.matching.transfer import Transfer
from lcmem.stats.calibration import WARNED, Calibration, calibrate, given_calibration, level_of
from lcmem.stats.chance import Chance


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold, and which pictures say what about it.

    Attributes:
        calibration: The threshold.
        control: Holdout pictures that the threshold was not taken from; None without a holdout.
        chance: The chance matches that say what the threshold means.
        notes: What the user should know about it.
        own: The real set's chance matches, where they were looked for; None with a calibration from a file.
        look: When a generated picture matches by its looks.
        strangers: The chance matches that set the threshold, as of :func:`lcmem.matching.strangers.most_alike`.
        among: Share of the pictures of the chance matches that pictures are compared with here, at most 1: of fewer at
            least so many fewer match by chance.
    """

    calibration: Calibration
    control: Control | None
    chance: Chance
    notes: list[str]
    own: OwnChance | None = None
    look: Look = UNMEASURED
    strangers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=STRANGERS))
    among: float = 1.0


def operating_point(
    real: FeatureSet,
    listed: np.ndarray,
    control: Control | None,
    finder: CopyFinder,
    asked: Asked,
    shares: Mapping[str, float],
) -> OperatingPoint:
    """A threshold that was given, or one that is calibrated by :func:`lcmem.matching.basis.calibration_basis`.

    Args:
        real: The real set.
        listed: Positions of its pictures that are files of the synthetic set.
        control: The holdout; None without one.
        finder: Tells copies from look-alikes.
        asked: The threshold, or the rate to calibrate for.
        shares: Of the synthetic pictures, the share whose best match is of each dataset.
    """
    given, rate = asked.given(finder.detector), asked.false_positive_rate
    if given is not None:
        own = real_chance(real, finder, listed)
        calibration = given_calibration(*given, own.chance, shares)
        return OperatingPoint(calibration, control, own.chance, _warning(calibration.rate or 0.0), own)
    basis = calibration_basis(real, control, finder, listed)
    own = basis.own
    calibration = calibrate(
        basis.chance, rate, basis.method, finder.copy_levels.typical, finder.copy_levels.sure, shares
    )
    look, named = own.look(real, finder), basis.method == "identities"
    doubts, doubtful = split_people(own.chance, basis.control, set(real.kinds[real.bare])) if named else ([], {})
    strangers = pd.DataFrame(columns=STRANGERS)
    if named:
        level = partial(level_of, rate=rate, highest=finder.copy_levels.typical)
        strangers = most_alike(real, own.matches, calibration, basis.chance, level, doubtful)
    stated = look.stated(calibration, finder.copy_levels, shares)
    return OperatingPoint(stated, basis.control, basis.chance, basis.notes + doubts, own, look, strangers)


def read_point(
    file: CalibrationFile,
    real: FeatureSet,
    control: Control | None,
    holdout: FeatureSet | None,
    finder: CopyFinder,
    shares: Mapping[str, float],
) -> OperatingPoint:
    """The operating point of a calibration that was made before.

    Where one half of this very holdout calibrated, the other half controls; else the whole holdout does.

    Args:
        file: The calibration.
        real: The real set.
        control: The holdout; None without one.
        holdout: Its pictures.
        finder: Knows what copies reach.
        shares: As of :func:`operating_point`.
    """
    transfer = Transfer.of(file, real, finder)
    notes = [*transfer.notes]
    made_on = file.about["holdout"]
    if control is not None and holdout is not None and file.method == "holdout" and made_on is not None:
        if holdout.fingerprint == made_on["sha256"]:
            control = control.divided()[1]
        else:
            notes.append("The calibration used another holdout; pictures of both may have set the threshold.")
    look = transfer.look
    calibration = look.stated(transfer.calibration(shares=shares), file.copy_levels, shares)
    return OperatingPoint(calibration, control, transfer.chance, notes, look=look, among=min(transfer.times, 1.0))


def _warning(share: float) -> list[str]:
    text = f"{share:.0%} of pictures that show nobody of the real set match at this threshold, by chance alone."
    return [f"{text} Leave --threshold out and it is calibrated."] if share > WARNED else []
