"""Decoded pictures in a store, so that benchmarks and trainings decode each content once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcmem.locks import alone_in
from lcmem.pictures.loading import iterate_pictures
from lcmem.pictures.manifest import Manifest
from lcmem.store.card import Card
from lcmem.store.fill import Encoded, fill
from lcmem.store.rows import StoredRows
from lcmem.store.store import Store


@dataclass(frozen=True)
class Decoded:
    """Pictures that could be read.

    Attributes:
        pixels: ``[N, 3, size, size]`` uint8, read from the disk when they are asked for.
        manifest: The N pictures.
        keys: Content hash of each.
        skipped: Path and reason of the others.
    """

    pixels: StoredRows
    manifest: Manifest
    keys: list[str]
    skipped: list[tuple[str, str]]


def decode_pictures(manifest: Manifest, size: int, folder: Path, keys: Sequence[str] | None = None) -> Decoded:
    """Decode every picture, or find it decoded.

    Args:
        manifest: The pictures.
        size: Side of the square that every picture is squeezed into, in pixels.
        folder: Where stores of decoded pictures lie, one for each size.
        keys: Their content hashes, "" where one is not known; by default files that are new or have changed are hashed.
    """
    card = Card("pictures", {"size": size}, f"{size}×{size} pixels", (3, size, size), "uint8", shard_rows=4096)
    place = folder / f"pictures-{size}px"
    with alone_in(place):  # several commands may share it
        store = Store.claim(place, card)
        done = fill(store, manifest.paths, lambda paths: _decoded(paths, size), title="decoding pictures", keys=keys)
        store.remember(done.pictures)
    pixels = store.of(done.keys)
    return Decoded(pixels, manifest.rows(done.stored), done.keys, done.skipped)


def _decoded(paths: list[str], size: int) -> Iterator[Encoded]:
    for batch in iterate_pictures(paths, size, batch_size=8):
        yield Encoded(batch.indices, batch.pictures.numpy(), batch.failures)
