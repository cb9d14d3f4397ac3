"""Do audits keep their promises? Simulated audits on features of real pictures, whose truth is known.

    python tools/error_rates.py DATA [DATA …] --cache CACHE [--datasets celeba64 lidc] [--out docs/error-rates.md]

Each DATA is a folder in the layout ``open-pack``; identities of its splits train and val with four pictures or more are
the population. An audit draws a real set and a holdout of as many people each; all others are people whom it never
saw, and their share above its threshold is its true false positive rate. Features are computed once, in CACHE.
"""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from error_bounds import section, simulate_bounds
from error_looks import look_alikes, look_section
from population import EACH, PICTURES, Population, arguments_of, copies_of_each_other, populate, read_population, signed
from scipy.stats import betabinom

from lcmem.detectors.lcmem import LCMem
from lcmem.files import write_table, write_text
from lcmem.matching.control import FEWEST, Control
from lcmem.matching.correlations import WAYS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.look_levels import UNMEASURED
from lcmem.matching.matches import joined_by_match
from lcmem.matching.thumbnails import SIDE
from lcmem.stats.calibration import calibrate
from lcmem.stats.chance import Chance
from lcmem.stats.evidence import tail_p_values
from lcmem.stats.rates import excess, rate_of

PEOPLE, RATES, AUDITS = (20, 50, 100, 300), (0.01, 0.05), 500
SETTINGS = ("identities", "both", "holdout", "neither")
"""What an audit knows. With identities a holdout (both) controls and changes no threshold."""
RARE, FITTED = 0.001, 5
"""A small p-value, and that of every how many audits tails are fitted."""
CELL = ["head", "pictures", "people"]
"""What names a cell; each has a row for every setting and rate."""
MODES, COPIES, MEMORIZED = 8, 25, 0.3
"""A generator with few modes: so many people, each so many times, each memorized with this probability."""
UNSEEN = 50
"""People whom a generator that memorized nothing shows."""
PAGE = """# Do audits keep their promises?

Made by `tools/error_rates.py` from features of the bundled model, {audits} audits a row. Each audit draws a real set
and a holdout of as many people from the splits train and val; all other people are strangers, and the share of their
pictures above the threshold is the **true** rate of chance matches of that audit. **Stated** is what the audit says is
expected at most, **95 %** what it says is not exceeded in this audit with 95 % confidence, **exceeded** the
share of audits where it was. **Known**: identities of the real set, identities and a holdout (both; it then only
controls, so the threshold is the same), a holdout only, or neither.

**If exact**: how often an exact bound would seem to be exceeded here. The true rate of an audit is measured on a finite
number of strangers, so it scatters about the rate of all people there could be: with k chance matches among n and N
strangers it follows a beta-binomial distribution, of which an exact bound leaves more than 5 % above. Exceeded is to be
held against this number, with a sampling error of {error:.1%} (one standard error, at 5 %). Rows of one number of
people are no independent trials: the same sets are drawn in them. Below the tables of real people is one of made
people, of whom there are enough to leave the strangers' part out.

**Other photos**: with several pictures each, how often a picture of the real set reaches the threshold with another one
of the same person, copies aside.

**p ≤ {rare:g}**: share of strangers whose tail p-value is that small, in every {fitted}th audit.

**Rate covered**: how often the 95 % interval of the memorization rate holds the truth, for a generator that memorized
nothing and shows {unseen} strangers / for one that shows only {modes} pictures, each {copies} times, and memorized each
with probability {memorized}. **Excess covered**: the same for the excess over the holdout.

**Why twice.** Of n identities that are compared with each other, the best matches come in mutual pairs: where a new
person is the best match of one of them, both have high scores. So the chance that a new picture exceeds all n is up to
2 / (n + 1), and (k + 2) / (n + 1) if k of them reach its score, not (k + 1) / (n + 1) as for a holdout, whose pictures
are compared with the real set only. `lcmem/stats/chance.py` has the proof; it is one for a picture of each identity.

Thresholds are taken as they are calibrated; an audit sets none where copies would not reach it, and then it reports
copies only. The linear head has the weights of the bundled model, a fifth of them with the other sign. Without
identities, and with several pictures each, the closest pictures of one person count as chance: the true rate is far
below the stated one, and fewer other photos are found. Rates are stated per identity; with four pictures each they are
on the safe side while no identity is allowed above the threshold."""


