"""Claims: the verdict judges by what chance explains; the card names what an audit rests on, by its schema."""

import json
from importlib.resources import files

import pytest

import lcmem
from lcmem.report.verdict import ALARM, CALM, UNCLEAR, blind_notes, holdout_note, judge

pytestmark = pytest.mark.usefixtures("looks_once")

NUMBERS = {
    "n_synthetic": 5000, "n_memorized": 462, "n_copies": 0, "same_identity": True, "holdout_rate": None,
    "false_positive_rate": 0.01, "false_positive_rate_bound": 0.02, "false_positive_rate_floor": 0.006,
    "threshold_method": "identities",
    "memorization_rate": 0.0924, "memorization_rate_low": 0.08, "memorization_rate_high": 0.105,
}  # fmt: skip
HELD = {
    "n_holdout": 1000, "n_holdout_matches": 12, "holdout_rate": 0.012, "holdout_rate_low": 0.006,
    "holdout_rate_high": 0.021, "excess": 0.08, "excess_low": 0.07,
}  # fmt: skip
"""With a holdout, of which as many match as chance explains."""
SPOILT = {
    "n_holdout_matches": 110, "holdout_rate": 0.11, "holdout_rate_low": 0.091, "holdout_rate_high": 0.131,
    "excess": -0.018, "excess_low": -0.04,
}  # fmt: skip
"""The same with people of the real set in it."""
ELSEWHERE = {
    "n_holdout": 2000, "n_holdout_matches": 1, "holdout_rate": 0.0005, "holdout_rate_low": 0.0,
    "holdout_rate_high": 0.003, "excess": 0.02, "excess_low": 0.01,
}  # fmt: skip
"""With one of another source, which hardly ever matches."""
FEW = {"n_memorized": 55, "memorization_rate": 0.011, "memorization_rate_low": 0.009, "memorization_rate_high": 0.014}
"""As many matches as chance explains."""
FEWER = {"n_memorized": 40, "memorization_rate": 0.008, "memorization_rate_low": 0.006, "memorization_rate_high": 0.011}
MANY = {
    "n_memorized": 900, "memorization_rate": 0.18, "memorization_rate_low": 0.17, "memorization_rate_high": 0.19,
    "false_positive_rate": 0.2, "false_positive_rate_bound": 0.25, "n_synthetic_independent": 5000.0,
}  # fmt: skip
"""As many as a large rate allows."""
NONE = {"n_memorized": 0, "memorization_rate": 0.0, "memorization_rate_low": 0.0, "memorization_rate_high": 0.001}


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({}, ALARM, ["462 of 5,000", "by chance at most 50 are expected (95 % bound: 100)."]),
        ({"n_memorized": 60, "memorization_rate": 0.012, "memorization_rate_low": 0.009}, UNCLEAR, ["60 of 5,000"]),
        (FEWER, CALM, ["at most 50"]),
        (HELD, ALARM, ["given away: 462 of", "real identity (9.2 %; of the holdout 1.2 %, 12 of 1,000); by chance"]),
        (HELD | {"excess": 0.02, "excess_low": -0.01}, UNCLEAR, ["Undecided", "of the holdout 1.2 %"]),
        (HELD | FEW | {"excess": -0.001, "excess_low": -0.01}, CALM, ["No memorization found", "ends at 1.4 %."]),
        (HELD | {"excess": -0.01, "excess_low": -0.02}, UNCLEAR, ["Undecided: 462 of", "of the holdout 1.2 %"]),
        (HELD | ELSEWHERE, ALARM, ["given away"]),
        (HELD | ELSEWHERE | FEW, UNCLEAR, ["Undecided: 55 of 5,000"]),
        (HELD | SPOILT, UNCLEAR, ["Undecided: 462 of 5,000", "(9.2 %; of the holdout 11.0 %, 110 of 1,000)"]),
        (HELD | SPOILT | {"excess": 0.05, "excess_low": 0.03}, ALARM, ["given away"]),
        (HELD | SPOILT | NONE, CALM, ["0 of 5,000", "(0.0 %; of the holdout"]),
        (HELD | {"n_copies": 1}, ALARM, ["(9.2 % in all; of the holdout 1.2 %, 12 of 1,000); by chance at most 50"]),
        (HELD | {"n_memorized": 0, "same_identity": False}, UNCLEAR, ["is a copy (9.2 %; of the holdout 1.2 %"]),
        ({"n_copies": 462}, ALARM, ["462 of 5,000 synthetic pictures are copies."]),
        ({"n_copies": 1}, ALARM, ["1 of 5,000 synthetic pictures is a copy, and 461 more match", "50 of those"]),
        ({"n_memorized": 0, "same_identity": False}, UNCLEAR, ["cannot be told"]),
        (MANY, UNCLEAR, ["Undecided: 900 of 5,000", "so many match by chance that memorized pictures could hide"]),
        ({"false_positive_rate": None}, UNCLEAR, ["not known"]),
        (NONE, CALM, ["0 of 5,000"]),
        (
            {"n_synthetic": 2, "n_memorized": 0, "memorization_rate_high": 0.842, "n_synthetic_independent": 2.0},
            UNCLEAR,
            ["0 of 2", "(95 % bound: 0.04); but these pictures are worth 2", "interval of that rate ends at 84.2 %."],
        ),
    ],
)
def test_the_verdict_judges(changed, level, words):
    verdict = judge(NUMBERS | changed)
    assert verdict.level == level and all(word in verdict.sentence for word in words), verdict


