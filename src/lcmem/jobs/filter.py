"""A folder of synthetic pictures without those that match a real one."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import common_folder, finite, replacing, write_json, write_table
from lcmem.generation.filter import PrivacyFilter
from lcmem.jobs.output import claim_output
from lcmem.matching.asked import USUAL, Asked
from lcmem.matching.feature_set import FeatureSet, skipped_table
from lcmem.matching.features import extract_sets, open_features, read_sources
from lcmem.matching.verdicts import NO_MATCH
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.pictures.paths import read_bytes, split_bits, split_slice, split_zip
from lcmem.progress import progress_bar

KEPT, PARTIAL = "kept", "kept.partial"
WAYS = ("copy", "link", "none")
"""What is done with the pictures that pass: copied, linked (hard links where the disk allows, else copied), nothing."""
BATCH = 256
"""Pictures judged at once."""


def filter_pictures(
    synthetic: Atlas | ManifestLike,
    against: Atlas | ManifestLike,
    detector: Detector,
    out: str | os.PathLike[str],
    *,
    asked: Asked = USUAL,
    files: str = "copy",
    workers: int | None = None,
) -> dict[str, Any]:
    """Judge pictures by a :class:`lcmem.generation.filter.PrivacyFilter` and collect those that pass.

    Args:
        synthetic: The generated pictures; an atlas is refused.
        against: The real ones.
        detector: The model.
        out: Folder for ``kept/``, with the pictures that pass below the names that they have, for ``filter.csv``
            (``path`` and the columns of :class:`lcmem.generation.filter.Verdicts`), ``skipped.csv``, ``summary.json``
            and the features of both sets: the same call, given again, goes on where it was.
        asked: From which score on pictures match.
        files: One of :data:`WAYS`.
        workers: Decoding processes.

    Returns:
        The summary.

    Raises:
        LCMemError: None of the pictures of a set can be read, the synthetic ones are an atlas, slices of volumes are to
            be copied, a threshold or a calibration does not fit, or the folder holds something else.
    """
    asked.given(detector)
    sets = read_sources({"real": against, "synthetic": synthetic})
    check_copyable(sets["synthetic"], files)
    with claim_output(out, "filter", {"synthetic": synthetic, "against": against}) as target:
        found = extract_sets(sets, detector, open_features(target / "features", detector), workers=workers)
        privacy = PrivacyFilter(
            detector,
            found["real"],
            threshold=asked.threshold,
            calibration=asked.calibration,
            false_positive_rate=asked.false_positive_rate,
        )
        table = _judged(found["synthetic"], privacy)
        skipped = skipped_table(found)
        (target / "summary.json").unlink(missing_ok=True)  # it stands beside a complete result only
        for folder in (KEPT, PARTIAL):  # of an earlier run, which let others pass
            shutil.rmtree(target / folder, ignore_errors=True)
        write_table(skipped, target / "skipped.csv")
        write_table(table, target / "filter.csv")
        passed = list(table["path"][table["verdict"] == NO_MATCH])
        if files != "none":
            _collect(passed, target / KEPT, link=files == "link")
        summary = _summary(table, len(skipped), privacy)
        write_json(summary, target / "summary.json")
        return summary


def check_copyable(synthetic: Manifest | Atlas, files: str) -> None:
    """Whether the pictures that pass can be collected so.

    Raises:
        LCMemError: ``files`` is none of :data:`WAYS`, it is an atlas, or slices of volumes are to be copied.
    """
    if isinstance(synthetic, Atlas):
        raise LCMemError(
            f"{synthetic.folder}: an atlas, but what is filtered are pictures; name their folder, zip or table"
        )
    if files not in WAYS:
        raise LCMemError(f"unknown way {files!r} to keep files; known: {', '.join(WAYS)}")
    slices = [path for path in synthetic.paths if split_slice(path)[1] is not None]
    if slices and files != "none":
        raise LCMemError(
            f"{slices[0]}: a slice cannot be copied out of its file; take --files none for the table alone"
        )


def _judged(found: FeatureSet, privacy: PrivacyFilter) -> pd.DataFrame:
    parts, count = [], len(found.blocks)
    with progress_bar("comparing", count) as advance:
        for start in range(0, count, BATCH):
            features = np.array(found.blocks[start : start + BATCH])
            paths = found.manifest.paths[start : start + BATCH]
            parts.append(privacy.judge(torch.from_numpy(features), samples=paths).table)
            advance(len(features))
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "path", found.manifest.paths)
    return table


def _collect(paths: list[str], target: Path, *, link: bool) -> None:
    """Fill a new folder, which gets its name when it is whole."""
    partial = target.with_name(PARTIAL)
    partial.mkdir()
    files = [split_bits(path)[0] for path in paths]
    places = [os.path.normpath(file) for file in files]  # with .. a table could lead out of the folder
    root = common_folder(os.path.dirname(place) for place in places)
    with progress_bar("keeping", len(paths)) as advance:
        for file, plain in zip(files, places, strict=True):
            place = partial / (os.path.relpath(plain, root) if root else plain.replace(":", "").lstrip("\\/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            _keep(file, place, link)
            advance(1)
    partial.replace(target)


def _keep(file: str, place: Path, link: bool) -> None:
    if link and split_zip(file)[0] is None:
        try:
            os.link(os.path.realpath(file), place)
            return
        except OSError:  # another disk, or one without hard links
            pass
    with replacing(place) as partial:
        partial.write_bytes(read_bytes(file))


def _summary(table: pd.DataFrame, skipped: int, privacy: PrivacyFilter) -> dict[str, Any]:
    counts, detector = table["verdict"].value_counts(), privacy.detector
    levels, closed = privacy.thresholds, privacy.real.closed
    return {
        "synthetic": len(table),
        "kept": int(counts.get(NO_MATCH, 0)),
        "rejected": {str(name): int(count) for name, count in counts.items() if name != NO_MATCH},
        "skipped": skipped,
        "real": len(privacy.real.manifest),
        "model": detector.name,
        "fingerprint": detector.fingerprint,
        "real_not_here": 0 if closed is None else int(closed.sum()),
        "threshold_identity": finite(levels.calibration.logit),
        "thresholds_by_dataset": {kind: finite(level) for kind, level in levels.calibration.by_kind.items()},
        "threshold_copy": finite(levels.copy),
        "thresholds_look": [level for level in levels.look.correlations if np.isfinite(level)],
        "threshold_explanation": levels.calibration.explanation,
    }