def simulate(world: Population, people: int, audits: int, seed: int) -> list[dict[str, object]]:
    """One row for each audit, setting and rate."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(audits):
        order = rng.permutation(len(world.best))
        real, held, new = order[:people], order[people : 2 * people], order[2 * people :]
        against = world.best[:, :, real]  # [P, m, n]
        scores, shown = against.max(2), real[against.argmax(2)]
        for setting in SETTINGS:
            for rate in RATES:
                row = audit(world, scores, shown, (real, held, new), setting, rate, rng, number % FITTED == 0)
                rows.append(row)
    return rows


def audit(
    world: Population,
    scores: np.ndarray,
    shown: np.ndarray,
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
    setting: str,
    rate: float,
    rng: np.random.Generator,
    fitted: bool,
) -> dict[str, object]:
    """Calibrate as an audit does, and hold what it states against what is true."""
    real, held, new = drawn
    chance, control = sources(world, scores, real, rng.permutation(held), setting)
    calibration = calibrate(chance, rate, "identities", np.inf)
    true = float((scores[new] >= calibration.logit).mean())
    row = {"setting": setting, "asked": rate, "true": true, "stated": calibration.rate, "bound": calibration.bound}
    row["exact"] = seemingly_exceeded(chance, calibration.logit, len(new))
    others = world.within[real]
    row["others"] = float((others >= calibration.logit).mean()) if others.shape[1] > 1 else np.nan
    if fitted and rate == RATES[0]:
        row["rare"] = float((tail_p_values(scores[new].ravel(), chance) <= RARE).mean())
    for name, made in (("none", unseen), ("modes", modes)):
        match, clusters, truth = made(world, scores, shown, new, calibration.logit, true, rng)
        found = rate_of(match, clusters)
        row[f"rate {name}"] = found.low <= truth <= found.high
        if control is not None:
            more = excess(found, control.rate(calibration, np.inf, UNMEASURED))
            row[f"excess {name}"] = more.low <= truth - true <= more.high
    return row


def seemingly_exceeded(chance: Chance, threshold: float, strangers: int) -> float:
    """How probable it is that the share of so many strangers lies above a bound that is exact for all people."""
    effect = 1 + chance.mutual
    reached = chance.count(threshold) / effect
    left = (chance.identities - chance.mutual) / effect - reached
    return float(betabinom.sf(np.floor(chance.bound(threshold) * strangers), strangers, reached + 1, left))


def sources(
    world: Population, scores: np.ndarray, real: np.ndarray, held: np.ndarray, setting: str
) -> tuple[Chance, Control | None]:
    """What calibrates and what controls."""
    pictures = scores.shape[1]
    order = np.repeat(np.arange(len(held)), pictures)  # at random, as content hashes are
    control = None
    if setting not in ("identities", "neither"):
        kinds, looks = np.full(len(order), ""), np.full((len(order), len(WAYS)), -1.0)
        control = Control(scores[held].ravel(), order, order, kinds, looks, pd.DataFrame())
    if setting in ("identities", "both"):
        return Chance(scores[real].ravel(), np.repeat(real, pictures), mutual=True), control
    if control is not None and len(held) >= 2 * FEWEST:
        return control.divided()
    own = np.maximum(scores[real], world.within[real])
    return Chance(own.ravel(), world.groups[real].ravel(), mutual=True), control


def unseen(
    world: Population,
    scores: np.ndarray,
    shown: np.ndarray,
    new: np.ndarray,
    threshold: float,
    true: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """A generator that memorized nothing and shows 50 people: matches, clusters and the true rate."""
    people = rng.choice(new, UNSEEN, replace=False)
    match = (scores[people] >= threshold).ravel()
    groups = np.unique(world.groups[people].ravel(), return_inverse=True)[1]
    return match, joined_by_match(groups, match, shown[people].ravel()), true


def modes(
    world: Population,
    scores: np.ndarray,
    shown: np.ndarray,
    new: np.ndarray,
    threshold: float,
    true: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """A generator of eight pictures, 25 copies each, some memorized: matches, clusters and the true rate."""
    people, memorized = rng.choice(new, MODES, replace=False), rng.random(MODES) < MEMORIZED
    match = np.repeat((scores[people, 0] >= threshold) | memorized, COPIES)
    seen = np.where(memorized, -1 - np.arange(MODES), shown[people, 0])
    clusters = joined_by_match(np.repeat(np.arange(MODES), COPIES), match, np.repeat(seen, COPIES))
    return match, clusters, MEMORIZED + (1 - MEMORIZED) * true


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each cell."""
    rows["exceeded"] = rows["true"] > rows["bound"]
    keys = ["head", "asked", "pictures", "people", "setting"]
    table = rows.astype({name: float for name in rows if name not in keys}).groupby(keys, sort=False).mean()
    table["error"] = rows.groupby(keys, sort=False)["true"].sem()
    return table.reset_index()


