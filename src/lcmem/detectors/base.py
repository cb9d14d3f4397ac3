"""What every detector can do, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.devices import batch_size as suited
from lcmem.devices import full_precision
from lcmem.errors import LCMemError
from lcmem.model import Head
from lcmem.pictures.batch import Batch, is_single, split_batch
from lcmem.pictures.image import PictureLike, load_levels
from lcmem.pictures.loading import PictureBatch, iterate_pictures

Pictures = PictureLike | Batch


class Detector(ABC):
    """Scores pairs of pictures by their features; higher always means more alike.

    A detector of one's own needs a name, a fingerprint and the three abstract methods.

    Attributes:
        name: In tables and file names.
        fingerprint: Cache key: hash of everything the features depend on; "" disables caching.
        exhaustive: Whether :meth:`similarities` is quick enough for every pair of a test split.
        size: Side in pixels of the square that picture files are decoded to.
        proportions: Whether pictures are padded to that square by repeating their edges, not squeezed into it.
        device: Where it computes.
        card: What is known about it, such as its training and what was measured of it; empty of most.
        span: Lowest and highest score that can occur. Used only without a :attr:`head`.
    """

    name: str
    fingerprint: str
    exhaustive: bool = True
    size: int = 256
    proportions: bool = False
    span: tuple[float, float] = (-1.0, 1.0)
    device: torch.device = torch.device("cpu")
    card: Mapping[str, Any] = MappingProxyType({})

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

    @property
    def head(self) -> Head | None:
        """The weighted L1 distance that scores are logits of, for features in [0, 1]; None for any other score."""
        return None

    @property
    def unit(self) -> str:
        """What its scores are: a ``logit`` or a ``similarity``."""
        return "similarity" if self.head is None else "logit"

    @cached_property
    def dims(self) -> int:
        """Number of features, D."""
        return self.embed(torch.zeros(1, 3, self.size, self.size, dtype=torch.uint8)).shape[1]

    def features(self, pictures: Pictures, *, batch_size: int = 64) -> Tensor:
        """Features of pictures.

        Args:
            pictures: One or several of what :func:`lcmem.pictures.image.load_picture` takes, an array ``[N, H, W, 3]``
                or a tensor ``[N, 3, H, W]``.
            batch_size: Changes the speed, not the result.

        Returns:
            ``[N, D]``; N = 1 for a single picture.

        Raises:
            PictureError: One of them cannot be read.
            LCMemError: A batch size below 1.
        """
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise LCMemError(f"batch_size must be a whole number of at least 1, not {batch_size}")
        many = split_batch(pictures)
        parts = []
        for start in range(0, len(many), batch_size):
            squares = [self.square(picture) for picture in many[start : start + batch_size]]
            parts.append(self.embed(torch.stack(squares)))
        return torch.cat(parts) if parts else torch.empty(0, self.dims)

    def square(self, picture: PictureLike) -> Tensor:
        """A picture as :meth:`embed` is given it, ``[3, size, size]`` uint8.

        Raises:
            PictureError: It cannot be read.
        """
        if not self.proportions:
            return torch.from_numpy(load_levels(picture, self.size))
        return pad_to_square(load_levels(picture), self.size)

    def stream(
        self, paths: Sequence[str], *, batch_size: int | None = None, workers: int | None = None
    ) -> Iterator[tuple[PictureBatch, Tensor]]:
        """Yield ``(PictureBatch, features)`` over many files, in order, decoded by worker processes."""
        for batch in self.decoded(paths, batch_size=batch_size or suited(self.device), workers=workers):
            yield batch, self.embed(batch.pictures) if batch.indices else torch.empty(0, self.dims)

    def decoded(self, paths: Sequence[str], *, batch_size: int, workers: int | None) -> Iterator[PictureBatch]:
        """Yield the squares that :meth:`embed` is given of many files, decoded by worker processes."""
        if not self.proportions:
            return iterate_pictures(paths, self.size, batch_size=batch_size, workers=workers)
        pad = partial(pad_to_square, size=self.size)
        return iterate_pictures(paths, None, batch_size=batch_size, workers=workers, take=pad)

    def score(self, a: Pictures, b: Pictures) -> float | Tensor:
        """How alike two pictures are; for LCMem the logit of whether they show the same identity or are copies.

        Args:
            a: A picture, or N of them.
            b: A picture, or N of them.

        Returns:
            A float for two single pictures, else ``[N]`` (a single one is compared with each of the others).

        Raises:
            LCMemError: Several pictures with another number of them.
        """
        u, v = self.features(a), self.features(b)
        if len(u) != len(v) and 1 not in (len(u), len(v)):
            raise LCMemError(f"{len(u)} pictures cannot be compared with {len(v)}: give as many, or one")
        count = max(len(u), len(v))
        with full_precision(u.device):
            scores = self.similarity(*(each.expand(count, -1) if len(each) == 1 else each for each in (u, v)))
        single = is_single(a) and is_single(b)
        return float(scores[0]) if single else scores


class CosineDetector(Detector):
    """Features that are compared by their angle."""

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Cosines ``[N]``; 0 where a feature is all zero."""
        return F.cosine_similarity(u.float(), v.float(), dim=1)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Cosines ``[N, M]``."""
        return F.normalize(u.float(), dim=1) @ F.normalize(v.float(), dim=1).T


def pad_to_square(picture: np.ndarray, size: int) -> Tensor:
    """A picture ``[3, H, W]`` uint8 in a square ``[3, size, size]``, its edges repeated, its proportions kept."""
    height, width = picture.shape[1:]
    rows, columns = (max(height, width) - side for side in (height, width))
    margins = ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    square = torch.from_numpy(np.pad(picture, margins, mode="edge"))[None].float()
    scaled = F.interpolate(square, (size, size), mode="bicubic", antialias=True)[0]
    return scaled.round().clamp(0, 255).to(torch.uint8)