def test_what_could_not_be_used_is_no_calm_verdict():
    """Copies that nobody could read were compared with nothing."""
    gone = {"n_synthetic_skipped": 600, "n_synthetic": 5000}
    calm, loud = judge(NUMBERS | NONE), judge(NUMBERS | NONE | gone)
    assert calm.level == CALM and loud.level == UNCLEAR and loud.sentence.endswith("may show anything."), loud
    assert judge(NUMBERS | NONE | {"n_synthetic_skipped": 400}).level == CALM
    half = judge(NUMBERS | NONE | {"n_real_skipped": 64, "n_real": 250})
    assert half.level == UNCLEAR and "but 64 of 314 real pictures could not be used" in half.sentence
    assert judge(NUMBERS | {"n_copies": 1} | gone).level == ALARM, "what was found stays found"
    assert blind_notes(NUMBERS | NONE) == [] == blind_notes(NUMBERS | NONE | {"n_synthetic_skipped": 50})
    (note,) = blind_notes(NUMBERS | NONE | gone)
    assert note.startswith("600 of 5,600 synthetic pictures (10.7 %)") and "the rate would be 10.7 %" in note


def test_a_holdout_that_matches_more_often_than_chance_is_told_so():
    assert holdout_note(NUMBERS) == "" == holdout_note(NUMBERS | HELD)
    assert holdout_note(NUMBERS | HELD | SPOILT | {"false_positive_rate_bound": None}) == "", (
        "nothing to hold it against"
    )
    assert "0.1 % (95 % interval 0.0 % to 0.3 %), where chance reaches 0.6 % at least" in holdout_note(
        NUMBERS | HELD | ELSEWHERE
    )
    before = {name: value for name, value in NUMBERS.items() if name != "false_positive_rate_floor"}
    assert holdout_note(before | HELD | ELSEWHERE), "an audit of before, which knew no floor"
    note = holdout_note(NUMBERS | HELD | SPOILT)
    assert "11.0 % (95 % interval 9.1 % to 13.1 %), where chance does not exceed 2.0 %" in note
    assert "explains nothing" in note and "twins.csv" in note and "choose a holdout of other people" in note


def test_a_holdout_of_other_kinds_is_no_control():
    """What its rate says of the rarer kind is what chance does in the more frequent one."""
    other = NUMBERS | HELD | FEW | {"holdout_rate_high": 0.005, "excess_low": 0.002, "holdout_mix": 0.5}
    assert judge(other | {"holdout_mix": 0.05}).level == UNCLEAR, "far below chance"
    within = other | {"holdout_rate_high": 0.021}
    assert judge(within | {"holdout_mix": 0.05}).level == ALARM and judge(within).level == UNCLEAR
    assert judge(NUMBERS | HELD | {"holdout_mix": 0.5}).level == ALARM, "beyond what chance explains"
    assert holdout_note(within).startswith("The holdout mixes kinds") and "50.0 %" in holdout_note(within)
    assert not holdout_note(within | {"holdout_mix": 0.05}) and not holdout_note(NUMBERS | {"holdout_mix": 0.5})


@pytest.fixture(scope="module")
def card(orl, compact, tmp_path_factory):
    out = tmp_path_factory.mktemp("card")
    real, synthetic = ([orl.paths[at] for at in range(*ends, 3)] for ends in ((0, 60), (50, 120)))
    lcmem.audit(real, synthetic, model=compact, out=out, workers=0)
    again = lcmem.audit(real[::-1], synthetic, model=compact, workers=0)
    return json.loads((out / "audit-card.json").read_text()), again


def test_the_card_follows_its_schema(card):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(files("lcmem.report").joinpath("audit-card.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    validator.check_schema(schema)
    validator.validate(card[0])
    for name in schema["required"]:
        assert not validator.is_valid({key: value for key, value in card[0].items() if key != name})


def test_the_card_names_what_the_audit_rests_on(card, compact):
    made, again = card
    assert made["versions"]["lcmem"] == lcmem.__version__ and made["date"].startswith("20")
    assert made["model"]["sha256"] == compact.fingerprint
    assert made["model"]["encoder"] == {"name": compact.encoder.card.name, "sha256": compact.encoder.card.sha256}
    assert made["data"]["real"]["pictures"] == 20 and made["data"]["holdout"] is None
    same = again.about["fingerprints"]
    assert {name: made["data"][name]["sha256"] for name in same} == same, "the order of files does not matter"
    assert same["real"] != same["synthetic"]
