"""``lcmem filter``, ``lcmem metrics`` and ``lcmem audit --paired`` do what they say on real faces."""

import json
import os
import re
import shutil
import zipfile
from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lcmem as package
from commands import lcmem
from lcmem.atlas import Atlas, fill_atlas
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.generation.filter import PrivacyFilter
from lcmem.jobs.audit.paired import CALIBRATED, COLUMNS, PAPER, audit_pairs, paired_rates
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.filter import filter_pictures
from lcmem.jobs.metrics import measure
from lcmem.matching.asked import Asked
from lcmem.matching.verdicts import NO_MATCH
from lcmem.pictures.manifest import Manifest

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def sets(people, tmp_path_factory):
    """Real: five people. Synthetic: four of their pictures, eight of strangers. Holdout: other strangers."""
    folder = tmp_path_factory.mktemp("sets")
    train, test = people.select(split="train"), people.select(split="test")
    for path, identity in zip(train.paths[:50], train.identities, strict=False):
        target = folder / "real" / identity / os.path.basename(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name, paths in (("synthetic", [*train.paths[:40:10], *test.paths[:40:5]]), ("holdout", test.paths[40:])):
        for number, path in enumerate(paths):
            target = folder / name / f"run{number % 2}" / f"{number:03d}.pgm"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return folder


def test_a_filter_takes_the_name_of_its_model(sets, weights, compact):
    named, loaded = (PrivacyFilter(model, sets / "real", threshold=0.99) for model in (weights, compact))
    picture = sorted((sets / "synthetic").rglob("*.pgm"))[:1]
    assert named(picture).table.equals(loaded(picture).table)


def test_filter_keeps_what_passes_and_nothing_else(sets, tmp_path):
    done = lcmem("filter", sets / "synthetic", "--against", sets / "real", "--out", tmp_path / "f", "--threshold", 0.99)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "f" / "filter.csv")
    assert len(table) == 12 and (table["verdict"] != NO_MATCH).sum() >= 4
    kept = {str(path.relative_to(tmp_path / "f" / "kept")) for path in (tmp_path / "f" / "kept").rglob("*.pgm")}
    passed = table["path"][table["verdict"] == NO_MATCH]
    assert kept == {os.path.relpath(path, sets / "synthetic") for path in passed}
    copies = {"000.pgm", "001.pgm", "002.pgm", "003.pgm"}
    assert not copies & {os.path.basename(path) for path in kept}, "what is a training picture never passes"
    assert f"{len(passed)} of 12 pictures pass" in done.stdout
    summary = json.loads((tmp_path / "f" / "summary.json").read_text())
    assert summary["kept"] == len(passed) and summary["kept"] + sum(summary["rejected"].values()) == 12


@pytest.fixture
def filtered(sets, compact):
    """Filter a set, by default the synthetic one."""

    def run(out, synthetic=sets / "synthetic", real=sets / "real", threshold=0.99, **options):
        return filter_pictures(synthetic, real, compact, out, asked=Asked(threshold=threshold), **options)

    return run


def test_filter_again_replaces_what_it_kept(filtered, compact, tmp_path, monkeypatch):
    first = filtered(tmp_path / "f", files="link")
    monkeypatch.setattr(type(compact), "stream", None)  # the features are there, of real pictures, too
    second = filtered(tmp_path / "f", threshold=0.0)
    assert first["kept"] > 0 and second["kept"] == 0
    assert not [*(tmp_path / "f" / "kept").rglob("*.pgm")]
    filtered(tmp_path / "f", files="link")
    filtered(tmp_path / "f", threshold=0.0, files="none")
    assert not (tmp_path / "f" / "kept").exists(), "what passed before need not pass now"


def test_a_filter_that_is_killed_leaves_no_summary_of_an_earlier_one(filtered, tmp_path, monkeypatch):
    kept = []
    filtered(tmp_path / "f")

    def keep(*_):
        kept.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("lcmem.jobs.filter._keep", keep)
        filtered(tmp_path / "f")
    assert kept and not (tmp_path / "f" / "summary.json").exists() and (tmp_path / "f" / "kept.partial").exists()
    filtered(tmp_path / "f", files="none")
    assert {path.name for path in (tmp_path / "f").iterdir() if "kept" in path.name} == set()


def test_a_real_picture_that_cannot_be_read_is_listed(sets, filtered, tmp_path):
    """Copies of it pass."""
    shutil.copytree(sets / "real", tmp_path / "real")
    (tmp_path / "real" / "broken.png").write_text("no picture")
    assert filtered(tmp_path / "f", real=tmp_path / "real", files="none")["skipped"] == 1
    (row,) = pd.read_csv(tmp_path / "f" / "skipped.csv").itertuples()
    assert row.set == "real" and row.path.endswith("broken.png")


