"""Many pictures: decoded by worker processes, in order, in batches; unreadable ones are set aside, not fatal."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lcmem.errors import PictureError
from lcmem.images import load_picture


@dataclass(frozen=True)
class PictureBatch:
    """Decoded pictures and what could not be decoded.

    Attributes:
        indices: Positions in the list of paths of the pictures that could be read.
        pictures: ``[len(indices), 3, size, size]`` uint8.
        failures: Position and reason for each picture that could not be read.
    """

    indices: list[int]
    pictures: Tensor
    failures: list[tuple[int, str]]


class _Pictures(Dataset[tuple[int, "Tensor | str"]]):
    def __init__(self, paths: Sequence[str], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> "tuple[int, Tensor | str]":
        try:
            return index, to_uint8(load_picture(self.paths[index], self.size))
        except PictureError as error:
            return index, str(error)


def to_uint8(picture: np.ndarray) -> Tensor:
    """Float [0, 1] to the nearest of 256 levels: the network's input, alike for files, arrays and caches."""
    return torch.from_numpy(np.rint(picture * 255).astype(np.uint8))


def to_float(pictures: Tensor) -> Tensor:
    """uint8 ``[B, 3, H, W]`` to float32 in [0, 1], in the memory format that convolutions on a CPU prefer."""
    return pictures.float().div_(255).contiguous(memory_format=torch.channels_last)


def _collate(items: "list[tuple[int, Tensor | str]]") -> PictureBatch:
    good = [(index, item) for index, item in items if isinstance(item, Tensor)]
    bad = [(index, item) for index, item in items if isinstance(item, str)]
    pictures = torch.stack([item for _, item in good]) if good else torch.empty(0, dtype=torch.uint8)
    return PictureBatch([index for index, _ in good], pictures, bad)


def default_workers() -> int:
    """One decoding process for each core but one, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores - 1))


def iterate_pictures(
    paths: Sequence[str], size: int, *, batch_size: int = 64, workers: int | None = None
) -> Iterator[PictureBatch]:
    """Decode pictures in order.

    Args:
        paths: What :func:`lcmem.images.load_picture` takes.
        size: Side of the square that every picture is squeezed into, in pixels.
        batch_size: Pictures in a batch.
        workers: Decoding processes; 0 decodes in this process. Default: :func:`default_workers`, none for few pictures.
    """
    if workers is None:
        workers = default_workers() if len(paths) > batch_size else 0
    yield from DataLoader(_Pictures(paths, size), batch_size=batch_size, num_workers=workers, collate_fn=_collate)
