"""Claims: intervals equal published ones; an audit finds what is there."""

import dataclasses
import json
import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

import lcmem
from lcmem.atlas import Atlas, fill_atlas
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.jobs.audit import remarks
from lcmem.jobs.audit.gate import FAIL, Gate
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.calibrate import calibrate_pictures
from lcmem.jobs.output import claim_output
from lcmem.matching import copy_levels, finder
from lcmem.matching.features import open_features
from lcmem.pictures.image import load_picture
from lcmem.pictures.manifest import Manifest
from lcmem.stats.rates import effective_number, excess, proportion
from lcmem.store import StoredRows

pytestmark = pytest.mark.usefixtures("looks_once")


@pytest.mark.parametrize("total", [8, 50, 400])
def test_the_interval_of_a_share_holds_the_truth(total):
    """In at least 95 % of audits, whatever the truth is: Wilson's does in 84 % where 0.18 matches are expected."""
    counts, truths = np.arange(total + 1), np.geomspace(0.01 / total, 0.5, 200)
    rates = [proportion(count, total) for count in counts]
    low, high = (np.array([getattr(rate, end) for rate in rates]) for end in ("low", "high"))
    held = [binom.pmf(counts, total, truth)[(low <= truth) & (truth <= high)].sum() for truth in truths]
    assert min(held) >= 0.95 and rates[3].value == 3 / total


def test_a_share_of_nothing():
    rate = proportion(0, 0)
    assert math.isnan(rate.value) and (rate.low, rate.high) == (0, 1)


def test_excess_equals_newcombe_s_published_example():
    difference = excess(
        proportion(56, 70), proportion(48, 80)
    )  # Newcombe (1998), table II, method 10: 0.0524 to 0.3339
    assert difference.value == pytest.approx(0.2, abs=1e-9)
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_effective_number_of_clusters():
    none = np.zeros(200, dtype=bool)
    assert effective_number(np.arange(200), none) == 200
    assert effective_number(np.repeat(np.arange(8), 25), none) == 8
    assert effective_number(np.repeat(np.arange(8), 25), np.repeat(np.arange(8) < 1, 25)) == pytest.approx(8)
    assert proportion(25, 200, 8.0).low == pytest.approx(proportion_confint(1, 8, method="beta")[0])
    pairs = np.r_[np.zeros(2, int), np.arange(1, 199)]  # one person twice, both match; the others are single
    assert effective_number(pairs, np.arange(200) < 2) == pytest.approx(100, rel=0.02)


def test_an_interval_at_the_end_holds_the_end():
    """Whatever rounding leaves."""
    assert all(proportion(0, n, n / 3).low == 0 and proportion(n, n, n / 3).high == 1 for n in range(1, 300))


@pytest.fixture(scope="module")
def sets(faces, tmp_path_factory):
    """12 people as real set, 6 as holdout; generated: 6 exact, 6 other photos, 6 people never seen, 2 bad files."""
    root = tmp_path_factory.mktemp("sets")
    for person in range(1, 19):
        kind = "real" if person <= 12 else "holdout"
        for number in range(1, 5):
            save(faces / f"s{person}" / f"{number}.pgm", root / kind / f"s{person}" / f"{number}.png")
    for person in range(1, 7):
        save(faces / f"s{person}" / "1.pgm", root / "generated" / f"copy{person}.png")
        save(faces / f"s{person}" / "9.pgm", root / "generated" / f"other{person}.png")
        save(faces / f"s{person + 30}" / "1.pgm", root / "generated" / f"new{person}.png")
    (root / "generated" / "broken.png").write_text("not a picture")
    Image.new("L", (1, 1)).save(root / "generated" / "dot.png")
    return root


