"""Simulated audits again: how often a stranger matches by its looks."""

import numpy as np
import pandas as pd
from population import EACH

from lcmem.evaluation.tables import markdown
from lcmem.matching.copies import measure_look
from lcmem.matching.features import FeatureSet
from lcmem.matching.thumbnails import SIDE, grey
from lcmem.model import Head
from lcmem.pictures.loading import iterate_pictures
from lcmem.stats.chance import Chance

INTRODUCTION = """
### Strangers who match by their looks

A generated picture also matches if its thumbnail and that of its best match are alike enough for this set
([copies.md](copies.md)). **Level**: the correlation that this takes, on average over the audits; **true**: the share of
strangers whose best match reaches it; **worst**: in the worst of the audits.
"""


def look_section(found: FeatureSet, head: Head, people: tuple[int, ...], audits: int) -> str:
    """A table for the first picture of every person: sets of so many people, all others are strangers."""
    first = np.arange(0, len(found.manifest), EACH)
    scores = head.all_pairs(found.features[first], found.features[first]).detach().numpy().copy()
    np.fill_diagonal(scores, -np.inf)
    alike = correlations([found.manifest.paths[at] for at in first])
    rows = []
    for count in people:
        if 2 * count <= len(first):
            table = pd.DataFrame(audit(scores, alike, count, np.random.default_rng([count, k])) for k in range(audits))
            mean = table.mean()
            rates = (f"{value:.2%}" for value in (mean["stated"], mean["true"], table["true"].max()))
            rows.append([str(count), f"{mean['level']:.3f}", *rates])
    return f"{INTRODUCTION}\n{markdown(['people', 'level', 'stated', 'true', 'worst'], rows)}\n"


def correlations(paths: list[str]) -> np.ndarray:
    """Of the thumbnails of all pictures with each other, ``[P, P]``, or of one and the mirror image of the other."""
    small = [grey(picture) for batch in iterate_pictures(paths, SIDE) for picture in batch.pictures.numpy()]
    plain, mirrored = (unit(np.stack(small)[:, :, ::step]) for step in (1, -1))
    return np.maximum(plain @ plain.T, plain @ mirrored.T)


def unit(small: np.ndarray) -> np.ndarray:
    """Grey pictures ``[P, SIDE, SIDE]`` as rows of mean 0 and length 1."""
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-9)


def audit(scores: np.ndarray, alike: np.ndarray, count: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw a set, give it a level, and see how many strangers reach it."""
    order = rng.permutation(len(scores))
    real, new = order[:count], order[count:]
    own, others = (alike[rows, real[scores[np.ix_(rows, real)].argmax(1)]] for rows in (real, new))
    look = measure_look(Chance(own, np.arange(count), mutual=True))
    return {"level": look.level, "stated": look.expected, "true": float((others >= look.level).mean())}
