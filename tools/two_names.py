"""What does one person who is filed under two names cost an audit? Simulated audits on features of real pictures.

    python tools/two_names.py DATA [DATA …] --cache CACHE [--out docs/two-names.md]

Each DATA is a folder in the layout ``open-pack``. Real sets are drawn from the identities of its splits train and val.
Features are computed once, in CACHE.
"""

from math import inf

import numpy as np
import pandas as pd
import torch
from population import arguments_of, read_people

from lcmem.detectors.lcmem import LCMem
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.matching.strangers import MORE, TIMES, hidden_by_one
from lcmem.stats.calibration import calibrate, level_of
from lcmem.stats.chance import Chance

DATASETS, SIZES, AUDITS, RATE = ("celeba", "celeba64", "ham10000", "pedcxr"), (20, 50, 100, 300), 200, 0.01
PICTURES, POPULATION, HELD = 4, 500, 50
"""Pictures of each identity, identities of each dataset, and synthetic pictures of either kind, at most."""
AGAIN = 10**6
"""The second name."""
PAGE = """# One person under two names

Made by `tools/two_names.py` from features of the bundled model, {audits} audits a row, {rate:.0%} asked. Each real set
has so many identities of one dataset, up to {pictures} pictures of each. The synthetic pictures are other photos of up
to {held} of its people, and as many strangers. **As it is**: all names are right. **Two names**: one person, who has no
other photo among the synthetic ones, has another name on half of the photos. Of each, how many of the other photos
match, how many strangers do, and in how many audits a note says that two identities alone hide matches: that without
the most alike pair of strangers at least {times} times as many pictures would match, and at least {more} more.

{table}

So one wrong name among 20 to 100 people hides up to half of what there is to find. Scores alone do not tell such a pair
from two people who look very much alike, as the notes on sets without a wrong name show. A note says what depends on
the pair; whether it shows one person is for whoever looks at it to say.
"""


def simulate(scores: np.ndarray, who: np.ndarray, people: int) -> pd.DataFrame:
    """Audits of one dataset.

    Args:
        scores: Of all pairs of pictures, ``[N, N]``.
        who: Identity of each, ``[N]`` integers.
        people: Identities of a real set.

    Returns:
        A row for each audit and each way to name people: ``named, found, others, strangers, note``.
    """
    rng, rows = np.random.default_rng(0), []
    counts = np.bincount(who)
    for _ in range(AUDITS):
        order = rng.permutation(np.flatnonzero(counts))
        inside, outside = order[:people], order[people:][:HELD]
        several = inside[counts[inside] > 1]
        torn, held = several[0], several[1 : HELD + 1]
        photos = np.array([np.flatnonzero(who == person)[-1] for person in held])
        strangers = np.array([np.flatnonzero(who == person)[0] for person in outside])
        real = np.setdiff1d(np.flatnonzero(np.isin(who, inside)), photos)
        best = scores[np.ix_(np.append(photos, strangers), real)].max(1)
        again = who[real].copy()
        mine = np.flatnonzero(again == torn)
        again[mine[: len(mine) // 2]] = AGAIN
        for named, names in (("as it is", who[real]), ("two names", again)):
            matched, note = audit(scores[np.ix_(real, real)], names, best)
            found = {"found": matched[: len(held)].sum(), "others": len(held), "strangers": matched[len(held) :].sum()}
            rows.append({"named": named, **found, "note": note})
    return pd.DataFrame(rows)


def audit(scores: np.ndarray, names: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, bool]:
    """Which synthetic pictures match, and whether a note says that two identities alone hide matches.

    Args:
        scores: Of all pairs of real pictures, ``[N, N]``.
        names: Identity of each, ``[N]``.
        best: Highest score of each synthetic picture, ``[Q]``.
    """
    apart = np.where(names[:, None] == names[None], -np.inf, scores)
    chance = Chance(apart.max(1), names, mutual=True)
    matched = best >= calibrate(chance, RATE, "identities", inf).logit
    one = int(chance.scores.argmax())
    rest = chance.without(names[[one, int(apart[one].argmax())]])
    level = level_of(rest, rest, RATE, inf)
    strangers = pd.DataFrame({"dataset": [""], "threshold_without": [level]})
    return matched, bool(hidden_by_one(strangers, chance, best, np.full(len(best), ""), matched))


def main() -> None:
    """Parse, simulate, write."""
    arguments = arguments_of(__doc__, "docs/two-names.md").parse_args()
    detector = LCMem.load("compact")
    found = read_people(arguments.data, DATASETS, detector, arguments.cache, PICTURES, POPULATION)
    weighted, rows = found.features * detector.head.weight.detach(), []
    for dataset in DATASETS:
        mine = np.flatnonzero(found.kinds == dataset)
        scores = -torch.cdist(weighted[mine], weighted[mine], p=1).fill_diagonal_(inf).numpy()  # without the bias
        who = pd.factorize(found.manifest.table["identity"].iloc[mine])[0]
        for people in SIZES:
            if len(np.unique(who)) < people + HELD:
                continue
            made = simulate(scores, who, people).groupby("named").mean()
            row = {"dataset": dataset, "people": str(people)}
            for named in made.index:
                each = made.loc[named]
                row[f"{named}: other photos"] = f"{each['found']:.1f} of {each['others']:.1f}"
                row[f"{named}: strangers"] = f"{each['strangers']:.2f}"
                row[f"{named}: note"] = f"{each['note']:.0%}"
            rows.append(row)
            print(row, flush=True)
    lines = markdown(list(rows[0]), [list(row.values()) for row in rows])
    counts = {"audits": AUDITS, "rate": RATE, "pictures": PICTURES, "held": HELD, "times": TIMES, "more": MORE}
    write_text(PAGE.format(table=lines, **counts), arguments.out)


if __name__ == "__main__":
    main()
