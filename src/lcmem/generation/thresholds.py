"""From which score on a sample gives a real picture away."""

from dataclasses import dataclass

from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.look_levels import UNMEASURED, Look
from lcmem.matching.own_chance import real_chance
from lcmem.matching.transfer import Transfer
from lcmem.stats.calibration import OF_EACH, Calibration, calibrate, check_share


@dataclass(frozen=True)
class Thresholds:
    """Scores (logits, of a detector without a head similarities) that the verdicts begin at.

    Attributes:
        calibration: From where on a sample shows the identity of a real picture.
        copy: From here on it is a copy of the picture; infinite where copies are not told apart.
        look: When a sample matches by its looks.
        made_on: :attr:`lcmem.matching.feature_set.FeatureSet.fingerprint` of the real pictures that they were
            calibrated on; "" if that is not known.
    """

    calibration: Calibration
    copy: float
    look: Look = UNMEASURED
    made_on: str = ""


def read_thresholds(file: CalibrationFile, real: FeatureSet, finder: CopyFinder) -> Thresholds:
    """Those of a calibration that was made before.

    Args:
        file: The calibration, of this model.
        real: The real set that samples are compared with.
        finder: Knows what copies reach.
    """
    typical, transfer = file.copy_levels.typical, Transfer.of(file, real, finder)
    found = transfer.look.stated(transfer.calibration(typical, OF_EACH), file.copy_levels, OF_EACH)
    return Thresholds(transfer.noted(found), typical, transfer.look, str(file.about["real"]["sha256"]))


def calibrate_thresholds(real: FeatureSet, finder: CopyFinder, rate: float) -> Thresholds:
    """The threshold that an audit of the same real set without a holdout would take.

    Args:
        real: The real set.
        finder: Has seen what copies of it reach.
        rate: Share of pictures of unseen identities that may match one of the real pictures by chance.

    Raises:
        LCMemError: A rate outside (0, 1).
    """
    check_share("false positive rate", rate)
    typical = finder.copy_levels.typical
    own = real_chance(real, finder)
    # a sample is in memory and of any size, so its score alone says whether it is a copy: as of half of all test copies
    found, look = calibrate(own.chance, rate, own.method, typical, typical, OF_EACH), own.look(real, finder)
    return Thresholds(look.stated(found, finder.copy_levels, OF_EACH), typical, look, real.fingerprint)
