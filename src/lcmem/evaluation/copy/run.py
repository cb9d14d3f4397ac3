"""Copy detection: is an edited copy still recognised (paper, section 4.2, figures 4 and 5)?"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.detectors.each import measure_each
from lcmem.detectors.entry import Options
from lcmem.errors import LCMemError
from lcmem.evaluation.copy.figures import strengths_figure, strongest_figure
from lcmem.evaluation.copy.part import CopyPart
from lcmem.evaluation.copy.sample import content_hashes, random_identities, random_pictures
from lcmem.evaluation.copy.summary import STRONGEST, strongest, summary
from lcmem.evaluation.copy.threshold_pairs import ThresholdPairs, average
from lcmem.evaluation.copy.transforms import PAPER, TRANSFORMS
from lcmem.evaluation.copy.variants import Variant, variants_of
from lcmem.evaluation.pairing import Features, Measurement
from lcmem.evaluation.pictures import SIZE, BenchmarkPictures
from lcmem.evaluation.tables import write_csv, write_figure
from lcmem.files import write_text
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar
from lcmem.stats.bootstrap import interval
from lcmem.stats.thresholds import RULES

MACRO = "macro"
"""The row of the mean over the datasets."""
VALIDATION = 400
"""Most validation pictures of each dataset that thresholds are taken from."""
VARIANT = ["dataset", "detector", "protocol", "transform", "strength"]
RATES = ["recall", "false_positive_rate"]
WITH_INTERVALS = [name + end for name in RATES for end in ("", "_low", "_high")]
COUNTS = ["n_identities", "n_positive", "n_negative"]
MAPS = ["auc", "specificity_at_99_sensitivity", "map", "map_normalised"]
COLUMNS = [*VARIANT, "threshold_rule", *WITH_INTERVALS, "threshold", *COUNTS, "dims", "status"]


def benchmark_copy(
    manifest: Manifest,
    detectors: Sequence[str | Detector],
    out: str | os.PathLike[str],
    *,
    pictures: int = 1000,
    transforms: Sequence[str] | None = None,
    protocol: str = "fixed",
    split: str = "test",
    threshold_split: str = "val",
    size: int = SIZE,
    cache: Path | None = None,
    options: Options | None = None,
) -> pd.DataFrame:
    """Recall of edited copies, and the false positive rate at the same threshold, for each transform and strength.

    Each copy is compared with its original and with the other originals of its dataset that show somebody else. The
    threshold comes from another split of the same dataset, see :mod:`lcmem.evaluation.copy.threshold_pairs` and
    :data:`lcmem.stats.thresholds.RULES`. Protocol ``paper`` gives a dataset without identities the mean threshold
    of the others, which means little where scores have another range on it; ``fixed`` takes it from edited copies.

    Args:
        manifest: Pictures with splits.
        detectors: As :func:`lcmem.detectors.registry.load_detector` takes them.
        out: Folder for ``copy.csv``, ``copy_map.csv`` (what needs no threshold: AUC, specificity at 99 % sensitivity,
            µAP without and with score normalisation, one queue for each dataset), ``copy_pictures.csv`` (which pictures
            were taken), ``copy.md``, the figures ``copy-strongest`` and ``copy-strengths`` (PNG and SVG), and features
            that a second run needs not make again.
        pictures: Test pictures, over all datasets.
        transforms: Some of :data:`lcmem.evaluation.copy.transforms.TRANSFORMS`; None for all.
        protocol: ``fixed`` or ``paper``.
        split: Split of the pictures that are copied.
        threshold_split: Split of the pictures that thresholds are taken from.
        size: Side in pixels of the pictures that are edited and then given to every detector.
        cache: Folder for decoded pictures and features, best that of the re-identification benchmark. Default:
            ``out/cache``.
        options: How to load the detectors.

    Returns:
        The table of ``copy.csv``: ``dataset`` (``macro``: the mean over the datasets), ``detector``, ``protocol``,
        ``transform`` (``strongest``: the mean over the paper's at their strongest), ``strength``, ``threshold_rule``,
        ``recall`` and ``false_positive_rate`` each with ``_low`` and
        ``_high`` (95 % intervals over the identities that were copied, at the same threshold), ``threshold``,
        ``n_identities``, ``n_positive``, ``n_negative``, ``dims`` (numbers in a feature) and ``status`` (``ok``, or
        why a detector has no more than this row).

    Raises:
        LCMemError: No such transform or split, no dataset with a threshold, or no picture can be read.
    """
    folder, variants = Path(out), variants_of(transforms)
    if protocol not in RULES:
        raise LCMemError(f"unknown protocol {protocol!r}; known: {', '.join(RULES)}")
    folder.mkdir(parents=True, exist_ok=True)
    cache = cache or folder / "cache"
    parts = _parts(manifest, split, threshold_split, pictures, protocol, cache, size)
    _write_pictures(parts, folder)
    work = sum(len(part.test) * (1 + len(variants)) + part.calibration.work for part in parts)
    with progress_bar("copies", work * len(detectors)) as advance:

        def measure(detector: Detector) -> list[dict[str, Any]]:
            return _measure(Measurement(detector, cache, advance), parts, variants, protocol)

        rows = measure_each(detectors, [MACRO], measure, options)
    table = pd.DataFrame(rows).assign(protocol=protocol)
    table = table.reindex(columns=COLUMNS + MAPS).astype(dict.fromkeys([*COUNTS, "dims"], "Int64"))
    maps = table.drop_duplicates(VARIANT)[VARIANT + MAPS].dropna(subset="auc")
    table = table[COLUMNS]
    write_csv(table, folder / "copy.csv")
    write_csv(maps, folder / "copy_map.csv")
    write_text(summary(table, maps), folder / "copy.md")
    if len(strongest(table)):
        write_figure(strongest_figure(table), folder / "copy-strongest")
        write_figure(strengths_figure(table), folder / "copy-strengths")
    return table


def _parts(
    manifest: Manifest, split: str, threshold_split: str, count: int, protocol: str, cache: Path, size: int
) -> list[CopyPart]:
    """The datasets, their pictures decoded."""
    test = random_pictures(manifest.select(split=split), count)
    validation = random_identities(manifest.select(split=threshold_split), VALIDATION)
    lost = sorted({*test.table["dataset"]} - {*validation.table["dataset"]})
    if lost:
        raise LCMemError(f"{lost[0]!r} has no pictures in split {threshold_split!r} to take a threshold from")
    parts = []
    for name in sorted(test.table["dataset"].unique()):
        chosen = (part.select(dataset=name) for part in (test, validation))
        originals, others = (BenchmarkPictures.read(part, cache, size, content_hashes(part)) for part in chosen)
        parts.append(CopyPart(name, originals, ThresholdPairs.of(others, protocol)))
    if protocol == "paper" and all(part.calibration.edited for part in parts):
        raise LCMemError("no dataset has identities to take a threshold from: use the protocol 'fixed'")
    return parts


def _measure(
    measured: Measurement, parts: Sequence[CopyPart], variants: Sequence[Variant], protocol: str
) -> list[dict[str, Any]]:
    plain = [part.plain(measured) for part in parts]
    limits = _thresholds(measured, parts, plain, protocol)
    rows = []
    for part, features, rules in zip(parts, plain, limits, strict=True):
        for variant in variants:
            rows += part.rows(variant, rules, part.scores(measured, features, variant))
    table = pd.DataFrame(rows)
    macro = _macro(table)
    tables = [part for part in (table, macro, _strongest_mean(macro)) if len(part)]
    table = _with_intervals(pd.concat(tables, ignore_index=True))
    return table.assign(dims=plain[0][0].dims).to_dict("records")


def _macro(table: pd.DataFrame) -> pd.DataFrame:
    """The means over the datasets."""
    keys = ["transform", "strength", "threshold_rule"]
    groups = table.groupby(keys, sort=False, as_index=False)
    rates = pd.DataFrame(
        [
            dict(zip(keys, key, strict=True)) | {"rates": np.mean(np.stack([*part]), axis=0)}
            for key, part in table.groupby(keys, sort=False)["rates"]
        ]
    )
    means = groups[MAPS].agg(_mean).merge(groups[COUNTS].sum(), on=keys)
    return means.merge(rates, on=keys).assign(dataset=MACRO)


def _strongest_mean(macro: pd.DataFrame) -> pd.DataFrame:
    """For each rule a row of the mean over the paper's transforms at their strongest, of those that were measured."""
    last = macro["transform"].map({name: TRANSFORMS[name].strengths[-1] for name in PAPER})
    rows = []
    for rule, part in macro[macro["strength"] == last].groupby("threshold_rule", sort=False):
        same = part.iloc[0][[*COUNTS, "dataset"]].to_dict()
        mean = {"rates": np.mean(np.stack([*part["rates"]]), axis=0)}
        rows.append(same | mean | {"transform": STRONGEST, "strength": np.nan, "threshold_rule": rule})
    return pd.DataFrame(rows)


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Recall and false positive rate with intervals, from ``rates`` ``[2, 1 + R]`` of each row."""
    rates = np.stack([*table["rates"]])
    low, high = interval(rates[..., 1:])
    columns = np.stack((rates[..., 0], low, high), axis=-1).reshape(len(table), -1)
    return table.drop(columns="rates").join(pd.DataFrame(columns, columns=WITH_INTERVALS))


def _mean(values: pd.Series) -> float:
    """NaN where one dataset has no number."""
    return float(values.mean(skipna=False))


def _thresholds(
    measured: Measurement, parts: Sequence[CopyPart], plain: Sequence[tuple[Features, Features]], protocol: str
) -> list[dict[str, float]]:
    """The thresholds of each dataset."""
    found = [
        None
        if protocol == "paper" and part.calibration.edited
        else part.calibration.thresholds(measured, background, protocol)
        for part, (_, background) in zip(parts, plain, strict=True)
    ]
    return [rules or average([rules for rules in found if rules]) for rules in found]


def _write_pictures(parts: Sequence[CopyPart], folder: Path) -> None:
    """Which pictures were taken, and why others could not be read."""
    used = [(part.name, use, group) for part in parts for use, group in part.groups.items()]
    tables = [
        pd.DataFrame({"dataset": name, "use": use, "sha256": group.keys, "path": group.manifest.paths})
        for name, use, group in used
    ]
    write_csv(pd.concat(tables), folder / "copy_pictures.csv")
    skipped = [reason for _, _, group in used for _, reason in group.skipped]
    if skipped:
        write_text("\n".join(skipped), folder / "copy_skipped.txt")
