"""The numbers of an audit, for a console."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcmem.jobs.audit.result import AuditResult


DATASETS = 8
"""Datasets that are listed."""


def _threshold(numbers: dict[str, Any]) -> str:
    """As it can be given again: a probability, or a similarity; with its logit."""
    if not numbers["same_identity"]:
        return "–"
    logit = "–" if numbers["threshold_logit"] is None else f"{numbers['threshold_logit']:.3f}"
    return logit if numbers["threshold"] is None else f"p = {numbers['threshold']:.4g} (logit {logit})"


def _threshold_rows(numbers: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Rows of the table: the threshold, or that of each dataset with how many match there."""
    rows = [] if numbers["threshold_method"] == "given" else numbers["by_dataset"]
    yield "same identity from", "" if rows else _threshold(numbers), f"from: {numbers['threshold_method']}"
    for row in rows[:DATASETS]:
        level = "–" if row["threshold_logit"] is None else f"{numbers['score']} {row['threshold_logit']:.3f}"
        yield f"  {row['dataset'] or 'no dataset'}", level, f"{row['match']} of {row['synthetic']} match"
    if len(rows) > DATASETS:
        yield f"  {len(rows) - DATASETS} more", "", "by_dataset in summary.json"


def print_summary(result: "AuditResult") -> None:
    """The verdict, and the numbers that matter as a short table."""
    from rich.console import Console
    from rich.table import Table

    from lcmem.report.verdict import ALARM, CALM, UNCLEAR

    colours = {ALARM: "red", UNCLEAR: "yellow", CALM: "green"}
    numbers = result.summary
    table = Table("", "value", "95 % interval", title="memorization audit", title_justify="left")

    def rate_row(title: str, key: str) -> None:
        low, high = numbers[f"{key}_low"], numbers[f"{key}_high"]
        table.add_row(title, f"{numbers[key]:.1%}", f"{low:.1%} to {high:.1%}")

    rate_row(f"memorization rate ({numbers['n_memorized']} of {numbers['n_synthetic']})", "memorization_rate")
    rate_row(f"  of these copies ({numbers['n_copies']})", "copy_rate")
    if numbers["holdout_rate"] is not None:
        rate_row(f"holdout rate ({numbers['n_holdout_matches']} of {numbers['n_holdout']})", "holdout_rate")
        rate_row(f"excess over the holdout (p = {numbers['excess_p_value']:.2g})", "excess")
    if numbers["false_positive_rate"] is not None:
        chance, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
        table.add_row("expected by chance", f"{chance:.1%}", f"not more than {bound:.1%}")
    if numbers.get("sensitivity") is not None:
        rate_row(f"other photos it would find (of {numbers['n_sensitivity']} real pictures)", "sensitivity")
    for row in _threshold_rows(numbers):
        table.add_row(*row)
    console = Console()
    console.print(numbers["verdict_sentence"], style=f"bold {colours[numbers['verdict']]}", soft_wrap=True)
    warn = functools.partial(console.print, style="yellow", soft_wrap=True, highlight=False)
    for note in numbers["notes"]:
        warn(note)
    console.print(table)
    console.print(f"Copies: {result.copy_rule}", soft_wrap=True, highlight=False)
    console.print(f"Same identity: {numbers['threshold_explanation']}", soft_wrap=True, highlight=False)
    for kind, count in result.twins["kind"].value_counts().items():
        warn(f"{count} × {kind}, see twins.csv")
    if numbers["skipped"]:
        console.print(f"[yellow]{numbers['skipped']} pictures were skipped, see skipped.csv[/]")
        for row in result.skipped.head(5).itertuples():
            console.print(f"  {row.reason}", soft_wrap=True, highlight=False)
    if numbers["hint"]:
        console.print(f"[yellow]{numbers['hint']}[/]", soft_wrap=True, highlight=False)
    speed = numbers["pictures_per_second"]
    encoded = f"{numbers['pictures_encoded']} pictures encoded" + (f" at {speed:.1f} a second" if speed else "")
    reused = f", {numbers['pictures_reused']} reused" if numbers["pictures_reused"] else ""
    console.print(f"{encoded}{reused}; {numbers['seconds']:.1f} s in all", highlight=False)
