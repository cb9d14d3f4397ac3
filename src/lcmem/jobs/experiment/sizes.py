"""``lcmem experiment size-curve``: what a generator gives away by the size of its training set."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.files import write_table
from lcmem.generation.diffusion.bench import Bench, features_of, save_grid, unconditional
from lcmem.generation.diffusion.samples import Samples
from lcmem.generation.filter import PrivacyFilter
from lcmem.latents import LatentStore
from lcmem.report.experiments import plot_sizes
from lcmem.stats.rates import rate_of

SHOWN = 8
"""Nearest pairs shown for each size."""


def size_curve(bench: Bench) -> pd.DataFrame:
    """Memorization by the size of the training set: generators without condition, trained for equal numbers of steps.

    Writes ``sizes.csv``, ``sizes.png`` and for each size the samples nearest to a training picture beside that
    picture (``nearest.png``).
    """
    rows, settings = [], bench.settings
    for size in settings.sizes:
        store = bench.first(size)
        name, module = bench.by_size(store)
        samples = bench.samples(name, module, store, unconditional(settings.samples))
        rows.append({"pictures": size} | _by_size(bench, store, samples, name))
        write_table(pd.DataFrame(rows), bench.folder / "sizes.csv")
    table = pd.DataFrame(rows)
    plot_sizes(table, bench.folder / "sizes.png")
    return table


def _by_size(bench: Bench, store: LatentStore, samples: Samples, name: str) -> dict[str, Any]:
    """Share of samples, and of held-out pictures, that match one of the training pictures."""
    privacy = PrivacyFilter(bench.detector, features_of(store.manifest, bench.detector, bench.folder))
    pictures = bench.decoded(samples, store)
    judged = privacy.judge(torch.from_numpy(samples.matching), samples=pictures)
    held_out = torch.from_numpy(np.array(bench.control.blocks[:]))
    control = privacy.judge(held_out, samples=bench.control.manifest.paths)
    row: dict[str, Any] = {"threshold": privacy.thresholds.calibration.logit}
    for title, found in (("samples", judged), ("holdout", control)):
        row |= rate_of(~found.novel).columns(title)
    at = judged.table["logit"].nlargest(SHOWN).index.to_numpy()
    made = torch.from_numpy(np.stack([pictures[k] for k in at])).permute(0, 3, 1, 2)
    real = pd.Index(store.manifest.paths).get_indexer(pd.Index(judged.table["real"][at]))
    originals = bench.pictures(store.read(real, normalise=True), store, real)
    save_grid(torch.cat([made, originals]), bench.folder / name / "nearest.png", columns=len(at))
    return row