def simulate_all(found: FeatureSet, detector: LCMem, audits: int, heads: list[str], kept: Path) -> pd.DataFrame:
    """Every cell of one dataset; those that an earlier run kept are not simulated again."""
    table = pd.read_csv(kept) if kept.is_file() else pd.DataFrame()
    done = set(zip(*(table[name] for name in CELL), strict=True)) if len(table) else set()
    people = [number for number in PEOPLE if 2 * number + 2 * UNSEEN <= len(found.manifest) // EACH]
    left = [cell for cell in itertools.product(heads, PICTURES, people) if cell not in done]
    groups = copies_of_each_other(found, detector) if left else np.empty(0)
    for name, cells in itertools.groupby(left, key=lambda cell: cell[0]):
        own = detector.network.head
        worlds = populate(found, groups, own if name == "metric" else signed(own))
        for _, pictures, number in cells:
            rows = pd.DataFrame(simulate(worlds[pictures], number, audits, number))
            part = summarise(rows.assign(head=name, pictures=pictures, people=number))
            print(part.to_string(index=False, float_format=lambda value: f"{value:.4f}"), flush=True)
            table = pd.concat((table, part), ignore_index=True)
            write_table(table, kept)
    return table[table["head"].isin(heads)].reset_index(drop=True)


def lines_of(table: pd.DataFrame) -> list[str]:
    """A Markdown table of the cells of one head and one asked rate."""
    lines = [
        f"| pictures each | people | known | stated | true | 95 % | exceeded | if exact | other photos "
        f"| p ≤ {RARE:g} | rate covered | excess covered |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        covered = [
            "–" if np.isnan(row[f"{kind} none"]) else f"{row[f'{kind} none']:.1%} / {row[f'{kind} modes']:.1%}"
            for kind in ("rate", "excess")
        ]
        cells = [
            *(str(row[name]) for name in ("pictures", "people", "setting")),
            f"{row['stated']:.2%}",
            f"{row['true']:.2%} ± {row['error']:.2%}",
            f"{row['bound']:.1%}",
            f"{row['exceeded']:.1%}",
            f"{row['exact']:.1%}",
            "–" if np.isnan(row["others"]) else f"{row['others']:.0%}",
            "–" if np.isnan(row["rare"]) else f"{row['rare']:.3%}",
            *covered,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(results: dict[str, tuple[FeatureSet, dict[str, object], pd.DataFrame, pd.DataFrame, str]], audits: int) -> str:
    """docs/error-rates.md."""
    lines = [
        PAGE.format(
            error=np.sqrt(0.05 * 0.95 / audits),
            rare=RARE,
            fitted=FITTED,
            audits=audits,
            modes=MODES,
            copies=COPIES,
            memorized=MEMORIZED,
            unseen=UNSEEN,
        )
    ]
    for dataset, (found, alike, table, bounds, looks) in results.items():
        lines.append(f"\n## {dataset}: {len(found.manifest) // EACH} people\n")
        lines.append(f"Correlation of thumbnails of {SIDE // 2} × {SIDE // 2} pixels:\n")
        lines += [f"- {name}: {value:.3f}" for name, value in alike.items()]
        for (head, asked), part in table.groupby(["head", "asked"], sort=False):
            lines += [f"\n### {head} head, {asked:.0%} asked for\n", *lines_of(part)]
        once = table[table["pictures"] == 1]
        lines.append(
            f"\nWith one picture each: exceeded in {once['exceeded'].mean():.1%} of all audits; an exact bound would "
            f"be in {once['exact'].mean():.1%}."
        )
        lines += [section(bounds), looks]
    return "\n".join(lines)


def main() -> None:
    parser = arguments_of(__doc__, "docs/error-rates.md")
    parser.add_argument("--datasets", nargs="+", default=["celeba64", "lidc"])
    parser.add_argument("--heads", nargs="+", default=["metric", "linear"], choices=["metric", "linear"])
    parser.add_argument("--audits", type=int, default=AUDITS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector, results = LCMem.load("compact"), {}
    for dataset in arguments.datasets:
        found = read_population(arguments.data, dataset, detector, arguments.cache)
        kept = arguments.cache / f"{dataset}-{arguments.audits}.csv"
        table = simulate_all(found, detector, arguments.audits, arguments.heads, kept)
        bounds = simulate_bounds(found.features[::EACH], detector.network.head)
        looks = look_section(found, detector.network.head, PEOPLE)
        results[dataset] = found, look_alikes(found, detector), table, bounds, looks
    write_text(page(results, arguments.audits), arguments.out)


if __name__ == "__main__":
    main()
