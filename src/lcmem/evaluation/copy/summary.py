"""The table of the copy benchmark for people: the strongest edits, recall beside what it is bought with."""

from collections.abc import Sequence

import pandas as pd

from lcmem.detectors.each import OK
from lcmem.evaluation.copy.transforms import PAPER, TRANSFORMS
from lcmem.evaluation.tables import markdown, title

EXPLANATION = """# Copy detection

Protocol `{protocol}`. Each cell is recall / false positive rate at one threshold, on the strongest edit, as the mean
over {datasets}. 95 % intervals are in `copy.csv`.
Recall alone can be bought with a low threshold: only the distance between the two numbers counts.
"""
STRONGEST = "strongest"
"""The transform of the row of the mean over the paper's transforms at their strongest."""
HEADINGS = {
    "specificity-50": "Threshold of 50 % specificity on the validation split (the paper's choice)",
    "recall-95": "Threshold of 95 % recall on the validation split",
    "specificity-99": "Threshold of 99 % specificity on the validation split",
}
OFFICIAL_RECALL = "Threshold of the official code for 95 % recall: the 5th percentile of the negatives"


def strongest(table: pd.DataFrame, rule: str = "specificity-50", transforms: Sequence[str] = PAPER) -> pd.DataFrame:
    """The means over the datasets at the strongest strength of each transform.

    Args:
        table: Of :func:`lcmem.evaluation.copy.run.benchmark_copy`.
        rule: One of the threshold rules.
        transforms: Those wanted; of them, what the table has.

    Returns:
        ``detector, protocol, transform, strength, recall, recall_low, recall_high, false_positive_rate, dims``.
    """
    strengths = {name: TRANSFORMS[name].strengths[-1] for name in transforms}
    chosen = (table["dataset"] == "macro") & (table["threshold_rule"] == rule)
    chosen &= table["strength"] == table["transform"].map(strengths)
    columns = ["detector", "protocol", "transform", "strength", "recall", "recall_low", "recall_high"]
    columns += ["false_positive_rate", "dims"]
    return table.loc[chosen, columns].reset_index(drop=True)


def summary(table: pd.DataFrame, maps: pd.DataFrame) -> str:
    """Markdown of ``copy.csv`` and ``copy_map.csv``."""
    good, failed = table[table["status"] == OK], table[table["status"] != OK]
    protocols = sorted(set(table["protocol"]))
    copied = good[good["dataset"] != "macro"].groupby("dataset")[["n_positive", "n_identities"]].max()
    datasets = ", ".join(
        f"{name} ({count} pictures of {people} identities)" for name, count, people in copied.itertuples()
    )
    blocks = [EXPLANATION.format(protocol=", ".join(protocols), datasets=datasets or "no dataset")]
    for rule, heading in HEADINGS.items():
        if rule == "recall-95" and protocols == ["paper"]:
            heading = OFFICIAL_RECALL
        blocks += [f"## {heading}\n", _rates(strongest(good, rule, list(TRANSFORMS))) + "\n"]
    if len(maps):
        blocks += ["## µAP / µAP with score normalisation\n", _maps(maps) + "\n"]
    if len(failed):
        lines = [[title(name), why] for name, why in zip(failed["detector"], failed["status"], strict=True)]
        blocks += ["## Not measured\n", markdown(["detector", "why"], lines) + "\n"]
    return "\n".join(blocks)


def _rates(rows: pd.DataFrame) -> str:
    return _grid(rows, ("recall", "false_positive_rate"))


def _maps(maps: pd.DataFrame) -> str:
    maps = maps.dropna(subset="map")
    last = maps["transform"].map({name: each.strengths[-1] for name, each in TRANSFORMS.items()})
    return _grid(maps[(maps["dataset"] == "macro") & (maps["strength"] == last)], ("map", "map_normalised"))


def _grid(rows: pd.DataFrame, values: tuple[str, str]) -> str:
    """A line for each detector, a column for each transform, two numbers in a cell."""
    first, second = (rows.pivot(index="detector", columns="transform", values=value) for value in values)
    detectors, transforms = rows["detector"].unique(), rows["transform"].unique()
    strengths = dict(zip(rows["transform"], rows["strength"], strict=True))
    header = ["detector", *[f"{name} {strengths[name]:g}" for name in transforms]]
    lines = [
        [title(name), *[f"{first.at[name, edit]:.3f} / {second.at[name, edit]:.3f}" for edit in transforms]]
        for name in detectors
    ]
    return markdown(header, lines)
