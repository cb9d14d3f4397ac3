"""What an audit is asked to do."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.errors import LCMemError
from lcmem.matching.asked import USUAL, Asked


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Options of :func:`lcmem.jobs.audit.run.audit`, which explains them.

    Raises:
        LCMemError: A number of matches or of explanations outside its range.
    """

    model: str | os.PathLike[str] | Detector = "compact"
    asked: Asked = USUAL
    top_k: int = 5
    device: str = "cpu"
    workers: int | None = None
    allow_download: bool = False
    command: str | None = None
    explain: int = 0
    private: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise LCMemError(f"top_k must be at least 1, not {self.top_k}")
        if self.explain < 0:
            raise LCMemError(f"explain must be at least 0, not {self.explain}")

    @cached_property
    def detector(self) -> Detector:
        """The model, loaded once.

        Raises:
            LCMemError: There is no such one, or what is asked for does not fit it.
        """
        detector = load_detector(self.model, Options(self.device, self.allow_download))
        self.asked.given(detector)
        return detector

    def about(self) -> dict[str, Any]:
        """What a summary says of the settings that were given, JSON-ready."""
        command = {} if self.command is None or self.private else {"command": self.command}
        file = self.asked.calibration
        return command | {"calibration_sha256": None if file is None else file.about["sha256"]}
