"""Filling an atlas: only pictures whose content it does not hold yet are encoded."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest
from lcmem.store import Encoded, Filled, fill
from lcmem.store.index import write_skipped

FOLLOWED = 0.5
"""Share of an atlas's pictures that must be among others elsewhere, or these are another set."""


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


@dataclass(frozen=True)
class FilledAtlas(Filled):
    """What was done to an atlas.

    Attributes:
        moved: Pictures whose content was there under a path that is gone.
        removed: Pictures that were there and are in none of the paths.
    """

    moved: int = 0
    removed: int = 0


def fill_atlas(
    manifest: Manifest,
    detector: Detector,
    atlas: Atlas,
    *,
    workers: int | None = None,
    encode: Callable[[list[str]], Iterable[Encoded]] | None = None,
    keep_missing: bool = False,
) -> FilledAtlas:
    """Make an atlas what a manifest is, encoding only pictures that are new or changed, each content once.

    Path, identity and dataset of the manifest replace what the atlas had for the same path. Pictures that are not in
    the manifest, or cannot be read any more, are forgotten; those that were moved or renamed are moved. What could not
    be used this time stands in ``skipped.csv`` of the atlas. Killed before all is done, the atlas is what it was, and
    the same call goes on. It is for one writer: hold :func:`lcmem.locks.alone_in` where others may change the atlas
    meanwhile.

    Args:
        manifest: The pictures.
        detector: The model.
        atlas: Where to look first and to store; of this model.
        workers: Decoding processes.
        encode: What makes the features; by default :func:`encoded`.
        keep_missing: Whether pictures that are not in the manifest stay, to put several sets into one atlas. Those
            whose features are gone with a shard that was deleted are encoded again, or listed where they are gone, too.

    Raises:
        LCMemError: Another model's atlas, one of other pictures, or none of the pictures can be read; the atlas stays
            what it was.
    """
    atlas.check(detector)
    given = len(manifest)
    if keep_missing:  # of other sets in it, too, whatever was in a shard that was deleted
        lost = atlas.lost().table
        others = lost[~lost["path"].isin(manifest.paths)].reindex(columns=manifest.table.columns, fill_value="")
        manifest = replace(manifest, table=pd.concat([manifest.table, others], ignore_index=True))
    keys = None if keep_missing else _followed(atlas, manifest)
    done = fill(atlas.store, manifest.paths, encode or encoded(detector, workers), title="encoding", keys=keys)
    done.contents["reason"] = [reason and manifest.below(reason) for reason in done.contents["reason"]]
    if not any(at < given for at in done.stored):
        raise LCMemError(f"none of the {given} pictures can be used, for example {done.skipped[0][1]}")
    kept = done.contents.iloc[done.stored]
    gone = atlas.table[~atlas.table["path"].isin(kept["path"])] if not keep_missing else atlas.table[:0]
    moved = int(gone["sha256"].isin(kept["sha256"]).sum())
    write_skipped(atlas.folder, done.contents)
    atlas.record(manifest.rows(done.stored), kept, keep_missing=keep_missing)
    return FilledAtlas(done.contents, done.encoded, done.seconds, moved, len(gone) - moved)


def _followed(atlas: Atlas, manifest: Manifest) -> list[str] | None:
    """Content hashes of the pictures, where these were needed to see that they are those of the atlas, moved.

    Raises:
        LCMemError: They are others: none has a path, and few have the content of a picture in it.
    """
    if not len(atlas) or atlas.table["path"].isin(manifest.paths).any():
        return None
    contents = content_table(manifest.paths, {})["sha256"]
    moved = int(atlas.table["sha256"].isin(contents[contents != ""]).sum())
    if moved < FOLLOWED * len(atlas):
        raise LCMemError(
            f"{atlas.folder}: holds other pictures than these ({moved} of its {len(atlas)} are among them); choose "
            "another folder with --out, add these to it with --keep-missing, or delete it"
        )
    return list(contents)
