"""Pictures to features, through a store: what an earlier run finished is not done again."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.card import FEATURES, feature_card, is_atlas
from lcmem.atlas.check import gone_and_changed
from lcmem.atlas.fill import encoded
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.matching.feature_set import FeatureSet
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.pictures.set_depth import same_depth
from lcmem.progress import progress_bar
from lcmem.scan.chunked import ChunkedRows
from lcmem.store import Encoded, Store, fill, is_store

CHANGED = "#changed"
"""What stands behind the path of a picture whose file shows something else than its atlas was made of."""


def read_source(source: ManifestLike | Atlas) -> Manifest | Atlas:
    """Pictures, or an atlas where the folder is one; see :meth:`lcmem.pictures.manifest.Manifest.read`.

    Raises:
        LCMemError: Neither, an atlas without pictures, or what an audit or a scan keeps.
    """
    if isinstance(source, Atlas) or is_atlas(source):
        atlas = source if isinstance(source, Atlas) else Atlas.open(source)  # type: ignore[arg-type]
        if not len(atlas):
            raise LCMemError(
                f"{atlas.folder}: the atlas holds no pictures; lcmem index adds some, or goes on where it was stopped"
            )
        return atlas
    if not isinstance(source, Manifest) and is_store(source, FEATURES):
        raise LCMemError(
            f"{source}: what an audit, a filter or a scan keeps of all its pictures, real and synthetic ones alike, so "
            "it stands for no set of pictures; give the pictures themselves, or an atlas made with lcmem index"
        )
    return Manifest.read(source)


def read_sources(sources: Mapping[str, ManifestLike | Atlas | None]) -> dict[str, Manifest | Atlas]:
    """All sets that a job was given by their names, scaled alike; see :func:`lcmem.pictures.set_depth.same_depth`.

    Raises:
        LCMemError: As of :func:`read_source`.
    """
    return same_depth({name: read_source(source) for name, source in sources.items() if source is not None})


def open_features(folder: Path | None, detector: Detector) -> Store | None:
    """Where a job keeps the features of all pictures that it is given; None where it keeps none, or those of a detector
    without a fingerprint, which could not be known again.

    Raises:
        LCMemError: The folder holds another model's features, or something else.
    """
    return Store.claim(folder, feature_card(detector, FEATURES)) if folder and detector.fingerprint else None


def extract_sets(
    sources: Mapping[str, Manifest | Atlas],
    detector: Detector,
    store: Store | None,
    *,
    workers: int | None = None,
    named: bool = True,
) -> dict[str, FeatureSet]:
    """Features of all sets of a job by their names, as by :func:`extract_features`.

    Raises:
        LCMemError: No picture of a set can be used.
    """
    sets = {}
    for name, source in sources.items():
        title = f"encoding {name}"
        sets[name] = extract_features(source, detector, store, title=title, workers=workers, named=named)
        sets[name].check_usable(name)
    return sets


def extract_features(
    source: Manifest | Atlas,
    detector: Detector,
    store: Store | None,
    *,
    title: str = "encoding",
    workers: int | None = None,
    encode: Callable[[list[str]], Iterable[Encoded]] | None = None,
    named: bool = True,
) -> FeatureSet:
    """Features of every picture.

    Args:
        source: The pictures; or an atlas, whose features are taken as they are, whether its pictures are here or not;
            those that have changed since are not opened, and called :data:`CHANGED`.
        detector: The model.
        store: Where to look first and to store; None stores nothing.
        title: Of the progress bar.
        workers: Decoding processes.
        encode: What makes the features; by default :func:`lcmem.atlas.fill.encoded`.
        named: Whether the store remembers the paths, so that the next run need not read the files to know them again.

    Raises:
        LCMemError: An atlas of another model, or with a damaged shard.

    Warns:
        LCMemWarning: Pictures of an atlas have changed since.
    """
    if isinstance(source, Atlas):
        source.check(detector)
        return _of_atlas(source)
    encode = encode or encoded(detector, workers)
    return _once(source, detector, encode, title) if store is None else _stored(source, store, encode, title, named)


def _of_atlas(atlas: Atlas) -> FeatureSet:
    gone, changed = gone_and_changed(atlas)
    count, doubt, manifest = int(changed.sum()), "", atlas.manifest
    if count:
        example = atlas.manifest.below(atlas.paths[changed.argmax()])
        doubt = (
            f"{count} of {len(atlas)} pictures have changed since the atlas {atlas.folder.name} was made of them, for "
            f"example {example}: what it holds of them is what they were; lcmem index brings it up to date"
        )
        warnings.warn(doubt, LCMemWarning, stacklevel=4)
        names = [path + CHANGED if other else path for path, other in zip(atlas.paths, changed, strict=True)]
        manifest = Manifest(manifest.table.assign(path=names))  # whoever opens or shows pictures does not find these
    keys, closed = list(atlas.table["sha256"]), gone | changed
    return FeatureSet(manifest, atlas.blocks(), [], 0, 0.0, keys, closed if closed.any() else None, doubt)


def _stored(
    manifest: Manifest, store: Store, encode: Callable[[list[str]], Iterable[Encoded]], title: str, named: bool
) -> FeatureSet:
    done = fill(store, manifest.paths, encode, title=title)
    if named:
        store.remember(done.pictures)
    rows = store.of(done.keys)
    skipped = [(path, manifest.below(reason)) for path, reason in done.skipped]
    return FeatureSet(manifest.rows(done.stored), ChunkedRows([rows]), skipped, done.encoded, done.seconds, done.keys)


def _once(
    manifest: Manifest, detector: Detector, encode: Callable[[list[str]], Iterable[Encoded]], title: str
) -> FeatureSet:
    paths, began = manifest.paths, time.perf_counter()
    features = np.zeros((len(paths), detector.dims), dtype=np.float32)
    kept: list[int] = []
    skipped: list[tuple[str, str]] = []
    with progress_bar(title, len(paths)) as advance:
        for batch in encode(paths):
            features[list(batch.at)] = batch.rows
            kept += batch.at
            skipped += [(paths[at], manifest.below(reason)) for at, reason in batch.failures]
            advance(len(batch.at) + len(batch.failures))
    seconds = time.perf_counter() - began
    return FeatureSet(manifest.rows(kept), ChunkedRows(features[kept]), skipped, len(kept), seconds)
