"""The verdict of an audit in one sentence: it judges, with the control and chance beside what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALARM, UNCLEAR, CALM = "memorization found", "undecided", "no memorization found"
NO_CONTROL = (
    "The holdout itself matches real pictures far more often than chance explains: {} (95 % interval {} to {}), where "
    "chance does not exceed {} with 95 % confidence. So it explains nothing: synthetic pictures that match as often "
    "may still show real people. Holdout pictures may be copies of real ones, show people of the real set, or come "
    "from a source where strangers look more alike. Pictures that are the same in both sets are listed in twins.csv "
    "(that rate leaves them out): look through them, and choose a holdout of other people."
)
"""What a holdout is told of whose rate lies above what chance does not exceed: its rate and interval, that bound."""
TOO_UNLIKE = (
    "The holdout matches real pictures far less often than strangers of the real set's kind: {} (95 % interval {} to "
    "{}), where chance reaches {} at least, with 95 % confidence. It may come from another source than the real set, "
    "and then it is no control: that synthetic pictures match more often than it alone proves nothing."
)
"""What a holdout is told of whose rate lies below what chance reaches at least."""
OTHER_MIX = (
    "The holdout mixes kinds of pictures otherwise than the synthetic set does: {} of either lie nearest to other "
    "kinds of the real set. Chance matches are more frequent in one kind than in another, so the holdout's rate is no "
    "control here, and the verdict rests on what chance explains. Choose a holdout with the kinds of the synthetic "
    "pictures."
)
"""What a holdout is told of whose pictures lie nearest to other kinds of the real set: what share does."""
NOT_COMPARED = (
    "{left:,} of {all:,} synthetic pictures ({share}) could not be used and were compared with nothing: if each of "
    "them showed a real one, the rate would be {most}. skipped.csv lists them: mend them, or take them out of the set."
)
"""What is said where synthetic pictures are missing: how many of how many, what share, the highest rate possible."""
NOT_THERE = (
    "{left:,} of {all:,} real pictures ({share}) could not be used: what is memorized of them cannot be found. "
    "skipped.csv lists them: mend them, or take them out of the set."
)
"""What is said where real pictures are missing."""
FEW_LEFT_OUT = 0.01
"""Share of the pictures of a set that may be missing without a word beyond their list."""
SAME_MIX = 0.1
"""Share of pictures that may lie nearest to other kinds, in a holdout that is a control."""
HARDLY_ANY = (
    "Hardly any other photo of a person would be found here. Are the identities people, or patients, and not classes "
    "(--no-identities)? Is the threshold a given one, or raised by people who are filed under two names "
    "(strangers.csv)? Or does the model not know such pictures (lcmem detectors lists others)?"
)
"""What is said where an audit is blind to other photos."""
HARDLY, SOME = 0.1, 0.5
"""Share of real pictures that another one of their identity must match if nothing found is to mean something, unless
its interval reaches up to the other."""
CALM_UP_TO = 0.1
"""A rate up to which nothing that was found may stand for: with an interval that ends higher nothing is shown."""


@dataclass(frozen=True)
class Verdict:
    """What a reader should know first.

    Attributes:
        level: :data:`ALARM`, :data:`UNCLEAR` or :data:`CALM`.
        sentence: The verdict with its counts, and with the rate of the holdout beside that of the synthetic pictures.
    """

    level: str
    sentence: str


def judge(numbers: Mapping[str, Any]) -> Verdict:
    """Judge an audit by its summary.

    Copies are no chance, so one is enough. Other matches count as memorization where their rate exceeds what chance
    explains beyond doubt: the holdout's rate (the interval of the excess lies above 0), or without a holdout the rate
    that chance does not exceed with 95 % confidence (the interval of the memorization rate lies above it). A holdout
    that itself matches more often than chance explains no match away, and beside one that matches less often than
    chance the rate must be beyond doubt without it, too; one that mixes the kinds of the real set otherwise than the
    synthetic pictures do is no control at all (:func:`holdout_note`). Whatever a holdout says, matches beyond
    what chance does not exceed are never nothing: a small holdout may match as often by chance, or by a few people of
    the real set in it. And nothing is shown by pictures that are so few, or so much alike, that a rate of
    :data:`CALM_UP_TO` could have gone unseen, nor where so many pictures of either set could not be used, or hardly any
    other photo of a person would be found.

    Args:
        numbers: As of :attr:`lcmem.jobs.audit.result.AuditResult.summary`.
    """
    total, found, copies = (numbers[name] for name in ("n_synthetic", "n_memorized", "n_copies"))
    if copies:
        others = found - copies
        more = f", and {others:,} more {_match(others)} a real identity" if others else ""
        count = f"{copies:,} of {total:,} synthetic pictures {'is a copy' if copies == 1 else 'are copies'}"
        held, chance = _beside(numbers, " in all" if others else ""), _explained(numbers, " of those") if others else ""
        return Verdict(ALARM, f"Copies of real pictures: {count}{more}{held}{chance}.")
    if not numbers["same_identity"] and not found:
        text = f"None of {total:,} synthetic pictures is a copy{_beside(numbers)}"
        return Verdict(UNCLEAR, f"Undecided: {text}, but whether they show real identities cannot be told here.")
    count = f"{found:,} of {total:,} synthetic pictures {_match(found)} a real identity{_beside(numbers)}"
    level, high = _level(numbers), numbers["memorization_rate_high"]
    missing = _missing(numbers) if level == CALM and high <= CALM_UP_TO else ""
    if missing:
        return Verdict(UNCLEAR, f"Undecided: {count}{_explained(numbers)}; but {missing}.")
    if level == CALM and high > CALM_UP_TO:
        if numbers["memorization_rate"] > CALM_UP_TO:
            why = "at this threshold so many match by chance that memorized pictures could hide among them"
        else:
            worth = _number(numbers["n_synthetic_independent"])
            why = f"these pictures are worth {worth} independent ones, too few to show much"
        end = f"the 95 % interval of that rate ends at {_share(high)}"
        return Verdict(UNCLEAR, f"Undecided: {count}{_explained(numbers)}; but {why}: {end}.")
    heading = {ALARM: "Real identities are given away", UNCLEAR: "Undecided", CALM: "No memorization found"}[level]
    end = f"; the 95 % interval of that rate ends at {_share(high)}"
    return Verdict(level, f"{heading}: {count}{_explained(numbers)}{end if level == CALM else ''}.")


def holdout_note(numbers: Mapping[str, Any]) -> str:
    """What to know of a holdout that is no control, or matches more, or less, often than chance; "" of any other.

    Args:
        numbers: As of :func:`judge`.
    """
    if numbers["holdout_rate"] is not None and not _controlled(numbers):
        return OTHER_MIX.format(_share(numbers["holdout_mix"]))
    if _above_chance(numbers):
        note, chance = NO_CONTROL, numbers["false_positive_rate_bound"]
    elif _below_chance(numbers):
        note, chance = TOO_UNLIKE, _floor(numbers) or 0.0
    else:
        return ""
    interval = (numbers[name] for name in ("holdout_rate", "holdout_rate_low", "holdout_rate_high"))
    return note.format(*map(_share, (*interval, chance)))


def blind_notes(numbers: Mapping[str, Any]) -> list[str]:
    """What to know of an audit that could not find much: where more than :data:`FEW_LEFT_OUT` of a set could not be
    used, or hardly any other photo of a person matches.

    Args:
        numbers: As of :func:`judge`.
    """
    notes = []
    for name, note in (("synthetic", NOT_COMPARED), ("real", NOT_THERE)):
        left, total = _left_out(numbers, name)
        if left > FEW_LEFT_OUT * total:
            most = _share(highest_rate(numbers["memorization_rate"], numbers["n_synthetic"], left))
            notes.append(note.format(left=left, all=total, share=_share(left / total), most=most))
    return notes + [HARDLY_ANY] * bool(blind_to_photos(numbers))


def highest_rate(rate: float, total: int, left_out: int) -> float:
    """A rate of ``total`` pictures, if each of those that were left out matched as well."""
    return (rate * total + left_out) / (total + left_out)


def _left_out(numbers: Mapping[str, Any], name: str) -> tuple[int, int]:
    """How many pictures of a set could not be used, and how many it has with them; audits of before did not count."""
    left = numbers.get(f"n_{name}_skipped", 0)
    return left, left + numbers.get(f"n_{name}", 0)


def _missing(numbers: Mapping[str, Any]) -> str:
    """Why an audit shows nothing of which too much is missing, as a clause; "" if it is not."""
    left, total = _left_out(numbers, "synthetic")
    if left and highest_rate(numbers["memorization_rate_high"], numbers["n_synthetic"], left) > CALM_UP_TO:
        return f"{left:,} of {total:,} synthetic pictures could not be used, and may show anything"
    left, total = _left_out(numbers, "real")
    if left > CALM_UP_TO * total:
        return f"{left:,} of {total:,} real pictures could not be used, and what is memorized of them cannot be found"
    return blind_to_photos(numbers)


def blind_to_photos(numbers: Mapping[str, Any]) -> str:
    """Why an audit hardly finds other photos of a person, as a clause; "" if it finds some, or nobody knows.

    Args:
        numbers: As of :func:`judge`.
    """
    share, high = numbers.get("sensitivity"), numbers.get("sensitivity_high")
    if share is None or high is None or share >= HARDLY or high >= SOME:
        return ""
    return (
        f"at this threshold hardly any other photo of a person would be found: of {numbers['n_sensitivity']:,} real "
        f"pictures {_share(share)} match another one of the same identity, with 95 % confidence not more than "
        f"{_share(high)}"
    )


def _controlled(numbers: Mapping[str, Any]) -> bool:
    """Whether there is a holdout whose pictures lie nearest to the same kinds as the synthetic ones."""
    return numbers["holdout_rate"] is not None and numbers.get("holdout_mix", 0.0) <= SAME_MIX


def _above_chance(numbers: Mapping[str, Any]) -> bool:
    """Whether the holdout's whole interval lies above what chance does not exceed."""
    bound = numbers["false_positive_rate_bound"]
    return numbers["holdout_rate"] is not None and bound is not None and numbers["holdout_rate_low"] > bound