def save(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((load_picture(source)[0] * 255).astype(np.uint8)).save(target)


@pytest.fixture(scope="module")
def result(sets, compact):
    return lcmem.audit(
        sets / "real", sets / "generated", holdout=sets / "holdout", model=compact, out=sets / "out", workers=0
    )


def test_exact_copies_are_found_with_their_source(result):
    frame = result.to_frame()
    copies = frame[frame["path"].str.contains("copy")]
    assert copies["match"].all()
    for row in copies.itertuples():
        assert row.real.endswith(f"s{row.path.split('copy')[1][:-4]}/1.png")


def test_people_never_seen_match_no_more_than_promised(result):
    frame = result.to_frame()
    assert frame["match"][frame["path"].str.contains("new")].sum() <= 1
    assert result.calibration.method == "identities"


def test_each_picture_has_its_evidence(result):
    """Of 12 people so high a score cannot be rarer than 2 of 13."""
    frame = result.to_frame()
    assert list(frame)[-6:] == ["found_by", "p_value", "q_value", "grade", "match", "verdict"]
    assert ((frame["found_by"] != "") == frame["match"]).all()
    assert (frame["p_value"].iloc[frame["logit"].argmax()] <= frame["p_value"]).all()
    assert frame["p_value"].min() <= 2 / 13 and (frame["q_value"] >= frame["p_value"]).all()
    assert set(frame["grade"][frame["match"]]) <= {"copy", "same identity"} and result.summary["n_close"] == 0


def test_risk_is_part_of_the_result(result, sets):
    """Six people are copied; with 12 people little is known of chance, and that is said."""
    people = result.risk.identities.set_index("identity")
    assert {f"s{person}" for person in range(1, 7)} <= {*people.index[people["copies"] > 0]}
    assert pd.read_csv(sets / "out" / "risk-pictures.csv")["copies"].sum() == result.copies.count
    assert any("12 identities, fewer than 50" in note for note in result.about["notes"])
    assert 0 < result.excess.p_value < 0.05 and result.summary["excess_p_value"] == result.excess.p_value


def test_other_photos_score_above_people_never_seen(result):
    best = result.to_frame().set_index("path")["logit"]
    assert best[best.index.str.contains("other")].median() > best[best.index.str.contains("new")].median()


def test_bad_pictures_are_skipped_and_listed(result):
    assert len(result.skipped) == 2 and result.memorization.total == 18
    assert result.skipped["reason"].str.contains("broken.png|dot.png").all()


def test_files(result, sets):
    out = sets / "out"
    summary = json.loads((out / "summary.json").read_text())
    expected = {
        "n_synthetic": 18, "n_real": 48, "n_holdout": 24, "skipped": 2, "model": "compact",
        "encoder": "pixels", "pictures_encoded": 84, "pictures_reused": 6,
    }  # fmt: skip  # the six exact copies have the content of a real picture
    assert {key: summary[key] for key in expected} == expected
    for key in ("threshold", "memorization_rate", "holdout_rate", "excess", "seconds"):
        assert key in summary
    assert "command" not in summary, "only the command line knows one"
    assert summary["memorization_rate_low"] <= summary["memorization_rate"] <= summary["memorization_rate_high"]
    assert summary["excess"] == pytest.approx(summary["memorization_rate"] - summary["holdout_rate"])
    matches = pd.read_parquet(out / "matches.parquet")
    assert list(matches)[:7] == ["synthetic", "real", "identity", "dataset", "logit", "probability", "rank"]
    assert len(matches) == 18 * 5 and (matches.groupby("synthetic")["logit"].diff().dropna() <= 0).all()
    written = pd.read_csv(out / "matches.csv").fillna({"found_by": ""})
    pd.testing.assert_frame_equal(written, matches, rtol=1e-12)
    kept, rejected = pd.read_csv(out / "kept.csv"), pd.read_csv(out / "rejected.csv")
    assert list(kept)[0] == list(rejected)[0] == "path"
    assert len(rejected) == summary["n_memorized"] and len(kept) + len(rejected) == 18
    assert not list(out.rglob("*.partial"))


def test_what_was_saved_is_loaded_again(result, sets, tmp_path):
    loaded = AuditResult.load(sets / "out")
    pd.testing.assert_frame_equal(loaded.matches, result.matches)
    pd.testing.assert_frame_equal(loaded.skipped, result.skipped)
    assert loaded.summary == result.summary and loaded.calibration == result.calibration
    assert (loaded.memorization, loaded.holdout, loaded.excess) == (result.memorization, result.holdout, result.excess)
    assert {*loaded.scores} == {*result.scores} == {"synthetic", "holdout", "chance"}
    assert all(np.array_equal(loaded.scores[name], values) for name, values in result.scores.items())
    with pytest.raises(LCMemError, match="not the folder of an audit"):
        AuditResult.load(tmp_path)


def test_tables_of_two_runs_are_never_read_together(result, sets, tmp_path, monkeypatch):
    """As after a kill while an audit with another threshold is written over an earlier one."""
    shutil.copytree(sets / "out", tmp_path / "out")
    other = replace(result, matches=result.matches.assign(match=True))

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AuditResult, "write_report", killed)
        other.save(tmp_path / "out")
    with pytest.raises(LCMemError, match="run the audit again"):
        AuditResult.load(tmp_path / "out")
    result.save(tmp_path / "out")
    assert AuditResult.load(tmp_path / "out").summary == result.summary
    short = result.matches[result.matches["synthetic"] != result.matches["synthetic"][0]]
    short.to_parquet(tmp_path / "out" / "matches.parquet", index=False)
    with pytest.raises(LCMemError, match=r"matches\.parquet is not that of summary\.json"):
        AuditResult.load(tmp_path / "out")


