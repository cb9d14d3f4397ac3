"""The verdict of an audit in one sentence: it judges, with what chance explains beside what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALARM, UNCLEAR, CALM = "memorization found", "undecided", "no memorization found"


@dataclass(frozen=True)
class Verdict:
    """What a reader should know first.

    Attributes:
        level: :data:`ALARM`, :data:`UNCLEAR` or :data:`CALM`.
        sentence: The verdict with its counts.
    """

    level: str
    sentence: str


def judge(numbers: Mapping[str, Any]) -> Verdict:
    """Judge an audit by its summary.

    Copies are no chance, so one is enough. Other matches count as memorization where their rate exceeds what chance
    explains beyond doubt: the holdout's rate (the interval of the excess lies above 0), or without a holdout the rate
    that chance does not exceed with 95 % confidence (the interval of the memorization rate lies above it).

    Args:
        numbers: As of :attr:`lcmem.jobs.audit_result.AuditResult.summary`.
    """
    total, found, copies = (numbers[name] for name in ("n_synthetic", "n_memorized", "n_copies"))
    if copies:
        others = found - copies
        more = f", and {others:,} more {_match(others)} a real identity" if others else ""
        count = f"{copies:,} of {total:,} synthetic pictures {'is a copy' if copies == 1 else 'are copies'}"
        return Verdict(ALARM, f"Copies of real pictures: {count}{more}{_explained(numbers, ' of those')}.")
    if not numbers["same_identity"]:
        text = (
            f"None of {total:,} synthetic pictures is a copy, but whether they show real identities cannot be told here"
        )
        return Verdict(UNCLEAR, f"Undecided: {text}.")
    count = f"{found:,} of {total:,} synthetic pictures {_match(found)} a real identity"
    level = _level(numbers)
    heading = {ALARM: "Real identities are given away", UNCLEAR: "Undecided", CALM: "No memorization found"}[level]
    return Verdict(level, f"{heading}: {count}{_explained(numbers)}.")


def _level(numbers: Mapping[str, Any]) -> str:
    if not numbers["n_memorized"]:
        return CALM
    expected, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
    if numbers["holdout_rate"] is not None:
        beyond, within = numbers["excess_low"] > 0, numbers["excess"] <= 0
    elif expected is None:
        return UNCLEAR
    else:
        beyond = numbers["memorization_rate_low"] > bound
        within = numbers["memorization_rate"] <= expected
    return ALARM if beyond else CALM if within else UNCLEAR


def _match(count: int) -> str:
    return "matches" if count == 1 else "match"


def _explained(numbers: Mapping[str, Any], of: str = "") -> str:
    """What chance explains, as the end of a sentence."""
    expected, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
    if expected is None:
        return "; how many would by chance alone is not known"
    total = numbers["n_synthetic"]
    most = "" if numbers["threshold_method"] == "given" else "at most "
    return f"; by chance {most}{_number(expected * total)}{of} are expected (95 % bound: {_number(bound * total)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
