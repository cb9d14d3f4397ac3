"""What every detector can do, whatever it is made of."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor


class Detector(ABC):
    """Scores pairs of pictures by their features; higher always means more alike.

    Attributes:
        name: In tables and file names.
        fingerprint: Names all that a feature depends on, so that features can be kept; "" where they are not worth it.
        exhaustive: Whether :meth:`similarities` is quick enough for every pair of a test split.
    """

    name: str
    fingerprint: str
    exhaustive: bool = True

    @abstractmethod
    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]`` (on the CPU) of uint8 RGB pictures ``[B, 3, S, S]`` of any size S.

        What the detector itself wants (another size, a crop, other means) is done in here.
        """

    @abstractmethod
    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Scores ``[N]`` of the rows of two sets of features ``[N, D]``."""

    @abstractmethod
    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Scores ``[N, M]`` of every row of ``[N, D]`` with every row of ``[M, D]``."""


class CosineDetector(Detector):
    """Features that are compared by their angle."""

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Cosines ``[N]``; 0 where a feature is all zero."""
        return F.cosine_similarity(u.float(), v.float(), dim=1)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Cosines ``[N, M]``."""
        return F.normalize(u.float(), dim=1) @ F.normalize(v.float(), dim=1).T
