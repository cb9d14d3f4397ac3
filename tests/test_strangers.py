"""Claims: people filed under two names are what an audit lists as the most alike strangers, and a holdout warns of."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import lcmem
from lcmem.jobs.audit.result import AuditResult
from lcmem.matching.strangers import FEWEST, STRANGERS, split_people
from lcmem.pictures.manifest import Manifest
from lcmem.stats.chance import Chance, parted

pytestmark = pytest.mark.usefixtures("looks_once")
TORN = ("s3", "s7", "s11")


@pytest.fixture(scope="module")
def torn(orl, tmp_path_factory):
    """Thirty people with four photos each, three of whom have another name in half of them; and others."""
    folder = tmp_path_factory.mktemp("torn")
    table = orl.table.assign(number=orl.table.groupby("identity").cumcount())
    people = [f"s{k}" for k in range(1, 31)]
    real = table[table["identity"].isin(people) & (table["number"] < 4)]
    again = real["identity"].isin(TORN) & (real["number"] >= 2)
    real.assign(identity=real["identity"].where(~again, "again " + real["identity"])).to_csv(folder / "real.csv")
    table[~table["identity"].isin(people) & (table["number"] < 4)].to_csv(folder / "new.csv")
    return folder


@pytest.fixture(scope="module")
def found(torn, compact):
    return lcmem.audit(torn / "real.csv", torn / "new.csv", model=compact, out=torn / "out", workers=0)


def test_people_of_two_names_are_the_most_alike_strangers(found):
    pairs = {tuple(sorted(pair)) for pair in found.strangers[["identity", "other_identity"]].to_numpy()}
    assert {(f"again {who}", who) for who in TORN} <= pairs
    assert len(found.strangers) >= FEWEST and found.strangers["logit"].is_monotonic_decreasing
    both = [tuple(sorted(pair)) for pair in found.strangers[["path", "other"]].to_numpy()]
    assert len(set(both)) == len(both), "each pair once"
    assert (found.strangers["identity"] != found.strangers["other_identity"]).all()


def test_the_folder_and_the_report_show_them(found, torn):
    table = pd.read_csv(torn / "out" / "strangers.csv")
    assert list(table) == STRANGERS and table["other_identity"].tolist() == found.strangers["other_identity"].tolist()
    pd.testing.assert_frame_equal(AuditResult.load(torn / "out").strangers, found.strangers)
    page = (torn / "out" / "index.html").read_text(encoding="utf-8")
    shown = page[page.index("two identities that are most alike") :]
    assert found.strangers["threshold_without"].isna().all(), "without the first pair there would be none either"
    assert "again s" in shown and shown.count('class="stranger" src="data:image/jpeg') == 2 * min(len(table), 15)


def test_the_threshold_without_the_first_pair(torn, orl, compact):
    """It is about that of an audit with the right names; a note says what hangs on the pair."""
    table = pd.read_csv(torn / "real.csv", index_col=0)
    one = table.assign(identity=table["identity"].str.replace("again s[37]$", lambda m: m[0][6:], regex=True))
    held = orl.table[orl.table["path"].str.endswith("/9.pgm") & orl.table["identity"].isin(set(one["identity"]))]
    made = Manifest(held[~held["identity"].isin(TORN)].reset_index(drop=True))
    found = lcmem.audit(Manifest(one.reset_index(drop=True)), made, model=compact, workers=0)
    first = found.strangers.iloc[0]
    assert {first["identity"], first["other_identity"]} == {"s11", "again s11"}
    right = one.assign(identity=one["identity"].str.replace("again ", "")).reset_index(drop=True)
    level = lcmem.audit(Manifest(right), made, model=compact, workers=0).calibration.logit
    assert abs(first["threshold_without"] - level) < 0.2 * (found.calibration.logit - level)
    more = int((found.scores["synthetic"] >= first["threshold_without"]).sum())
    page = found.save(torn / "two").read_text(encoding="utf-8")
    assert (
        f"<td>{first['threshold_without']:.2f}</td>" in page and found.strangers["threshold_without"][1:].isna().all()
    )
    assert AuditResult.load(torn / "two").strangers["threshold_without"][0] == pytest.approx(first["threshold_without"])
    [note] = [note for note in found.summary["notes"] if note.startswith("Two identities alone")]
    assert f"{more} instead of {found.memorization.count} pictures" in note and more >= 2 * found.memorization.count


def test_a_private_audit_shows_no_stranger(torn, compact):
    lcmem.audit(torn / "real.csv", torn / "new.csv", model=compact, out=torn / "hidden", private=True, workers=0)
    text = (torn / "hidden" / "strangers.csv").read_text(encoding="utf-8")
    page = (torn / "hidden" / "index.html").read_text(encoding="utf-8")
    assert "again" not in text and text.count("sha256:") >= 2 * FEWEST and "/" not in text
    assert 'class="stranger"' not in page and "again s" not in page


@pytest.mark.parametrize("people", [100, 400])
def test_a_holdout_tells_of_people_with_two_names(rng, people):
    """Few audits of clean sets are warned of; nearly all are where one in ten people has two names."""
    warned = []
    for dirty in (0, people // 10):
        notes = []
        for _ in range(100):
            pairs = rng.normal(size=people // 2).repeat(2)  # best matches of one set come in mutual pairs
            pairs[: 2 * dirty] += 6
            held = rng.normal(size=people)
            control = SimpleNamespace(scores=held, clusters=np.arange(people), kinds=np.full(people, ""))
            notes.append(len(split_people(Chance(pairs, np.arange(people), mutual=True), control)[0]))
        warned.append(np.mean(notes))
    assert warned[0] <= 0.08 and warned[1] > 0.95
    assert split_people(Chance(pairs, np.arange(people), mutual=True), None) == ([], {})


def test_each_kind_is_held_against_holdout_pictures_of_its_kind(rng):
    """Strangers of one kind are more alike than those of another, of which the holdout is."""
    scores = np.concatenate([rng.normal(size=100).repeat(2), 50 + rng.normal(size=100).repeat(2)])
    kinds = np.repeat(["faces", "x-rays"], 200)
    chance = parted(Chance(scores, np.arange(400), mutual=True), kinds)
    held = SimpleNamespace(scores=rng.normal(size=200), clusters=np.arange(200), kinds=np.full(200, "faces"))
    assert split_people(chance, held) == ([], {})
    scores[:40] += 6
    notes, highest = split_people(parted(Chance(scores, np.arange(400), mutual=True), kinds), held)
    assert len(notes) == 1 and list(highest) == ["faces"] and highest["faces"] == held.scores.max()
    assert split_people(parted(Chance(scores, np.arange(400), mutual=True), kinds), held, ["faces"]) == ([], {})


def test_nothing_depends_on_the_order_of_the_tables(found, torn, compact):
    for name in ("real", "new"):
        pd.read_csv(torn / f"{name}.csv", index_col=0).sample(frac=1, random_state=3).to_csv(torn / f"{name}-other.csv")
    again = lcmem.audit(torn / "real-other.csv", torn / "new-other.csv", model=compact, workers=0)
    timed = {"seconds", "pictures_per_second", "pictures_encoded", "pictures_reused", "command", "date"}
    one, two = ({k: v for k, v in each.summary.items() if k not in timed} for each in (found, again))
    assert one["real_or_synthetic"] is None or one["real_or_synthetic"] == pytest.approx(two["real_or_synthetic"])
    different = {k for k in one if one[k] != pytest.approx(two[k]) and k != "real_or_synthetic"}
    assert not different, {k: (one[k], two[k]) for k in different}
    pairs = [{frozenset(pair) for pair in each.strangers[["path", "other"]].to_numpy()} for each in (found, again)]
    assert pairs[0] == pairs[1]