@pytest.mark.parametrize("model", ["phash", "mse"])
def test_any_detector_can_audit(sets, model, tmp_path):
    """Exact copies are found by whatever compares pixels; scores are similarities, not probabilities."""
    found = lcmem.audit(sets / "real", sets / "generated", model=model, out=tmp_path, workers=0)
    frame = found.to_frame()
    assert frame["match"][frame["path"].str.contains("copy")].all()
    assert not frame["match"].all() and found.matches["probability"].isna().all()
    assert found.summary["threshold"] is None and found.summary["score"] == "similarity"
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "threshold (similarity)" in page and "logit" not in page
    assert AuditResult.load(tmp_path).summary == found.summary
    given = lcmem.audit(sets / "real", sets / "generated", model=model, threshold=-1e-4, workers=0)
    assert given.memorization.count == 6, "the six exact copies alone have the highest score"


def test_second_run_encodes_nothing_and_finds_the_same(result, sets, compact):
    again = lcmem.audit(
        sets / "real", sets / "generated", holdout=sets / "holdout", model=compact, out=sets / "out", workers=0
    )
    assert again.about["pictures_encoded"] == 0 and again.about["pictures_reused"] == 90
    pd.testing.assert_frame_equal(again.matches, result.matches)


def test_scores_are_the_pair_scores(result, compact):
    for row in result.matches.iloc[::17].itertuples():
        assert compact.score(row.synthetic, row.real) == pytest.approx(row.logit, abs=1e-5)


def test_without_identities_and_holdout(sets, compact):
    real = Manifest.read(sets / "real", identities=False)
    result = lcmem.audit(real, sets / "generated", model=compact, workers=0)
    assert result.calibration.method == "copy groups" and "name identities" in result.calibration.explanation
    assert result.holdout is None and result.summary["excess"] is None


@pytest.mark.parametrize(("people", "method"), [(range(13, 35), "holdout"), (range(13, 16), "copy groups")])
def test_a_holdout_never_sets_and_controls_the_threshold(sets, orl, compact, people, method):
    """Without identities one half calibrates, and the other controls; of too few pictures all control."""
    table = orl.table[orl.table["identity"].isin({f"s{person}" for person in people})]
    table = table.groupby("identity").head(2).assign(identity="")
    real = Manifest.read(sets / "real", identities=False)
    result = lcmem.audit(real, sets / "generated", holdout=Manifest(table), model=compact, workers=0)
    assert result.calibration.method == method
    total = len(table) // 2 if method == "holdout" else len(table)
    assert result.holdout.total == total and len(result.scores["holdout"]) == len(table)
    assert ["control it" in note for note in result.about["notes"]].count(True) == 1
    if method == "holdout":
        assert result.calibration.rate == pytest.approx(max(0.01, 1 / (len(table) - total + 1)))


def test_one_real_picture_has_copies_and_no_strangers(orl, compact, tmp_path):
    Image.open(orl.paths[0]).save(tmp_path / "copy.jpg", quality=60)
    result = lcmem.audit(orl.rows([0]), [tmp_path / "copy.jpg", orl.paths[20]], model=compact, workers=0)
    assert result.copies.count == result.memorization.count == 1 and result.calibration.logit == float("inf")
    assert "nobody else to compare with" in result.calibration.explanation
    alike = Manifest.of([orl.paths[0], shutil.copy(orl.paths[0], tmp_path)])
    for nobody_else in (orl.rows([0]), alike):
        with pytest.raises(LCMemError, match="nobody else to compare with: a calibration takes two identities"):
            calibrate_pictures(nobody_else, compact, tmp_path / "c.json", workers=0)


def test_a_holdout_of_the_same_people_explains_nothing(orl, compact, tmp_path):
    """Other photos of the people of the real set, under no name: as many of them match as synthetic ones."""
    number = orl.table.groupby("identity").cumcount()
    real, unseen = Manifest(orl.table[number < 4]), Manifest(orl.table[number.between(4, 6)].assign(identity=""))
    result = lcmem.audit(
        real, [*orl.table["path"][number == 8]], holdout=unseen, model=compact, out=tmp_path, workers=0
    )
    card = json.loads((tmp_path / "audit-card.json").read_text())
    assert result.holdout.low > result.calibration.bound and result.excess.low < 0 and result.copies.count == 0
    assert card["verdict"]["level"] == "undecided" and "of the holdout" in card["verdict"]["sentence"]
    note = result.about["notes"][0]
    assert note.startswith("The holdout itself matches real pictures far more often") and note in card["notes"]
    assert AuditResult.load(tmp_path).about["notes"] == result.about["notes"]
    decision = Gate(0.1).decide(result)
    assert (
        decision.outcome == FAIL and "the holdout's rate" in decision.reason and "is not subtracted" in decision.reason
    )