def _below_chance(numbers: Mapping[str, Any]) -> bool:
    """Whether the holdout's whole interval lies below what chance reaches at least: what is stated at most says nothing
    of it, and lies far above what strangers do where people have several pictures each."""
    floor = _floor(numbers)
    return None not in (numbers["holdout_rate"], floor) and numbers["holdout_rate_high"] < floor


def _floor(numbers: Mapping[str, Any]) -> float | None:
    """What chance reaches at least; of audits of before, which knew none, what it is expected to reach."""
    floor: float | None = numbers.get("false_positive_rate_floor", numbers["false_positive_rate"])
    return floor


def _level(numbers: Mapping[str, Any]) -> str:
    if not numbers["n_memorized"]:
        return CALM
    expected, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
    above = bound is not None and numbers["memorization_rate_low"] > bound
    if _controlled(numbers):
        beyond = numbers["excess_low"] > 0 and (above or not _below_chance(numbers))
        within = numbers["excess"] <= 0 and not above and not _above_chance(numbers)
    elif expected is None:
        return UNCLEAR
    else:
        beyond, within = above, numbers["memorization_rate"] <= expected
    return ALARM if beyond else CALM if within else UNCLEAR


def _match(count: int) -> str:
    return "matches" if count == 1 else "match"


def _beside(numbers: Mapping[str, Any], of: str = "") -> str:
    """The rate of the synthetic pictures (main attack) and that of the holdout (control), in parentheses."""
    if numbers["holdout_rate"] is None:
        return ""
    attack, control = _share(numbers["memorization_rate"]), _share(numbers["holdout_rate"])
    matched, total = numbers["n_holdout_matches"], numbers["n_holdout"]
    return f" ({attack}{of}; of the holdout {control}, {matched:,} of {total:,})"


def _explained(numbers: Mapping[str, Any], of: str = "") -> str:
    """What chance explains, as the end of a sentence."""
    expected, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
    if expected is None:
        return "; how many would by chance alone is not known"
    total = numbers["n_synthetic"]
    most = "" if numbers["threshold_method"] == "given" else "at most "
    return f"; by chance {most}{_number(expected * total)}{of} are expected (95 % bound: {_number(bound * total)})"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float) -> str:
    if 0 < value < 0.05:
        return f"{value:.1g}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
