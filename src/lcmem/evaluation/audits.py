"""What an audit finds, on real pictures whose answers are known: an audit of each dataset, as a user runs it."""

import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem import edits
from lcmem.augment import Augmentation
from lcmem.detectors.base import Detector
from lcmem.detectors.each import measure_each
from lcmem.detectors.entry import Options
from lcmem.encoders import LatentEncoder, load_encoder
from lcmem.evaluation.tables import write_csv
from lcmem.files import write_picture
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.run import audit
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import to_float, to_levels
from lcmem.pictures.manifest import Manifest
from lcmem.stats.calibration import DEFAULT_RATE
from lcmem.stats.rates import rate_of

SIDE = 256
"""Pixels: edited copies are of this size."""
REDRAWN = 96
"""Pixels: of this size pictures go through the bundled autoencoder, whose 12×12 latents lose the fine detail."""
LEAST = 10
"""Identities of two pictures that a dataset must have."""

KINDS = ("other photo", "light edit", "heavy edit", "round trip", "half", "unseen")
"""Another photo of someone in the real set; a copy after one edit; a copy after about five; a copy as a small latent
generator would draw it; the left half of a picture beside the right half of someone else's; someone else."""

Light = Callable[[Tensor], Tensor]


def _cropped(picture: Tensor) -> Tensor:
    return edits.crop(picture, torch.tensor([0.9]), torch.tensor([0.5]), torch.tensor([0.5]))


LIGHT: tuple[Light, ...] = (
    lambda picture: edits.jpeg(picture, torch.tensor([75])),
    lambda picture: edits.downscale(picture, 2.0),
    lambda picture: edits.brightness(picture, torch.tensor([1.2])),
    _cropped,
)
"""JPEG 75, half the size, a fifth brighter, 90 % of each side: in turn."""


def benchmark_audit(
    test: Manifest,
    detectors: Sequence[str | Detector],
    out: str | os.PathLike[str],
    *,
    rate: float = DEFAULT_RATE,
    pictures: int = 200,
    options: Options | None = None,
) -> pd.DataFrame:
    """Audit each dataset against pictures of which it is known what should be found.

    Half of the identities make the real set; of those with several pictures one is kept aside as the *other photo*.
    Light and heavy edits and round trips through the bundled autoencoder are made of real pictures; *unseen* are
    pictures of the other half, and of a *half* the left is a real picture's, the right an unseen one's. The audit
    calibrates itself on the real set, as it does for a user.

    Args:
        test: Labelled pictures that no detector was trained on.
        detectors: As :func:`lcmem.detectors.registry.load_detector` takes them.
        out: Folder for ``audits.csv``.
        rate: False positive rate that the audits calibrate for.
        pictures: Maximum number of each kind.
        options: How to load the detectors.

    Returns:
        ``dataset, kind, rate, n_real, n_identities, pictures, found, share`` with ``_low`` and ``_high`` (95 %),
        ``copies`` (share with the verdict copy), ``threshold`` (logit or similarity), ``detector`` and ``status``.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    datasets = [name for name, part in test.table.groupby("dataset") if _identities_of_two(part) >= LEAST]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        drawn = {name: _draw(test, name, pictures, Path(work) / str(number)) for number, name in enumerate(datasets)}

        def measure(detector: Detector) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = []
            for name, (real, synthetic) in drawn.items():
                found = audit(real, synthetic, model=detector, false_positive_rate=rate)
                rows += [{"dataset": name, "rate": rate, **row} for row in _rows(found, real)]
            return rows

        table = pd.DataFrame(measure_each(detectors, datasets, measure, options))
    write_csv(table, folder / "audits.csv")
    return table


def _identities_of_two(part: pd.DataFrame) -> int:
    return int((part.loc[part["identity"] != "", "identity"].value_counts() > 1).sum())


def _draw(test: Manifest, dataset: str, most: int, folder: Path) -> tuple[Manifest, Manifest]:
    """The real set, and synthetic pictures with a folder for each kind."""
    rng = np.random.default_rng(0)
    part = test.table[(test.table["dataset"] == dataset) & (test.table["identity"] != "")]
    part = part.loc[rng.permutation(part.index)]
    known = part["identity"].isin(rng.permutation(part["identity"].unique())[::2])
    aside = known & part["identity"].duplicated(keep=False) & ~part["identity"].duplicated()
    real = test.rows(part.index[known & ~aside])
    chosen = {"other photo": part.index[aside][:most], "unseen": part.index[~known][:most]}
    for kind, rows in chosen.items():
        for number, row in enumerate(rows):
            _save(to_float(_levels(test.table["path"][row])), folder / kind, number)
    autoencoder, strangers = load_encoder(), cycle(test.table["path"][chosen["unseen"]])
    for number, (path, stranger) in enumerate(zip(real.paths[:most], strangers, strict=False)):
        picture = to_float(_levels(path))
        _save(LIGHT[number % len(LIGHT)](picture), folder / "light edit", number)
        _save(Augmentation()(picture, torch.Generator().manual_seed(number)), folder / "heavy edit", number)
        _save(_redrawn(picture, autoencoder), folder / "round trip", number)
        left, right = picture[..., : SIDE // 2], to_float(_levels(stranger))[..., SIDE // 2 :]
        _save(torch.cat((left, right), -1), folder / "half", number)
    return real, Manifest.read(folder, identities=False)


@torch.inference_mode()
def _redrawn(picture: Tensor, autoencoder: LatentEncoder) -> Tensor:
    small = torch.nn.functional.interpolate(picture, (REDRAWN, REDRAWN), mode="bicubic", antialias=True).clamp(0, 1)
    return autoencoder.round_trip(small)


def _levels(path: str) -> Tensor:
    return torch.from_numpy(load_levels(path, SIDE))[None]


def _save(picture: Tensor, folder: Path, number: int) -> None:
    write_picture(to_levels(picture)[0].numpy(), folder / f"{number:05}.png")


def _rows(found: AuditResult, real: Manifest) -> list[dict[str, Any]]:
    """How many of each kind were found."""
    best = found.to_frame()
    kinds = best["path"].map(lambda path: Path(path).parent.name)
    rows = []
    for kind in KINDS:
        part = best[kinds == kind]
        share = rate_of(part["match"].to_numpy())
        rows.append(
            {
                "kind": kind,
                "n_real": len(real),
                "n_identities": len({*real.identities}),
                "pictures": share.total,
                "found": share.count,
                **share.columns("share"),
                "copies": float((part["verdict"] == "copy").mean()),
                "threshold": found.calibration.logit,
            }
        )
    return rows