def test_a_holdout_with_names_of_the_real_set_is_said(orl, compact):
    """Other photos of five real people and of five others: none is a picture of the real set."""
    person, photo = orl.table["identity"].str[1:].astype(int), orl.table.groupby("identity").cumcount()
    real = Manifest(orl.table[(person <= 10) & (photo < 2)].reset_index(drop=True))
    held = orl.table[person.between(6, 15) & photo.between(4, 5)].reset_index(drop=True)
    made = orl.table["path"][(person > 30) & (photo == 0)]
    result = lcmem.audit(real, [*made], holdout=Manifest(held), model=compact, workers=0)
    said = "5 identities of the holdout are called like ones of the real set"
    assert any(note.startswith(f"{said}. If") for note in result.about["notes"])
    numbers = Manifest(real.table.assign(identity=real.table["identity"].str[1:]))
    padded = Manifest(held.assign(identity=held["identity"].str[1:].str.zfill(3)))
    result = lcmem.audit(numbers, [*made], holdout=padded, model=compact, workers=0)
    assert any(note.startswith(f"{said}, some but for leading zeros or .0. If") for note in result.about["notes"])


def test_copies_of_one_synthetic_picture_are_one_observation(sets, orl, compact, tmp_path):
    """A generator with three modes: eight near-equal pictures each, of a real person and of two unseen ones."""
    for person in (1, 22, 35):
        source = next(path for path in orl.paths if path.endswith(f"/s{person}/3.pgm"))
        for quality in range(60, 100, 5):
            Image.open(source).save(tmp_path / f"{person}-{quality}.jpg", quality=quality)
    result = lcmem.audit(sets / "real", tmp_path, model=compact, workers=0)
    assert result.memorization.count == result.copies.count == 8 and result.memorization.total == 24
    assert result.memorization.effective == pytest.approx(3)
    assert result.memorization.low == pytest.approx(proportion_confint(1, 3, method="beta")[0])


def test_given_threshold_is_used(sets, compact, tmp_path):
    result = lcmem.audit(sets / "real", sets / "generated", model=compact, threshold=0.0, workers=0)
    assert result.memorization.value == 1 and result.summary["threshold"] == 0
    result.save(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["threshold_logit"] is None


def test_a_threshold_that_strangers_reach_is_warned_of(sets, compact):
    """At p = 0.5 nearly every photo has a match among a dozen strangers; at 0.999 hardly any."""
    low, high = (
        lcmem.audit(sets / "real", sets / "generated", model=compact, threshold=p, workers=0) for p in (0.5, 0.999)
    )
    assert low.calibration.rate > 0.5 and "by chance alone" in low.about["notes"][1]
    assert high.calibration.rate < 0.05 and not any("by chance alone" in note for note in high.about["notes"])


def test_the_same_folder_twice_is_said_first(sets, compact, tmp_path):
    result = lcmem.audit(sets / "holdout", sets / "holdout", model=compact, workers=0, out=tmp_path / "out")
    assert "Are these the folders that you meant?" in result.about["notes"][0]
    assert result.copies.value == 1 and (result.to_frame()["path"] == result.to_frame()["real"]).all()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert str(sets) not in page.replace(str(tmp_path), ""), "no folder of the machine"


def test_doubtful_folders_are_part_of_the_data(faces, tmp_path):
    """Everybody's pictures lie in a folder of the same name."""
    for person in (1, 2, 3):
        for number in (1, 2):
            save(faces / f"s{person}" / f"{number}.pgm", tmp_path / "real" / f"s{person}" / "images" / f"{number}.png")
    with pytest.warns(LCMemWarning, match="do not name people"):
        found = lcmem.audit(tmp_path / "real", tmp_path / "real" / "s1", model="phash", out=tmp_path / "out", workers=0)
    inside, doubt = found.about["warnings"]
    assert inside == "synthetic lies inside real, so its pictures are among the real ones as well"
    assert doubt.startswith("real: the innermost folders do not name people")
    assert "the innermost folders do not name people" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [{"threshold": 1.5}, {"false_positive_rate": 0}, {"top_k": 0}])
def test_settings_out_of_range(sets, compact, options):
    with pytest.raises(LCMemError):
        lcmem.audit(sets / "real", sets / "generated", model=compact, **options)


