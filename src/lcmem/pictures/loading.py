"""Many pictures: decoded by worker processes, in order, in batches; unreadable ones are set aside, not fatal."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lcmem.errors import PictureError
from lcmem.pictures.image import load_levels
from lcmem.pictures.information import check_information

T = TypeVar("T")
FEW = 64
"""Pictures that are decoded in this process: starting others takes longer."""


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


class _Pictures(Dataset[tuple[int, Any]]):
    def __init__(self, paths: Sequence[str], size: int | None, take: Callable[[np.ndarray], Any]) -> None:
        self.paths, self.size, self.take = paths, size, take

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        try:
            levels = load_levels(self.paths[index], self.size)
            check_information(levels, self.paths[index])
            return index, self.take(levels)
        except PictureError as error:
            return index, error


@dataclass(frozen=True)
class _Growing(Sampler[list[int]]):
    """Positions below ``count`` in batches of 1, 2, 4, … up to ``most``."""

    count: int
    most: int

    def __iter__(self) -> Iterator[list[int]]:
        start, size = 0, 1
        while start < self.count:
            yield list(range(start, min(start + size, self.count)))
            start, size = start + size, min(2 * size, self.most)


def to_float(pictures: Tensor) -> Tensor:
    """uint8 ``[B, 3, H, W]`` to float32 in [0, 1], in the memory format that convolutions on a CPU prefer."""
    return pictures.contiguous(memory_format=torch.channels_last).float().div_(255)


def to_levels(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1], of any shape, to uint8: the way back of :func:`to_float`."""
    return (pictures * 255).round().to(torch.uint8)


def _stack(items: list[tuple[int, Any]]) -> tuple[list[int], np.ndarray, list[tuple[int, str]]]:
    """The parts of a batch; its pictures as an array, which goes through a pipe, since tensors would go through shared
    memory: containers have little, and a worker that finds none is waited for without end."""
    good = [(index, item) for index, item in items if not isinstance(item, PictureError)]
    bad = [(index, str(item)) for index, item in items if isinstance(item, PictureError)]
    pictures = torch.stack([item for _, item in good]).numpy() if good else np.empty(0, dtype=np.uint8)
    return [index for index, _ in good], pictures, bad


def _silence(_: int) -> None:
    """What fails in a worker is raised in the main process; only a thread that sends batches prints, after Ctrl-C."""
    sys.excepthook = lambda *_: None


def default_workers() -> int:
    """One decoding process for each core but one, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores - 1))


def decode(
    paths: Sequence[str],
    take: Callable[[np.ndarray], Any],
    collate: Callable[[list[tuple[int, Any]]], T],
    *,
    size: int | None = None,
    batch_size: int = 64,
    workers: int | None = None,
) -> Iterator[T]:
    """Decode pictures in order, in worker processes that send back only what is needed of them.

    Args:
        paths: What :func:`lcmem.pictures.image.load_picture` takes.
        take: What is needed of a picture ``[3, H, W]`` uint8.
        collate: Makes a batch, without tensors, of positions and what was taken; a
            :class:`lcmem.errors.PictureError` where the picture could not be read. Runs in the worker too: a batch
            travels faster in one piece.
        size: Side of the square that every picture is squeezed into, in pixels; None keeps each as it is.
        batch_size: Pictures in a batch. The first ones are smaller, so that speed and time left are soon known.
        workers: Decoding processes; 0 decodes in this process. Default: :func:`default_workers`, none for few pictures.
    """
    if workers is None:
        workers = default_workers() if len(paths) > FEW else 0
    pictures = _Pictures(paths, size, take)
    yield from DataLoader(
        pictures,
        batch_sampler=_Growing(len(paths), batch_size),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_silence,
    )


def iterate_pictures(
    paths: Sequence[str],
    size: int | None,
    *,
    batch_size: int = 64,
    workers: int | None = None,
    take: Callable[[np.ndarray], Tensor] = torch.from_numpy,
) -> Iterator[PictureBatch]:
    """Decode pictures in order into batches of ``[B, 3, size, size]`` uint8; arguments as of :func:`decode`.

    With ``size=None``, ``take`` makes all pictures the same size.
    """
    for indices, pictures, failures in decode(paths, take, _stack, size=size, batch_size=batch_size, workers=workers):
        yield PictureBatch(indices, torch.from_numpy(pictures), failures)
