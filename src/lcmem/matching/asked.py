"""From which score on a user wants pictures to match."""

from dataclasses import dataclass

from lcmem.detectors.base import Detector
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.compare import given_score
from lcmem.stats.calibration import DEFAULT_RATE, check_one_threshold, check_share


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A threshold, a calibration that was made before, or a rate to calibrate for.

    Attributes:
        threshold: Probability from which a pair is a match (of a detector without a head: its similarity).
        calibration: Whose thresholds are taken, in place of calibrating anew.
        false_positive_rate: What is calibrated for with neither: share of pictures of unseen identities that may match
            by chance.

    Raises:
        LCMemError: A threshold beside a calibration, or a rate that is no share.
    """

    threshold: float | None = None
    calibration: CalibrationFile | None = None
    false_positive_rate: float = DEFAULT_RATE

    def __post_init__(self) -> None:
        check_share("false positive rate", self.false_positive_rate)
        check_one_threshold(self.threshold, self.calibration)

    def given(self, detector: Detector) -> tuple[float, float] | None:
        """The threshold as a score (:func:`lcmem.matching.compare.given_score`) and as given; None if it was not.

        What is wrong is told here, before anything is encoded.

        Raises:
            LCMemError: A threshold that is none, or that nothing reaches; or the calibration is another model's.
        """
        if self.calibration is not None:
            self.calibration.check(detector)
        return None if self.threshold is None else (given_score(self.threshold, detector), self.threshold)


USUAL = Asked()
"""Calibrated for the usual rate."""
