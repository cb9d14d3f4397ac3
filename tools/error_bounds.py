"""In how many audits is the bound of chance matches exceeded? Simulated ones, with as many strangers as one likes.

Real people are too few to say: their true rate is measured on what an audit leaves over. So people are made: each
number of their features is that of one of two real people. A set, a holdout and the strangers are drawn from them.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.evaluation.tables import markdown
from lcmem.model import Head
from lcmem.stats.calibration import calibrate
from lcmem.stats.chance import Chance

PEOPLE, RATES, AUDITS = (20, 50, 100, 300), (0.01, 0.05), 1000
CANDIDATES, STRANGERS = 3000, 10_000
"""People whom audits draw their sets from, and all others."""
CHUNK = 500


def made_people(features: Tensor, number: int, rng: np.random.Generator) -> Tensor:
    """Features ``[number, D]`` of people who are each made of two of ``[N, D]``."""
    first, second = (torch.from_numpy(rng.integers(len(features), size=number)) for _ in range(2))
    return torch.where(
        torch.from_numpy(rng.random((number, features.shape[1])) < 0.5), features[first], features[second]
    )


def simulate_bounds(features: Tensor, head: Head, audits: int = AUDITS) -> pd.DataFrame:
    """A row for each number of people, source and rate, of real people's features ``[N, D]``."""
    rng = np.random.default_rng(0)
    candidates, strangers = (made_people(features, number, rng) for number in (CANDIDATES, STRANGERS))
    with torch.no_grad():
        among = head.all_pairs(candidates, candidates).numpy()
        starts = range(0, STRANGERS, CHUNK)
        new = np.concatenate([head.all_pairs(candidates, strangers[at : at + CHUNK]).numpy() for at in starts], axis=1)
    np.fill_diagonal(among, -np.inf)
    rows = [row for people in PEOPLE for _ in range(audits) for row in _audit(among, new, people, rng)]
    table = pd.DataFrame(rows)
    table["exceeded"] = table["true"] > table["bound"]
    return table.groupby(["people", "known", "asked"], sort=False).mean().reset_index()


def _audit(among: np.ndarray, new: np.ndarray, people: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """What one audit states and what is true, of scores ``[C, C]`` among candidates and ``[C, S]`` with strangers."""
    drawn = rng.permutation(len(among))
    real, held = drawn[:people], drawn[people : 2 * people]
    sources = {
        "identities": Chance(among[np.ix_(real, real)].max(1), real, mutual=True),
        "holdout": Chance(among[np.ix_(held, real)].max(1), held, mutual=False),
    }
    best = new[real].max(0)
    for (known, chance), rate in product(sources.items(), RATES):
        found = calibrate(chance, rate, "identities", np.inf)
        true = float((best >= found.logit).mean())
        yield dict(people=people, known=known, asked=rate, stated=found.rate, true=true, bound=found.bound)


def section(table: pd.DataFrame, audits: int = AUDITS) -> str:
    """A section of docs/error-rates.md."""
    header = ["people", "known", "asked", "stated", "true", "95 %", "exceeded"]
    cells = [
        [f"{row.people}", row.known, f"{row.asked:.0%}"]
        + [f"{value:.2%}" for value in (row.stated, row.true, row.bound, row.exceeded)]
        for row in table.itertuples()
    ]
    error = np.sqrt(0.05 * 0.95 / audits)
    return (
        f"\n### Made people: {STRANGERS:,} strangers, {audits:,} audits a row\n\n"
        "Each number of their features is that of one of two people above. There are as many of these people as one\n"
        "likes, so the true rate is measured well. The bound is exceeded in "
        f"{table['exceeded'].mean():.1%} of audits on average; one standard\nerror of a row is {error:.1%}."
        f"\n\n{markdown(header, cells)}"
    )
