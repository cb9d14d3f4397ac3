"""Does each kind of pictures of a mixed real set keep its stated rate? Simulated audits on features of real pictures.

    python tools/mixed_kinds.py DATA [DATA …] --cache CACHE [--out docs/mixed-kinds.md]

Each DATA is a folder in the layout ``open-pack``. Real sets are drawn from the identities of its splits train and val,
two datasets in each; the rest are strangers. Features are computed once, in CACHE.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from population import arguments_of, read_people

from lcmem.detectors.lcmem import LCMem
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.kinds import split_kinds
from lcmem.pictures.manifest import Manifest
from lcmem.scan import ChunkedRows
from lcmem.stats.calibration import calibrate
from lcmem.stats.chance import MIXED, Chance, parted

PAIRS = (
    ("celeba64", "lidc"),
    ("celeba", "ham10000"),
    ("ham10000", "celeba64"),
    ("celeba", "pedcxr"),
    ("celeba", "nih"),
    ("ham10000", "nih"),
)
"""The common kind and the rarer one."""
ALIKE = (("celeba", "celeba64"), ("pedcxr", "nih"))
"""Faces of two sizes, and X-rays of children and of adults."""
PEOPLE, RARE, RATES, AUDITS = 300, 100, (0.01, 0.05), 200
DRAWS = 20
"""Sets of a row that are told apart."""
PICTURES, POPULATION = 2, 700
"""Pictures of each identity, and identities of each dataset, at most."""
PAGE = """# Several kinds of pictures in one real set

