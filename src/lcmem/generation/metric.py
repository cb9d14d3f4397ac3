"""A metric for training loops: how much of what a generator makes gives a real picture away."""

import hashlib
import os
from typing import Any

import torch
from torch import Tensor

from lcmem.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError, extra
from lcmem.generation.filter import PrivacyFilter
from lcmem.generation.thresholds import Thresholds
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.pictures.manifest import ManifestLike
from lcmem.stats.rates import Rate, proportion

with extra("generation", "MemorizationRate needs torchmetrics"):
    from torchmetrics import Metric


class MemorizationRate(Metric):
    """Share of generated pictures that are a copy of a real one or show somebody of the real set.

    Counts are summed over the processes of a distributed training::

        rate = lcmem.MemorizationRate("compact", "real.atlas")
        rate.update(generator(noise))  # [N, 3, H, W] in [0, 1]
        rate.compute()

    A model that memorizes nothing still has chance matches: about one picture in a hundred with the default threshold.

    Attributes:
        filter: What judges the pictures, with its thresholds.

    Args:
        detector: A model, or its name.
        real: The training pictures, or an atlas of them.
        threshold: As of :class:`lcmem.PrivacyFilter`.
        calibration: The same; with neither, thresholds are calibrated on the real pictures.
        **options: Of :class:`torchmetrics.Metric`.

    Raises:
        LCMemError: As by :class:`lcmem.PrivacyFilter`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    matched: Tensor
    total: Tensor
    mark: Tensor

    def __init__(
        self,
        detector: Detector | str,
        real: Atlas | ManifestLike,
        *,
        threshold: float | None = None,
        calibration: str | os.PathLike[str] | CalibrationFile | Thresholds | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filter = PrivacyFilter(detector, real, threshold=threshold, calibration=calibration)
        self.add_state("matched", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")
        # a collection takes metrics of equal states for one, as of two real sets of which nothing has matched yet
        self.add_state("mark", self._mark(), dist_reduce_fx="max")

    def _mark(self) -> Tensor:
        """A hash of all that decides what is counted, as numbers ``[32]``."""
        known, thresholds = self.filter, self.filter.thresholds
        limits = thresholds.calibration.logit, thresholds.calibration.by_kind, thresholds.copy, thresholds.look
        parts = known.detector.name, known.detector.fingerprint, known.real.manifest.paths, *limits
        return torch.tensor([*hashlib.sha256(repr(parts).encode()).digest()])

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the counts of another metric, as torchmetrics does.

        Raises:
            LCMemError: It has other real pictures, another detector or another threshold.
        """
        state = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        self._check(state.get("mark"))
        super().merge_state(incoming_state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        if f"{prefix}mark" in state_dict:
            self._check(state_dict[f"{prefix}mark"])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _check(self, mark: Any) -> None:
        """Whether counts are of the same thing."""
        if not isinstance(mark, Tensor) or not torch.equal(mark.cpu(), self._mark()):
            raise LCMemError("counts of another MemorizationRate: other real pictures, detector or thresholds")

    def update(self, images: Tensor) -> None:
        """Count the matches of pictures ``[N, 3, H, W]``, uint8 or in [0, 1]; those that show nothing do not count.

        Raises:
            LCMemError: No tensor, or one of another shape.
            PictureError: Values outside of [0, 1], or not finite.
        """
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != 3:
            given = f"of shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"as {type(images).__name__}"
            raise LCMemError(f"pictures {given}; the metric takes a tensor [N, 3, H, W]")
        found = self.filter(images.detach().cpu())
        self.matched += int(found.matched.sum())
        self.total += int((found.matched | found.novel).sum())

    def compute(self) -> Tensor:
        """The share of all pictures since the last reset, a scalar; NaN without any."""
        return self.matched / self.total

    @property
    def rate(self) -> Rate:
        """The same of this process alone, with its 95 % confidence interval."""
        return proportion(int(self.matched), int(self.total))
