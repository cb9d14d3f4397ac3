"""What an audit is asked to do."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.errors import LCMemError
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.stats.calibration import DEFAULT_RATE, check_one_threshold, check_share


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Options of :func:`lcmem.jobs.audit.run.audit`, which explains them.

    Raises:
        LCMemError: A rate or a number of matches outside its range.
    """

    model: str | os.PathLike[str] | Detector = "compact"
    threshold: float | None = None
    false_positive_rate: float = DEFAULT_RATE
    top_k: int = 5
    device: str = "cpu"
    workers: int | None = None
    allow_download: bool = False
    command: str | None = None
    calibration: CalibrationFile | None = None
    explain: int = 0
    private: bool = False

    def __post_init__(self) -> None:
        check_share("false positive rate", self.false_positive_rate)
        if self.top_k < 1:
            raise LCMemError(f"top_k must be at least 1, not {self.top_k}")
        if self.explain < 0:
            raise LCMemError(f"explain must be at least 0, not {self.explain}")
        check_one_threshold(self.threshold, self.calibration)

    @cached_property
    def detector(self) -> Detector:
        """The model, loaded once.

        Raises:
            LCMemError: There is no such one, or the calibration is another's.
        """
        detector = load_detector(self.model, Options(self.device, self.allow_download))
        if self.calibration is not None:
            self.calibration.check(detector)
        return detector

    def about(self) -> dict[str, Any]:
        """What a summary says of the settings that were given, JSON-ready."""
        command = {} if self.command is None or self.private else {"command": self.command}
        return command | {"calibration_sha256": self.calibration.about["sha256"] if self.calibration else None}