Made by `tools/mixed_kinds.py` from features of the bundled model, {audits} audits a row. Each real set has {people}
identities of one dataset and {rare} of another, up to {pictures} pictures of each; other identities are strangers, and
**true** is the share of their pictures (of each identity, on average) above the threshold, first of the common kind,
then of the rarer one. **Together**: one threshold from all chance matches, as of a table without the column `dataset`.
**By dataset**: a threshold for each, as [auditing.md](auditing.md#two-verdicts) says. **Stated** is what
the audit says is expected at most. **Other photos**: how often a picture of the real set reaches the threshold with
another one of the same identity, of both kinds.

{table}

With one threshold the kind whose strangers are more alike matches several times as often by chance as is stated, and of
the other kind little is found.

## Datasets of one kind

Datasets between which {mixed:.0%} of the chance matches of one of them cross count as one kind. Of {people} and {rare}
identities ({draws} draws), the share of chance matches of the first that is with pictures of the second, and the other
way round:

{crossing}

## Without a column

An audit of pictures with identities looks for kinds itself where no column `dataset` names any
(`lcmem/matching/kinds.py`). Of {draws} such sets of each row, how many it divided, and how many of their pictures it
then put with the wrong kind.
Undivided sets of two kinds have one threshold, as above; a set of one kind that is divided loses identities to rest on.

{told}
"""


def simulate(scores: np.ndarray, kinds: np.ndarray, who: np.ndarray, pair: tuple[str, str], rate: float) -> dict:
    """The means over audits of two datasets.

    Args:
        scores: Of all pairs of pictures, ``[N, N]``.
        kinds: Dataset of each picture, ``[N]``.
        who: Its identity, ``[N]`` integers.
        pair: The common kind and the rarer one.
        rate: Share of strangers that may match.
    """
    rng, rows = np.random.default_rng(0), []
    for _ in range(AUDITS):
        people = [rng.permutation(np.unique(who[kinds == kind])) for kind in pair]
        chosen = np.concatenate([some[:count] for some, count in zip(people, (PEOPLE, RARE), strict=True)])
        inside = np.isin(who, chosen)
        real, new = np.flatnonzero(inside), np.flatnonzero(~inside & np.isin(kinds, pair))
        own, partners = best(scores, who, real, real)
        found, nearest = best(scores, who, new, real)
        chance = parted(Chance(own, who[real], mutual=True), kinds[partners], kinds[real])
        shares = pd.Series(kinds[nearest]).value_counts(normalize=True).to_dict()
        each = calibrate(chance, rate, "identities", np.inf, shares=shares)
        one = calibrate(replace(chance, parts={}), rate, "identities", np.inf)
        row = {"stated together": one.rate, "stated": each.rate}
        for name, calibration in ((" together", one), ("", each)):
            hit = found >= calibration.thresholds(kinds[nearest])
            for part, kind in zip(("common", "rarer"), pair, strict=True):
                row[part + name] = (
                    pd.Series(hit).groupby(who[new]).mean()[np.unique(who[new[kinds[new] == kind]])].mean()
                )
            row["photos" + name] = others(scores, who, kinds, real, own, partners, calibration)
        rows.append(row)
    return pd.DataFrame(rows).mean().to_dict()


def crossing(scores: np.ndarray, kinds: np.ndarray, who: np.ndarray, pair: tuple[str, str]) -> list[str]:
    """How many chance matches of each of two datasets are with the other one."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(DRAWS):
        people = [rng.permutation(np.unique(who[kinds == kind])) for kind in pair]
        chosen = np.concatenate([some[:count] for some, count in zip(people, (PEOPLE, RARE), strict=True)])
        rows = np.flatnonzero(np.isin(who, chosen))
        crossed = kinds[best(scores, who, rows, rows)[1]] != kinds[rows]
        shares.append([crossed[kinds[rows] == kind].mean() for kind in pair])
    return [" + ".join(pair), " / ".join(f"{share:.1%}" for share in np.mean(shares, axis=0))]


def divided(found: FeatureSet, detector: LCMem, kinds: tuple[str, ...]) -> list[str]:
    """How often a set of these datasets is told apart, and with how many mistakes."""
    rng, names, apart, wrong, total = np.random.default_rng(0), found.manifest.table["identity"], 0, 0, 0
    for _ in range(DRAWS):
        rows = []
        for kind, count in zip(kinds, (PEOPLE, RARE), strict=False):
            mine = np.flatnonzero(found.kinds == kind)
            chosen = rng.permutation(names.iloc[mine].unique())[:count]
            rows += mine[names.iloc[mine].isin(chosen)].tolist()
        table = found.manifest.table.iloc[rows].reset_index(drop=True)
        blocks, keys = ChunkedRows(found.blocks.take(np.array(rows))), [found.keys[row] for row in rows]
        bare = FeatureSet(Manifest(table.assign(dataset="")), blocks, [], 0, 0.0, keys)
        told = split_kinds(bare, detector)
        if told.told_apart:
            apart, total = apart + 1, total + len(rows)
            usual = pd.crosstab(told.kinds, table["dataset"])
            wrong += int(usual.to_numpy().sum() - usual.max(axis=1).sum())
    return [" + ".join(kinds), f"{apart} of {DRAWS}", f"{wrong} of {total}" if total else "–"]


def best(scores: np.ndarray, who: np.ndarray, rows: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest score of pictures ``[n]`` with those of other identities in a gallery, and with which: both ``[n]``."""
    against = np.where(who[rows][:, None] == who[gallery][None], -np.inf, scores[np.ix_(rows, gallery)])
    at = against.argmax(1)
    return against[np.arange(len(rows)), at], gallery[at]


def others(scores, who, kinds, real, own, partners, calibration) -> float:
    """How often a picture reaches the threshold with another one of its identity."""
    same = (who[real][:, None] == who[real][None]) & ~np.eye(len(real), dtype=bool)
    photos = np.where(same, scores[np.ix_(real, real)], -np.inf).max(1)
    several = same.any(1)
    nearest = np.where(photos > own, kinds[real], kinds[partners])
    return float((photos >= calibration.thresholds(nearest))[several].mean())


def main() -> None:
    """Parse, simulate, write."""
    arguments = arguments_of(__doc__, "docs/mixed-kinds.md").parse_args()
    detector = LCMem.load("compact")
    names = {name for pair in PAIRS for name in pair}
    found = read_people(arguments.data, names, detector, arguments.cache, PICTURES, POPULATION)
    kinds, weighted = found.kinds, found.features * detector.head.weight.detach()
    scores = -torch.cdist(weighted, weighted, p=1).numpy()  # the bias moves all scores and thresholds alike
    who = pd.factorize(kinds + "/" + found.manifest.table["identity"].to_numpy(dtype=object))[0]
    rows = []
    for pair in PAIRS:
        for rate in RATES:
            made = simulate(scores, kinds, who, pair, rate)
            share = {name: f"{value:.1%}" for name, value in made.items()}
            row = {"common": pair[0], "rarer": pair[1], "asked": f"{rate:.0%}"}
            for name, mark in (("together", " together"), ("by dataset", "")):
                row[f"{name}: stated"] = share[f"stated{mark}"]
                row[f"{name}: true"] = f"{share[f'common{mark}']} / {share[f'rarer{mark}']}"
                row[f"{name}: other photos"] = share[f"photos{mark}"]
            rows.append(row)
            print(row, flush=True)
    lines = markdown(list(rows[0]), [list(row.values()) for row in rows])
    told = [divided(found, detector, kinds) for kinds in [*((name,) for name in sorted(names)), *PAIRS]]
    crossed = [crossing(scores, kinds, who, pair) for pair in ALIKE + PAIRS]
    page = {"crossing": markdown(["datasets", "crossing"], crossed), "mixed": MIXED}
    page |= {"table": lines, "told": markdown(["datasets", "divided", "pictures of a wrong kind"], told)}
    counts = {"audits": AUDITS, "people": PEOPLE, "rare": RARE, "pictures": PICTURES, "draws": DRAWS}
    write_text(PAGE.format(**counts, **page), arguments.out)


if __name__ == "__main__":
    main()
