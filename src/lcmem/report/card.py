"""The audit card: everything that an audit rests on, to be signed, kept and read by programs."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lcmem.files import finite

if TYPE_CHECKING:
    from lcmem.jobs.audit.marks import Review
    from lcmem.jobs.audit.result import AuditResult

SCHEMA = "audit-card.schema.json"
"""File of this package that says what a card holds (JSON Schema, draft 2020-12)."""
SETS = {"real": "n_real", "synthetic": "n_synthetic", "holdout": "n_holdout"}
RATES = ("memorization_rate", "copy_rate", "holdout_rate", "excess", "sensitivity")


def audit_card(result: "AuditResult", review: "Review | None" = None) -> dict[str, Any]:
    """The card of an audit, JSON-ready, as :data:`SCHEMA` describes it.

    Args:
        result: The audit.
        review: What somebody who looked at the pairs said of them.
    """
    numbers = result.summary
    return {
        "schema": "lcmem-audit-card/1",
        "id": report_id(numbers),
        "date": numbers["date"],
        "verdict": {"level": numbers["verdict"], "sentence": numbers["verdict_sentence"]},
        "versions": numbers["versions"],
        "command": numbers.get("command"),
        "model": {"name": numbers["model"], "sha256": numbers["model_fingerprint"], "encoder": _encoder(numbers)},
        "data": {name: _data(numbers, name) for name in SETS},
        "thresholds": {
            "score": numbers["score"],
            "same_identity": numbers["threshold_logit"] if numbers["same_identity"] else None,
            "by_dataset": {row["dataset"]: row["threshold_logit"] for row in numbers.get("by_dataset") or []},
            "copy": finite(numbers["copy_threshold_logit"]),
            "method": numbers["threshold_method"],
            "expected_by_chance": numbers["false_positive_rate"],
            "chance_bound_95": numbers["false_positive_rate_bound"],
            "explanation": numbers["threshold_explanation"],
            "copy_rule": result.copy_rule,
        },
        "results": {name: numbers[name] for name in ("n_memorized", "n_copies", "n_same_identity")}
        | {name: _interval(numbers, name) for name in RATES},
        "review": review.summary if review else None,
        "notes": [*numbers.get("warnings", []), *numbers["notes"]],
    }


def report_id(numbers: dict[str, Any]) -> str:
    """The same for every audit of the same pictures with the same model and thresholds; 16 hexadecimal digits.

    Thresholds count to two decimals: in which batches pictures were encoded changes the sixth digit.
    """
    levels = [
        numbers.get("threshold_logit"),
        numbers.get("copy_threshold_logit"),
        *(numbers.get("look_thresholds") or []),
        *(row["threshold_logit"] for row in numbers.get("by_dataset") or []),
    ]
    rounded = [None if level is None else f"{level:.2f}" for level in levels]
    text = json.dumps([numbers.get("fingerprints"), numbers.get("model_fingerprint"), *rounded], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _encoder(numbers: dict[str, Any]) -> dict[str, str] | None:
    return {"name": numbers["encoder"], "sha256": numbers["encoder_sha256"]} if numbers["encoder"] else None


def _data(numbers: dict[str, Any], name: str) -> dict[str, Any] | None:
    if name not in numbers["fingerprints"]:
        return None
    known = {"identities": numbers["n_real_identities"] or None} if name == "real" else {}
    return {"pictures": numbers[SETS[name]], "sha256": numbers["fingerprints"][name]} | known


def _interval(numbers: dict[str, Any], name: str) -> dict[str, float] | None:
    if numbers.get(name) is None:  # of audits of before, too
        return None
    return {"value": numbers[name], "low": numbers[f"{name}_low"], "high": numbers[f"{name}_high"]}