def test_filter_of_a_zip_and_links(sets, filtered, tmp_path):
    paths = sorted((sets / "synthetic").rglob("*.pgm"))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    zipped = filtered(tmp_path / "zipped", tmp_path / "s.zip")
    linked = filtered(tmp_path / "linked", files="link")
    assert zipped["kept"] == linked["kept"] > 0
    for path in (tmp_path / "linked" / "kept").rglob("*.pgm"):
        (twin,) = [*(tmp_path / "zipped" / "kept").rglob(path.name)]
        assert twin.read_bytes() == path.read_bytes()
        assert path.samefile(sets / "synthetic" / path.relative_to(tmp_path / "linked" / "kept"))


@pytest.fixture(scope="module")
def deep(sets, tmp_path_factory):
    """The same pictures with 12 bits in files of 16, which do not say so."""
    folder = tmp_path_factory.mktemp("deep")
    for path in [*(sets / "synthetic").rglob("*.pgm"), *(sets / "real").rglob("*.pgm")]:
        target = folder / path.relative_to(sets).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            Image.fromarray((np.asarray(picture, np.int64) * 4095 // 255).astype(np.uint16)).save(target)
    return folder


@pytest.mark.filterwarnings("ignore::lcmem.errors.LCMemWarning")
def test_files_whose_depth_was_guessed_keep_their_names(deep, filtered, tmp_path):
    done = filtered(tmp_path / "f", deep / "synthetic", deep / "real", files="link")
    kept = [*(tmp_path / "f" / "kept").rglob("*.*")]
    assert len(kept) == done["kept"] > 0
    for path in kept:
        assert path.samefile(deep / "synthetic" / path.relative_to(tmp_path / "f" / "kept"))


def test_both_sets_of_a_filter_are_scaled_alike(orl, weights, tmp_path):
    """Alone, the dim real pictures would be taken for 12 bits: their own copies in 8 bits would look like others."""
    for number, path in enumerate(orl.paths[:8]):
        levels = np.asarray(Image.open(path)).astype(np.uint16) * 15
        for name, each in (("real", levels), ("synthetic", (levels >> 8).astype(np.uint8))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(each).save(tmp_path / name / f"{number}.png")
    sets = tmp_path / "synthetic", "--against", tmp_path / "real"
    done = lcmem("filter", *sets, "--model", weights, "--threshold", 0.9, "--out", tmp_path / "f", "--workers", 0)
    assert done.returncode == 0 and "read as 16 bits" in done.stderr, done.stderr
    found = pd.read_csv(tmp_path / "f" / "filter.csv")
    assert (found["verdict"] == "same identity").all() and found["logit"].min() > 10
    assert (found["path"].str.extract(r"(\d)\.png")[0] == found["real"].str.extract(r"(\d)\.png")[0]).all()


@pytest.mark.filterwarnings("ignore::lcmem.errors.LCMemWarning")
def test_pairs_are_scaled_as_the_sets_of_an_audit(deep, pairs, compact):
    named = pd.read_csv(pairs).replace(r"\.pgm$", ".png", regex=True)
    named.to_csv(deep / "pairs.csv", index=False)
    found = audit_pairs(deep / "pairs.csv", compact).pairs
    plain = audit_pairs(pairs, compact).pairs
    np.testing.assert_allclose(found["logit"], plain["logit"], atol=0.5)


def test_filter_refuses_what_it_cannot_do(sets, filtered, compact, tmp_path):
    atlas = Atlas.create(tmp_path / "atlas", compact)
    fill_atlas(Manifest.read(sets / "holdout"), compact, atlas, workers=0)
    with pytest.raises(LCMemError, match="copy, link, none"):
        filtered(tmp_path / "x", files="move")
    with pytest.raises(LCMemError, match="a probability between 0 and 1"):
        filtered(tmp_path / "x", threshold=2.0)
    with pytest.raises(LCMemError, match="what is filtered are pictures"):
        filtered(tmp_path / "x", atlas)
    assert not (tmp_path / "x").exists(), "before anything is made or encoded"
    slices = pd.DataFrame({"path": ["/v.nii.gz#slice=3"], "identity": "", "split": "", "dataset": ""})
    with pytest.raises(LCMemError, match="--files none"):
        filtered(tmp_path / "slices", Manifest(slices))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_text("no picture")
    with pytest.raises(LCMemError, match="none of the 1 synthetic"):
        filtered(tmp_path / "out", tmp_path / "bad")


@pytest.fixture(scope="module")
def pairs(sets):
    """Each copy with its original, two pictures of one person, and four with somebody else."""
    synthetic = sorted((sets / "synthetic").rglob("*.pgm"), key=lambda path: path.name)
    real = sorted((sets / "real").rglob("*.pgm"))
    same = {path.read_bytes(): path for path in real}
    rows = [(path, same[path.read_bytes()]) for path in synthetic[:4]]
    rows += [(path, real[number]) for number, path in enumerate(synthetic[4:8])]
    table = pd.DataFrame(rows, columns=["synthetic", "real"]).map(lambda path: os.path.relpath(path, sets))
    table.assign(note="kept").to_csv(sets / "pairs.csv", index=False)
    return sets / "pairs.csv"


def test_paired_rate_is_of_the_given_pairs(sets, pairs, compact):
    found = audit_pairs(pairs, compact)
    logits, strict = found.pairs["logit"].to_numpy(), {"strict": float(compact.bias) - 1e-4}
    rate = paired_rates(logits, strict, np.arange(8), logits=True)["strict"]
    assert rate.count == 4 and rate.total == 8
    assert list(found.pairs["note"]) == ["kept"] * 8
    expected = [compact.score(str(sets / row.synthetic), str(sets / row.real)) for row in found.pairs.itertuples()]
    np.testing.assert_allclose(found.pairs["logit"], expected, rtol=1e-5)
    assert found.rates[PAPER].count == sum(logit > 0 for logit in expected)
    alone = audit_pairs(pairs, package.load_detector("ncc"))
    assert not alone.rates and alone.pairs["probability"].isna().all()


def test_pairs_that_cannot_be_scored_are_said_to_be_left_out(sets, pairs, compact, tmp_path):
    table = pd.read_csv(pairs).assign(real=lambda found: found["real"].where(found.index > 0, "gone.pgm"))
    table.to_csv(sets / "gone.csv", index=False)
    found = audit_pairs(sets / "gone.csv", compact)
    assert found.left_out == 1 and found.rates[PAPER].total == 7
    assert re.search(r"left out of it: 1; for example .*gone\.pgm: no such file", found.lines[-1])
    found.save(tmp_path)
    assert json.loads((tmp_path / "paired.json").read_text())["pairs_left_out"] == 1
    assert pd.read_csv(tmp_path / "paired-skipped.csv")["path"].str.endswith("gone.pgm").all()


def test_a_bad_table_of_pairs_is_refused_before_the_audit(sets, tmp_path):
    (sets / "half.csv").write_text("synthetic,real\nsynthetic/a.pgm,\n")
    for command in ("audit", "metrics"):
        line = [command, sets / "real", sets / "synthetic", "--paired", sets / "half.csv"]
        done = lcmem(*line, "--out", tmp_path / command)
        assert done.returncode == 1 and "row 1 names one picture only" in done.stderr
        assert not [*(tmp_path / command).glob("features*")]


def test_exactly_one_half_is_not_above_one_half():
    rates = paired_rates(np.array([0.0, 1e-9, -1.0]), {"t": 0.0}, np.arange(3), logits=True)
    assert (rates[PAPER].count, rates["t"].count) == (1, 2)


def test_samples_of_one_real_picture_are_worth_one():
    hits = np.repeat([1.0, -1.0, 1.0, -1.0], 5)
    alike = paired_rates(hits, {}, np.arange(4).repeat(5), logits=True)[PAPER]
    apart = paired_rates(hits, {}, np.arange(20), logits=True)[PAPER]
    assert alike.effective == pytest.approx(4) and apart.effective == 20
    assert alike.value == apart.value and alike.high - alike.low > 1.5 * (apart.high - apart.low)


@pytest.fixture
def found_audit(sets, compact):
    return package.audit(sets / "real", sets / "synthetic", model=compact, threshold=0.9, workers=0)


def test_pairs_take_the_threshold_that_the_audit_has_for_their_kind(sets, pairs, compact, found_audit):
    scores = audit_pairs(pairs, compact).pairs["logit"]
    half = found_audit.matches.assign(
        dataset=np.where(found_audit.matches["synthetic"].str.contains("/run0/"), "a", "b")
    )
    levels = {"a": float(scores.min()) - 1, "b": inf}
    calibration = replace(found_audit.calibration, logit=levels["a"], by_kind=levels)
    found = audit_pairs(pairs, compact, audit=replace(found_audit, matches=half, calibration=calibration))
    assert found.rates[CALIBRATED].count == 4, "all of kind a, none of kind b"
    (sets / "lists").mkdir(exist_ok=True)
    listed = pd.read_csv(pairs)
    listed.assign(**{end: "../" + listed[end] for end in COLUMNS}).to_csv(sets / "lists" / "pairs.csv", index=False)
    above = audit_pairs(
        sets / "lists" / "pairs.csv", compact, audit=replace(found_audit, matches=half, calibration=calibration)
    )
    assert above.rates == found.rates, "however the paths are spelt"
    again = pd.concat([pd.read_csv(pairs), pd.read_csv(pairs).head(3)])
    again.to_csv(sets / "again.csv", index=False)
    with pytest.warns(LCMemWarning, match="3 rows list a pair again"):
        assert audit_pairs(sets / "again.csv", compact).rates == audit_pairs(pairs, compact).rates
    swapped = pd.read_csv(pairs).rename(columns={"synthetic": "real", "real": "synthetic"})
    swapped.to_csv(sets / "swapped.csv", index=False)
    with pytest.warns(LCMemWarning, match=r"8 of 8 pairs name a synthetic picture .*are the columns swapped\?"):
        audit_pairs(sets / "swapped.csv", compact, audit=found_audit)


def test_an_audit_without_a_threshold_gives_no_paired_rate(pairs, compact, found_audit):
    blind = replace(found_audit, calibration=replace(found_audit.calibration, logit=inf, by_kind={}))
    found = audit_pairs(pairs, compact, audit=blind)
    assert CALIBRATED not in found.rates and CALIBRATED not in found.summary
    assert "the audit could set no threshold" in found.lines[-1]


def test_paired_tables_that_cannot_be_used(sets, pairs, compact, tmp_path):
    (tmp_path / "empty.csv").write_text("synthetic,real\n")
    with pytest.raises(LCMemError, match="no pairs"):
        audit_pairs(tmp_path / "empty.csv", compact)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LCMemError, match="no column 'real'"):
        audit_pairs(tmp_path / "other.csv", compact)
    (tmp_path / "gone.csv").write_text("synthetic,real\nx.png,y.png\n")
    with pytest.raises(LCMemError, match=r"no pair can be scored.*no such file"):
        audit_pairs(tmp_path / "gone.csv", compact)
    half = pd.read_csv(pairs).map(lambda value: str(sets / value) if "/" in value else value)
    half.loc[0, "synthetic"] = "nowhere.png"
    half.to_csv(tmp_path / "half.csv", index=False)
    found = audit_pairs(tmp_path / "half.csv", compact)
    assert len(found.pairs) == 7 and len(found.skipped) == 1


def test_audit_with_pairs(sets, pairs, weights, tmp_path):
    out = tmp_path / "audit"
    words = ["audit", sets / "real", sets / "synthetic", "--paired", pairs, "--threshold", 0.9, "--out", out]
    done = lcmem(*words, "--model", weights)
    assert done.returncode == 0, done.stderr
    assert "paired memorization rate, p > 0.5" in done.stdout
    assert "paired memorization rate, threshold of the audit" in done.stdout
    numbers = json.loads((out / "paired.json").read_text())
    assert numbers["threshold of the audit"]["n_memorized"] >= 4
    assert len(pd.read_csv(out / "paired.csv")) == 8
    AuditResult.load(out).save(out)
    assert not list(out.glob("paired*")), "of another run"


def test_metrics_of_good_and_bad_sets(sets, compact, pairs, tmp_path):
    extractor = package.load_detector("efficientnet-lite0")
    found = measure(
        sets / "real", sets / "synthetic", extractor=extractor, model=compact, holdout=sets / "holdout", paired=pairs,
        threshold=0.99, out=tmp_path / "m",
    )  # fmt: skip
    rows = {row["metric"]: row for row in found.rows()}
    assert rows["memorization rate, one-versus-all"]["value"] >= 4 / 12
    assert rows["excess over the holdout"]["value"] > 0
    assert rows["paired memorization rate, threshold of the audit"]["value"] >= 0.5
    assert not any(name.startswith("FID") for name in rows), "only Inception makes a FID"
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["metrics"] == found.rows()
    assert found.retrieval.queries == 12 and found.retrieval_matched.queries == found.retrieval_holdout.queries == 12
    assert found.adjusted == found.retrieval_matched.learnt / found.retrieval_holdout.learnt


def test_metrics_command_prints_json(sets, weights):
    words = ["metrics", sets / "real", sets / "holdout", "--threshold", 0.99, "--json", "--features", weights]
    done = lcmem(*words, "--model", weights)
    assert done.returncode == 0, done.stderr
    rows = {row["metric"]: row for row in json.loads(done.stdout)["metrics"]}
    apart, floor = rows["FD (compact)"], rows["FD (compact), real to real"]
    assert apart["value"] > floor["value"] > 0, "other people are further away than real pictures from each other"
