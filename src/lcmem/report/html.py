"""The self-contained HTML report: it opens without a network and carries its pictures inside."""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, Template

from lcmem.matching.verdicts import NO_MATCH
from lcmem.report.card import audit_card, report_id
from lcmem.report.embedded import ROOM, Embedded, data_uri
from lcmem.report.pairs import PATHS, as_columns, pair_table, root_of, shown_name
from lcmem.report.plots import score_distributions

if TYPE_CHECKING:
    from lcmem.jobs.audit.marks import Review
    from lcmem.jobs.audit.result import AuditResult

PAIRS, NEAR, ROWS_SHOWN, RISKS = 5_000, 100, 200, 15
"""Pairs that a page lists; how many of those that do not match it shows; rows of its tables, and of those of risk."""
STRANGER = 160
"""Longer side in pixels of pictures in a table."""
SCRIPTS = ("marks.js", "dialog.js", "gallery.js")


def render(result: "AuditResult", review: "Review | None" = None) -> str:
    """The report as one HTML page.

    Args:
        result: The audit.
        review: What somebody who looked at the pairs said of them.
    """
    table = pair_table(result)
    identifier = report_id(result.summary)
    data = gallery_data(result, table, identifier) | {"marks": review.marks if review else {}}
    return page(result, review, "local.js", data, listed=min(len(table), PAIRS))


def page(result: "AuditResult", review: "Review | None", source: str, data: dict[str, Any], *, listed: int) -> str:
    """The page around a gallery.

    Args:
        result: The audit.
        review: What somebody who looked at the pairs said of them.
        source: The script that says where pairs, pictures and marks come from.
        data: What that script reads, JSON-ready.
        listed: How many pairs the gallery can show.
    """
    datasets = sorted(set(result.to_frame()["dataset"]))
    root = root_of(result)
    card = audit_card(result, review)
    return template().render(
        s=result.summary,
        card=card,
        card_json=json.dumps(card, indent=2, ensure_ascii=False),
        review=review,
        plot=score_distributions(result),
        copy_rule=result.copy_rule,
        twins=[row | _named(row, root) for row in result.twins.head(ROWS_SHOWN).to_dict("records")],
        strangers=[row | _named(row, root) | faces for row, faces in _strangers(result)],
        skipped=result.skipped.head(ROWS_SHOWN).to_dict("records"),
        risk=_risk(result, root),
        served=source == "served.js",
        listed=listed,
        datasets=datasets if len(datasets) > 1 else [],
        mapped=len(data.get("maps", {})),
        data=as_json(data),
        **page_parts(source),
    )


@cache
def template() -> Template:
    """The page's template."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent}
    return environment.from_string(_text("report.html.jinja"))


def page_parts(source: str) -> dict[str, str]:
    """Style sheet, script and the policy that lets nothing else run.

    Args:
        source: The script that says where pairs, pictures and marks come from.
    """
    script = "(() => {\n'use strict';\n" + "\n".join(map(_text, (source, *SCRIPTS))) + "})();"
    style = _text("report.css")
    sources = "img-src data:" if source == "local.js" else "img-src 'self' data:; connect-src 'self'"
    policy = (
        f"default-src 'none'; {sources}; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    return {"style": style, "script": script, "policy": policy}


def gallery_data(result: "AuditResult", table: pd.DataFrame, identifier: str) -> dict[str, Any]:
    """What the gallery shows, JSON-ready: pairs as columns, with the numbers of their pictures."""
    listed = table.head(PAIRS)
    shown = listed.head(int((table["verdict"] != NO_MATCH).sum()) + NEAR)
    embedded = Embedded(0 if result.about.get("private") else ROOM)
    numbers = embedded.pairs(shown[PATHS].itertuples(index=False, name=None))
    numbers += [(-1, -1)] * (len(listed) - len(numbers))
    pairs = as_columns(listed.drop(columns=PATHS))
    pairs |= {name: [pair[at] for pair in numbers] for at, name in enumerate(("one", "two"))}
    places = {path: at for at, path in enumerate(shown["synthetic_path"])}
    maps = {places[one["synthetic"]]: one for one in result.evidence if one["synthetic"] in places}
    return {
        "id": identifier,
        "unit": result.about.get("score", "logit"),
        "total": len(table),
        "pairs": pairs,
        "pictures": embedded.uris,
        "maps": {at: {name: one[name] for name in ("least", "maps")} for at, one in maps.items()},
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
    return f"{100 * value:.{digits}f}\u00a0%"


def _named(row: dict[str, Any], root: str) -> dict[str, str]:
    return {name: shown_name(row[name], root) for name in ("path", "other")}


def _strangers(result: "AuditResult") -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """The most alike pairs of two identities, and their pictures."""
    for row in result.strangers.head(RISKS).to_dict("records"):
        seen = () if result.about.get("private") else (("picture", "path"), ("other_picture", "other"))
        yield row, {name: data_uri(row[place], STRANGER) for name, place in seen}


def _risk(result: "AuditResult", root: str) -> dict[str, list[dict[str, Any]]]:
    """The beginnings of the tables of risk, those that are not empty."""
    if result.risk is None:
        return {}
    tables = {each.name: getattr(result.risk, each.name).head(RISKS) for each in fields(result.risk)}
    for name in ("pictures", "duplicates"):
        tables[name] = tables[name].assign(path=[shown_name(path, root) for path in tables[name]["path"]])
    return {name: table.to_dict("records") for name, table in tables.items() if len(table)}


def _text(name: str) -> str:
    return files("lcmem.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
