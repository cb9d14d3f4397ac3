"""How alike copies and strangers look; and in simulated audits, how often a stranger matches by its looks."""

import numpy as np
import pandas as pd
from population import EACH

from lcmem.detectors.lcmem import LCMem
from lcmem.evaluation.tables import markdown
from lcmem.matching.copy_levels import EDITS
from lcmem.matching.correlations import RANKS, correlate
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.look_levels import measure_look
from lcmem.matching.overview import Overview
from lcmem.matching.thumbnails import SIDE, grey
from lcmem.model import Head
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import iterate_pictures
from lcmem.scan import scan
from lcmem.stats.chance import Chance

AUDITS, STRANGERS = 50, 150
"""Audits a row, and strangers of each: each is laid over five pictures."""
LOOKED = 150
"""Pictures, and pairs of strangers, whose thumbnails are compared."""
INTRODUCTION = f"""
### Strangers who match by their looks

A generated picture also matches if it looks like one of its {RANKS} best matches, seen small, or like any real
picture, seen very small ([copies.md](copies.md)). {AUDITS} audits a row, {STRANGERS} strangers in each. **True**: the
share of strangers that match so, on average and in the worst audit.
"""


def look_section(found: FeatureSet, head: Head, people: tuple[int, ...]) -> str:
    """A table for the first picture of every person: sets of so many people, others are strangers."""
    first = np.arange(0, len(found.manifest), EACH)
    scores = head.all_pairs(found.features[first], found.features[first]).detach().numpy().copy()
    np.fill_diagonal(scores, -np.inf)
    paths = [found.manifest.paths[at] for at in first]
    small = [grey(picture) for batch in iterate_pictures(paths, SIDE) for picture in batch.pictures.numpy()]
    rows = []
    for count in people:
        if count + STRANGERS <= len(first):
            made = [audit(scores, small, count, np.random.default_rng([count, k])) for k in range(AUDITS)]
            table = pd.DataFrame(made)
            rates = (table["stated"].mean(), table["true"].mean(), table["true"].max())
            rows.append([str(count), *(f"{value:.2%}" for value in rates)])
            print(found.manifest.table["dataset"].iloc[0], *rows[-1], flush=True)
    return f"{INTRODUCTION}\n{markdown(['people', 'stated', 'true', 'worst'], rows)}\n"


def audit(scores: np.ndarray, small: list[np.ndarray], count: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw a set, give it its levels, and see how many strangers reach them."""
    order = rng.permutation(len(scores))
    real, new = order[:count], order[count : count + STRANGERS]
    own, others = (best_looks(scores, small, rows, real) for rows in (real, new))
    look = measure_look(own, Chance(own[:, 0], np.arange(count), mutual=True))
    return {"stated": look.expected, "true": float(look.hits(others).mean())}


def best_looks(scores: np.ndarray, small: list[np.ndarray], rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Highest correlations ``[n, W]`` of pictures with their best matches in a set."""
    best = real[np.argsort(-scores[np.ix_(rows, real)], axis=1)[:, :RANKS]]
    looks = correlate([small[at] for at in rows.repeat(RANKS)], [small[at] for at in best.ravel()])
    alike = Overview([small[at] for at in real]).nearest([small[at] for at in rows], (rows, real)).alike
    return np.column_stack((looks.reshape(len(rows), RANKS, -1).max(1), alike))


def look_alikes(found: FeatureSet, detector: LCMem) -> dict[str, object]:
    """How far thumbnails of copies and of the most alike strangers correlate."""
    sample = np.random.default_rng(0).choice(len(found.manifest), LOOKED, replace=False)
    least = {name: 1.0 for name in EDITS}
    for levels in (load_levels(found.manifest.paths[at]) for at in sample):
        for name, edit in EDITS.items():
            both = [grey(load_levels(each, SIDE)) for each in (edit(levels), levels.transpose(1, 2, 0))]
            least[name] = min(least[name], float(correlate(both[:1], both[1:])[0, 0]))
    people = np.arange(len(found.manifest)) // EACH
    best = scan(found.blocks, None, detector.network.head, query_identities=people).different
    assert best is not None
    top = np.argsort(-best.logits[:, 0])[:LOOKED]
    small = {at: grey(load_levels(found.manifest.paths[at], SIDE)) for at in {*top, *best.positions[top, 0]}}
    alike = float(correlate([small[at] for at in top], [small[at] for at in best.positions[top, 0]])[:, 0].max())
    copies = {f"{name} copies, least": value for name, value in least.items()}
    return copies | {f"{LOOKED} most alike strangers, highest": alike}
