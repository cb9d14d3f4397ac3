"""Filling an atlas: only pictures whose content it does not hold yet are encoded."""

from collections.abc import Callable, Iterable

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.pictures.manifest import Manifest
from lcmem.store import Encoded, Filled, fill


def encoded(detector: Detector, workers: int | None = None) -> Callable[[list[str]], Iterable[Encoded]]:
    """How a model makes the features of paths, in this process, as :func:`lcmem.store.fill` wants it.

    Args:
        detector: The model.
        workers: Decoding processes.
    """

    def encode(paths: list[str]) -> Iterable[Encoded]:
        for batch, features in detector.stream(paths, workers=workers):
            yield Encoded(batch.indices, features.float().numpy(), batch.failures)

    return encode


def fill_atlas(
    manifest: Manifest,
    detector: Detector,
    atlas: Atlas,
    *,
    title: str = "encoding",
    workers: int | None = None,
    encode: Callable[[list[str]], Iterable[Encoded]] | None = None,
) -> Filled:
    """Put every picture into the atlas, encoding those that are new or changed, each content once.

    Path, identity and dataset of the manifest replace what the atlas had for the same path. Killed before all is done,
    the atlas is what it was, and the same call goes on.

    Args:
        manifest: The pictures.
        detector: The model.
        atlas: Where to look first and to store; of this model.
        title: Of the progress bar.
        workers: Decoding processes.
        encode: What makes the features; by default :func:`encoded`.
    """
    atlas.check(detector)
    done = fill(atlas.store, manifest.paths, encode or encoded(detector, workers), title=title)
    atlas.record(manifest.rows(done.stored), done.contents.iloc[done.stored])
    return done
