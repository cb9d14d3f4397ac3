"""Does an audit let a generator pass? An answer that a release pipeline can obey."""

from dataclasses import dataclass
from math import inf
from typing import Any

from lcmem.errors import LCMemError
from lcmem.jobs.audit.result import AuditResult
from lcmem.report.verdict import blind_to_photos, highest_rate
from lcmem.stats.rates import Rate

PASS, FAIL, WEAK = "pass", "fail", "too weak to tell"
CODES = {PASS: 0, FAIL: 3, WEAK: 4}
"""Exit codes."""
RATES = {"same-identity": "memorization rate", "copy": "copy rate"}
"""What is held against the limit, by the verdict that is asked for; a copy shows its identity, too."""


@dataclass(frozen=True)
class Decision:
    """What becomes of an audit at the gate.

    Attributes:
        outcome: A key of :data:`CODES`.
        reason: Why, in a sentence.
    """

    outcome: str
    reason: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}"

    @property
    def code(self) -> int:
        """The exit code."""
        return CODES[self.outcome]


@dataclass(frozen=True)
class Gate:
    """A limit for a rate.

    Attributes:
        limit: The rate may be proven to lie above this in no audit that passes: in [0, 1).
        verdict: A key of :data:`RATES`.

    Raises:
        LCMemError: A limit or a verdict that is none.
    """

    limit: float
    verdict: str = "same-identity"

    def __post_init__(self) -> None:
        if not 0 <= self.limit < 1:
            raise LCMemError(f"--fail-above takes a rate from 0 to below 1, such as 0.01, not {self.limit}")
        if self.verdict not in RATES:
            raise LCMemError(f"unknown verdict {self.verdict!r}; --verdict takes {' or '.join(RATES)}")

    def decide(self, result: AuditResult) -> Decision:
        """Fail, pass, or neither.

        The rate is judged as it is: a holdout's is not subtracted, since one that resembles the real set would let
        anything pass.

        **Fail**: the lower end of the 95 % interval of the rate lies above the limit, and chance does not explain
        that: copies alone do it; or the lower end also lies above the rate of chance matches that is not exceeded with
        95 % confidence.

        **Pass**: the upper end is at most the limit, also if every synthetic picture that could not be used were a
        match, no larger share of the real pictures is missing, and the audit could have found what the limit is about:
        for copies, edited copies are told from look-alikes; for the same identity, a threshold was set, and the real
        set's own pictures do not show that hardly any other photo of a person reaches it.

        **Too weak to tell**: everything else.
        """
        if result.copies.low > self.limit:
            return self._failed("copy", result.copies, result)
        rate = result.copies if self.verdict == "copy" else result.memorization
        if self.verdict != "copy" and self._exceeds(rate, result):
            return self._failed(self.verdict, rate, result)
        lacking = self._lacking(rate, result)
        if lacking:
            return Decision(WEAK, lacking)
        return Decision(PASS, f"{_interval(self.verdict, rate)} lies at or below {self.limit:.2%} as a whole")

    def _failed(self, verdict: str, rate: Rate, result: AuditResult) -> Decision:
        reason = f"{_interval(verdict, rate)} lies above {self.limit:.2%} as a whole{_holdout(result)}"
        return Decision(FAIL, reason)

    def _exceeds(self, rate: Rate, result: AuditResult) -> bool:
        bound = result.calibration.bound
        return bound is not None and rate.low > max(bound, self.limit)

    def _lacking(self, rate: Rate, result: AuditResult) -> str:
        """What keeps an audit that does not fail from passing; "" if nothing does."""
        if rate.low > self.limit:
            known = result.calibration.bound is not None
            bound = f"up to {result.calibration.bound:.2%}" if known else "an unknown share of pictures"
            return f"{_interval(self.verdict, rate)} lies above {self.limit:.2%}, but {bound} match by chance alone"
        if rate.high > self.limit:
            return (
                f"{_interval(self.verdict, rate)} holds {self.limit:.2%}: {rate.total} synthetic pictures, worth "
                f"{rate.effective:.0f} independent ones, are too few to tell"
            )
        missing = self._missing(rate, result)
        if missing:
            return missing
        if self.verdict == "copy":
            blind = result.about.get("copy_method") == "equal pictures"
            return "edited copies cannot be told from look-alikes: no picture could be opened" if blind else ""
        if result.calibration.logit == inf:
            return "no threshold could be set from which pictures show the same identity"
        return blind_to_photos(result.about)

    def _missing(self, rate: Rate, result: AuditResult) -> str:
        """What was not compared and may lie above the limit; "" if nothing does."""
        left = result.left_out("synthetic")
        most = highest_rate(rate.high, rate.total, left)
        if left and most > self.limit:
            return (
                f"{left:,} of {left + rate.total:,} synthetic pictures could not be used: if all of them matched, the "
                f"upper end of the interval would be {most:.2%} (skipped.csv lists them: mend them, or take them "
                "out of the set)"
            )
        left = result.left_out("real")
        total = left + result.about.get("n_real", 0)
        if left > self.limit * total:
            return (
                f"{left:,} of {total:,} real pictures could not be used, and what is memorized of them cannot be found "
                "(skipped.csv lists them: mend them, or take them out of the set)"
            )
        return ""

    def described(self, decision: Decision) -> dict[str, Any]:
        """Limit, verdict and decision, JSON-ready."""
        return {
            "fail_above": self.limit,
            "verdict": self.verdict,
            "outcome": decision.outcome,
            "reason": decision.reason,
            "exit_code": decision.code,
        }


def _interval(verdict: str, rate: Rate) -> str:
    return f"the interval of the {RATES[verdict]}, {rate.low:.2%} to {rate.high:.2%},"


def _holdout(result: AuditResult) -> str:
    """What a reader should know who compares the outcome with the report's verdict."""
    held = result.holdout
    return f"; the holdout's rate, {held.value:.2%}, is not subtracted" if held else ""
