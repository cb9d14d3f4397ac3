"""``lcmem experiment latent-filter``: does a filter on the generator's latents decide as one on its pictures does?"""

from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.generation.diffusion.bench import Bench, embedded, features_of, unconditional
from lcmem.generation.filter import PrivacyFilter, Verdicts
from lcmem.generation.latent_filter import LatentFilter
from lcmem.latents import LatentStore


def latent_filter(bench: Bench) -> pd.DataFrame:
    """Judge the same latents twice, as they are and decoded: samples, training pictures and held-out pictures.

    The generator is the one of the smallest training set of the size curve, which gives away most. A difference
    between both judgements of a *real* picture is the autoencoder's round trip; samples should differ no more. Writes
    ``latent_filter.csv``.

    Raises:
        LCMemError: The detector looks at pixels, or was trained on latents of another autoencoder or size.
    """
    settings, detector = bench.settings, bench.detector
    if not isinstance(detector, LCMem) or detector.encoder.card.downsample == 1:
        raise LCMemError(f"{detector.name} looks at pixels; take --model compact-latent --set size=256")
    if detector.size != settings.size:
        raise LCMemError(
            f"{detector.name} takes latents of {detector.size}-pixel pictures: add --set size={detector.size}"
        )
    store = bench.first(min(settings.sizes))
    privacy = PrivacyFilter(bench.detector, features_of(store.manifest, bench.detector, bench.folder))
    on_latents = privacy.on_latents(bench.encoder)
    name, module = bench.by_size(store)
    samples = bench.samples(name, module, store, unconditional(settings.samples))
    drawn = torch.from_numpy(samples.latents).float()
    rows = [{"set": "samples"} | _both(bench, on_latents, drawn, store)]
    for title, part in (("training", store), ("holdout", bench.holdout)):
        real = part.read(np.arange(min(settings.samples, len(part))), normalise=True)
        rows.append({"set": title} | _both(bench, on_latents, real, part))
    table = pd.DataFrame(rows)
    write_table(table, bench.folder / "latent_filter.csv")
    return table


def _both(bench: Bench, on_latents: LatentFilter, latents: torch.Tensor, store: LatentStore) -> dict[str, Any]:
    direct, decoded = [], []
    for start in range(0, len(latents), bench.settings.batch_size):
        part = latents[start : start + bench.settings.batch_size]
        at = np.arange(start, start + len(part)) % len(store)
        direct.append(on_latents(bench.raw(part, store, at)).table)
        pictures = bench.pictures(part, store, at)
        decoded.append(on_latents.base.judge(embedded(bench.detector, pictures)).table)
    return _agreement(*(Verdicts(pd.concat(each, ignore_index=True)) for each in (direct, decoded)))


def _agreement(direct: Verdicts, decoded: Verdicts) -> dict[str, Any]:
    apart = (direct.table["logit"] - decoded.table["logit"]).to_numpy()
    return {
        "pictures": len(apart),
        "flagged_latents": float((~direct.novel).mean()),
        "flagged_pictures": float((~decoded.novel).mean()),
        "same_verdict": float((direct.novel == decoded.novel).mean()),
        "same_real_picture": float((direct.table["real"].to_numpy() == decoded.table["real"].to_numpy()).mean()),
        "difference_mean": float(apart.mean()),
        "difference_median": float(np.median(np.abs(apart))),
        "difference_95": float(np.quantile(np.abs(apart), 0.95)),
    }
