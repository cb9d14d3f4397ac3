"""From which score on a sample gives a real picture away."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.copies import CopyFinder
from lcmem.matching.features import FeatureSet
from lcmem.matching.looks import UNMEASURED, Look
from lcmem.matching.own_chance import real_chance
from lcmem.stats.calibration import calibrate, check_share


@dataclass(frozen=True)
class Thresholds:
    """Scores (logits, of a detector without a head similarities) that the verdicts begin at.

    Attributes:
        identity: From here on a sample shows the identity of a real picture, of whatever kind; infinite where that
            cannot be told.
        copy: From here on it is a copy of the picture; infinite where copies are not told apart.
        explanation: Where both come from, in a sentence.
        look: When a sample matches by its looks.
        levels: Where that begins for real pictures of each dataset, if there are several.
    """

    identity: float
    copy: float
    explanation: str
    look: Look = UNMEASURED
    levels: Mapping[str, float] = field(default_factory=dict)

    def of_kinds(self, kinds: np.ndarray) -> np.ndarray:
        """From where on samples show the identity of real pictures of these datasets ``[n]``."""
        return np.array([self.levels.get(kind, self.identity) for kind in kinds])


def read_thresholds(file: CalibrationFile, detector: Detector, pictures: int) -> Thresholds:
    """Those of a calibration that was made before.

    Args:
        file: The calibration.
        detector: The model.
        pictures: How many real pictures samples are compared with.

    Raises:
        LCMemError: The calibration is another model's.
    """
    file.check(detector)
    typical = file.levels.typical
    found = file.calibration(pictures, typical)
    return Thresholds(found.logit, typical, found.explanation, file.look_among(pictures), found.levels)


def calibrate_thresholds(real: FeatureSet, detector: Detector, rate: float) -> Thresholds:
    """The threshold that an audit of the same real set without a holdout would take.

    Args:
        real: The real set.
        detector: The model.
        rate: Share of pictures of unseen identities that may match one of the real pictures by chance.

    Raises:
        LCMemError: Too few real pictures, or a rate outside (0, 1).
    """
    check_share("false positive rate", rate)
    finder = CopyFinder.of(real, detector)
    typical = finder.levels.typical
    own = real_chance(real, finder)
    # a sample is in memory and of any size, so its score alone says whether it is a copy: as of half of all test copies
    found = calibrate(own.chance, rate, own.method, typical, typical)
    return Thresholds(found.logit, typical, found.explanation, own.look(real, finder), found.levels)