def test_holdout_must_not_hold_real_pictures(sets, compact):
    with pytest.raises(LCMemError, match="are in the real set"):
        lcmem.audit(sets / "real", sets / "generated", holdout=sets / "real" / "s1", model=compact)


def test_unusable_device(sets):
    with pytest.raises(LCMemError, match="nonsense"):
        lcmem.load("compact", device="nonsense")


def test_nothing_usable(sets, compact, tmp_path):
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(LCMemError, match="none of the 1 synthetic pictures"):
        lcmem.audit(sets / "real", tmp_path, model=compact, workers=0)


def test_atlases_take_the_place_of_pictures(result, sets, compact, tmp_path):
    """Same numbers and matches; and when the pictures are gone, the report shows that in their place."""
    for name in ("real", "generated", "holdout"):
        shutil.copytree(sets / name, tmp_path / name)
        atlas = Atlas.create(tmp_path / f"{name}.atlas", compact)
        fill_atlas(Manifest.read(tmp_path / name), compact, atlas, workers=0)
        shutil.rmtree(tmp_path / name)
    places = [tmp_path / f"{name}.atlas" for name in ("real", "generated", "holdout")]
    again = lcmem.audit(*places[:2], holdout=places[2], model=compact, out=tmp_path / "out")
    assert again.about["pictures_encoded"] == 0 and again.about["n_real_identities"] == 12
    told = dataclasses.replace(again.calibration, explanation=result.calibration.explanation)  # of a look, there
    assert told == result.calibration and again.excess == result.excess
    keys = ["synthetic", "rank"]
    ours, first = (
        found.matches.replace(str(root), "", regex=True) for found, root in ((again, tmp_path), (result, sets))
    )
    pd.testing.assert_frame_equal(
        ours.sort_values(keys, ignore_index=True), first.sort_values(keys, ignore_index=True), atol=1e-4
    )
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["pairs"]["synthetic"]) == 18 and set(data["pictures"]) == {""}, "shown as not here any more"


def test_what_an_audit_keeps_stands_for_no_set(result, sets, compact, tmp_path):
    """It holds the generated pictures too: taken for the real ones, each would match itself."""
    kept = sets / "out" / "features"
    for source in (kept, str(kept)):
        with pytest.raises(LCMemError, match="stands for no set of pictures"):
            lcmem.audit(source, sets / "generated", model=compact)
    with pytest.raises(LCMemError, match="stands for no set"):
        lcmem.audit(sets / "real", sets / "generated", holdout=kept, model=compact)
    with pytest.raises(LCMemError, match="not an atlas"):
        Atlas.open(kept)
    with pytest.raises(LCMemError, match="holds a store of features, not an atlas; choose another folder"):
        Atlas.create(kept, compact)
    clean = Atlas.create(tmp_path / "out" / "features", compact)
    with pytest.raises(LCMemError, match="not an atlas"):
        clean.merge([kept])
    with pytest.raises(LCMemError, match="holds an atlas, not a store of features; choose another folder"):
        open_features(clean.folder, compact)
    assert not len(Atlas.open(clean.folder))


def test_features_that_an_audit_keeps_are_read_where_they_lie(result, sets, compact, tmp_path, monkeypatch):
    """Of a million pictures they would be two gigabytes."""
    copied = []
    original = StoredRows._gathered
    monkeypatch.setattr(
        StoredRows, "_gathered", lambda self, places, parts: copied.append(len(places)) or original(self, places, parts)
    )
    monkeypatch.setattr(copy_levels, "SAMPLED", 8)
    monkeypatch.setattr(finder, "CHUNK", 8)
    monkeypatch.setattr(remarks, "SAMPLED", 8)
    real = Manifest.read(sets / "real", identities=False)
    with claim_output(tmp_path / "out", "audit", {"real": real, "synthetic": sets / "real"}) as out:
        shutil.copytree(sets / "out" / "features", out / "features")
    again = lcmem.audit(real, sets / "real", model=compact, threshold=0.9, out=out, workers=0)
    assert again.about["pictures_encoded"] == 0 and max(copied) <= 8


def test_an_atlas_of_another_model_is_refused(sets, tmp_path, compact):
    other = SimpleNamespace(fingerprint="0" * 64, name="other", dims=compact.dims)
    made = Atlas.create(tmp_path, other)
    with pytest.raises(LCMemError, match="holds no pictures"):
        lcmem.audit(tmp_path, sets / "generated", model=compact)
    made.append(Manifest.read(sets / "real" / "s1"), np.zeros((4, 512), dtype=np.float32))
    with pytest.raises(LCMemError, match="another model"):
        lcmem.audit(tmp_path, sets / "generated", model=compact)
