"""The self-contained HTML report: it opens without a network and carries its pictures inside."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment

from lcmem.matching.matches import NO_MATCH
from lcmem.report.card import audit_card
from lcmem.report.embedded import Embedded
from lcmem.report.pairs import as_columns, common_folder, pair_table, shown_name
from lcmem.report.plots import score_distributions

if TYPE_CHECKING:
    from lcmem.jobs.audit_result import AuditResult

PAIRS, NEAR, ROWS_SHOWN = 5_000, 100, 200
"""Pairs that a page lists; how many of those that do not match it shows; rows of its tables."""
SCRIPTS = ("marks.js", "dialog.js", "gallery.js")


def render(result: "AuditResult") -> str:
    """The report as one HTML page."""
    table = pair_table(result)
    root = common_folder(result)
    card = audit_card(result)
    return template().render(
        s=result.summary,
        card=card,
        card_json=json.dumps(card, indent=2, ensure_ascii=False),
        plot=score_distributions(result),
        copy_rule=result.copy_rule,
        twins=[row | _named(row, root) for row in result.twins.head(ROWS_SHOWN).to_dict("records")],
        skipped=result.skipped.head(ROWS_SHOWN).to_dict("records"),
        listed=min(len(table), PAIRS),
        data=as_json(gallery_data(result, table, card["id"])),
        **page_parts("local.js"),
    )


def template() -> Any:
    """The page's Jinja template."""
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"percent": percent}
    return page.from_string(_text("report.html.jinja"))


def page_parts(source: str) -> dict[str, str]:
    """Style sheet, script and the policy that lets nothing else run.

    Args:
        source: The script that says where pairs, pictures and marks come from.
    """
    script = "(() => {\n'use strict';\n" + "\n".join(map(_text, (source, *SCRIPTS))) + "})();"
    style = _text("report.css")
    policy = (
        f"default-src 'none'; img-src {'data:' if source == 'local.js' else 'self'}; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    return {"style": style, "script": script, "policy": policy}


def gallery_data(result: "AuditResult", table: pd.DataFrame, identifier: str) -> dict[str, Any]:
    """What the gallery shows, JSON-ready: pairs as columns, with the numbers of their pictures."""
    listed = table.head(PAIRS)
    shown = listed.head(int((table["verdict"] != NO_MATCH).sum()) + NEAR)
    embedded = Embedded()
    numbers = embedded.pairs(shown[["synthetic_path", "real_path"]].itertuples(index=False, name=None))
    numbers += [(-1, -1)] * (len(listed) - len(numbers))
    pairs = as_columns(listed.drop(columns=["synthetic_path", "real_path"]))
    pairs |= {name: [pair[at] for pair in numbers] for at, name in enumerate(("one", "two"))}
    return {
        "id": identifier,
        "unit": result.about.get("score", "logit"),
        "total": len(table),
        "pairs": pairs,
        "pictures": embedded.uris,
    }


def as_json(content: Any) -> str:
    """JSON that no name can break out of inside a page's script element."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def percent(value: float) -> str:
    """A share in per cent with one digit, with three where it is below 0.1 %."""
    digits = 1 if value == 0 or abs(value) >= 0.001 else 3
    return f"{100 * value:.{digits}f} %"


def _named(row: dict[str, Any], root: str) -> dict[str, str]:
    return {name: shown_name(row[name], root) for name in ("path", "other")}


def _text(name: str) -> str:
    return files("lcmem.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
