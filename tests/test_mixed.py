"""Claims: a real set of several kinds of pictures has a threshold for each, and the report and its tables say so."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lcmem
from lcmem.cli.audit_summary import print_summary
from lcmem.datasets import read_dataset
from lcmem.detectors.registry import load_detector
from lcmem.generation.filter import PrivacyFilter
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.calibrate import calibrate_pictures
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.features import extract_features
from lcmem.matching.kinds import split_kinds
from lcmem.matching.thumbnails import Thumbnails
from lcmem.matching.transfer import Transfer
from lcmem.pictures.manifest import Manifest
from lcmem.report import audit_card

pytestmark = pytest.mark.usefixtures("looks_once")
TEXTURES, FACES = 60, 80


@pytest.fixture(scope="module")
def tables(orl, tmp_path_factory):
    """Real and synthetic pictures: faces of nobody known, and textures of which each is an identity."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("mixed")
    coarse = 128 + 12 * rng.normal(size=(2 * TEXTURES, 6, 6)) + 60 * np.linspace(-1, 1, 6)
    names = [str(folder / f"{at}.png") for at in range(2 * TEXTURES)]
    for name, values in zip(names, coarse, strict=True):
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC).save(name)
    faces = [path for path in orl.paths if path.endswith(("1.pgm", "2.pgm", "3.pgm"))]
    parts = []
    for at, (pictures, known) in enumerate(((names, True), (faces, False))):
        half = TEXTURES if known else FACES
        for place, some in (("real", pictures[:half]), ("synthetic", pictures[half : half + 30])):
            who = [f"t{k}" if known and place == "real" else "" for k in range(len(some))]
            kind = ["textures", "faces"][at]
            parts.append(pd.DataFrame({"place": place, "path": some, "identity": who, "dataset": kind}))
    table = pd.concat(parts, ignore_index=True)
    for place, rows in table.groupby("place"):
        rows.drop(columns="place").to_csv(folder / f"{place}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def found(tables):
    return lcmem.audit(tables / "real.csv", tables / "synthetic.csv", model="phash", out=tables / "out", workers=0)


def test_each_dataset_has_a_threshold_of_its_own(found, tables):
    rows = {row["dataset"]: row for row in found.summary["by_dataset"]}
    assert set(rows) == {"faces", "textures"} and found.calibration.method == "identities"
    assert rows["faces"]["threshold_logit"] > rows["textures"]["threshold_logit"] + 0.1, "other photos of one person"
    assert rows["faces"]["synthetic"] + rows["textures"]["synthetic"] == 60 and rows["textures"]["match"] > 0
    assert FACES - 5 <= rows["faces"]["identities"] <= FACES + 5, "each face without a name is one"
    levels = found.to_frame()["dataset"].map(lambda kind: rows[kind]["threshold_logit"])
    by_score = found.to_frame()["found_by"] == "score"
    assert (by_score == (found.to_frame()["logit"] >= levels)).all() and by_score.any()
    weighted = sum(row["false_positive_rate"] * row["synthetic"] / 60 for row in rows.values())
    assert found.calibration.rate >= weighted - 1e-12, "looks may add something"
    assert found.calibration.rate <= weighted + found.summary["look_chance"]
    assert sum(row["match"] for row in rows.values()) == found.memorization.count
    assert not any("have no identity" in note for note in found.summary["notes"])


def test_alone_they_have_the_same_thresholds(found, tables):
    real = pd.read_csv(tables / "real.csv", keep_default_na=False)
    real[real["dataset"] == "textures"].to_csv(tables / "textures.csv", index=False)
    alone = lcmem.audit(tables / "textures.csv", tables / "synthetic.csv", model="phash", workers=0)
    assert alone.summary["by_dataset"] == [] and alone.calibration.by_kind == {}
    assert alone.calibration.logit == pytest.approx(found.calibration.by_kind["textures"], rel=1e-3)


def test_the_result_and_its_page_say_so_when_they_are_read_again(found, tables):
    again = AuditResult.load(tables / "out")
    assert again.summary == found.summary and again.calibration.by_kind == found.calibration.by_kind
    page = (tables / "out" / "index.html").read_text(encoding="utf-8")
    assert "Thresholds by dataset" in page and "<td>textures</td>" in page


def test_a_private_audit_names_no_dataset(tables):
    hidden = tables / "private"
    lcmem.audit(tables / "real.csv", tables / "synthetic.csv", model="phash", out=hidden, private=True, workers=0)
    for file in hidden.iterdir():
        if file.suffix in (".json", ".csv", ".html"):
            assert "textures" not in file.read_text(encoding="utf-8"), file.name
    rows = json.loads((hidden / "summary.json").read_text(encoding="utf-8"))["by_dataset"]
    names = set(pd.read_csv(hidden / "matches.csv")["dataset"])
    assert [row["dataset"] for row in rows] == ["dataset 1", "dataset 2"] and names <= {"dataset 1", "dataset 2"}
    sizes = pd.read_csv(tables / "real.csv")["dataset"].value_counts()
    assert rows[0]["identities"] > rows[1]["identities"] and sizes["faces"] > sizes["textures"], "the largest is first"


def test_a_calibration_keeps_them(found, tables):
    made = calibrate_pictures(tables / "real.csv", load_detector("phash"), tables / "c.json", workers=0)
    kept = CalibrationFile.read(tables / "c.json")
    assert Transfer(kept, 140, []).calibration().by_kind == Transfer(made, 140, []).calibration().by_kind
    file = tables / "c.json"
    used = lcmem.audit(tables / "real.csv", tables / "synthetic.csv", model="phash", calibration=file, workers=0)
    assert used.calibration.by_kind == pytest.approx(found.calibration.by_kind)
    assert used.calibration.rate == pytest.approx(found.calibration.rate)
    rows = (pd.DataFrame(each.summary["by_dataset"]) for each in (used, found))
    pd.testing.assert_frame_equal(*rows)
    content = json.loads(file.read_text(encoding="utf-8"))
    content["chance"]["parts"][0]["scores"][0] += 1
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(lcmem.LCMemError, match="altered or damaged"):
        CalibrationFile.read(file)


def test_datasets_that_a_calibration_does_not_name_are_said(tables):
    """The same pictures under other names of datasets take the highest threshold: fewer are found."""
    real = pd.read_csv(tables / "real.csv", keep_default_na=False).assign(split="")
    calibrate_pictures(Manifest(real), load_detector("phash"), tables / "named.json", workers=0)
    renamed = Manifest(real.assign(dataset=real["dataset"].replace("faces", "people")))
    privacy = PrivacyFilter("phash", renamed, calibration=tables / "named.json")
    said = f"{FACES} of {len(real)} real pictures are of datasets that the calibration does not name"
    assert said in privacy.thresholds.calibration.explanation
    as_named = PrivacyFilter("phash", Manifest(real), calibration=tables / "named.json")
    assert "does not name" not in as_named.thresholds.calibration.explanation


def test_a_calibration_is_for_as_many_pictures_of_each_kind(tables):
    """With as many in all, but of other proportions, chance matches of one kind are more frequent."""
    real = pd.read_csv(tables / "real.csv", keep_default_na=False)
    kinds, faces = real["dataset"], real[real["dataset"] == "faces"]
    few = pd.concat((real[kinds == "textures"], faces.head(40)))
    calibrate_pictures(
        Manifest(few.assign(split="").reset_index(drop=True)), load_detector("phash"), tables / "few.json"
    )
    file = CalibrationFile.read(tables / "few.json")
    assert file.about["real"]["datasets"] == {"textures": 60, "faces": 40}
    turned = pd.concat((real[kinds == "textures"].head(20), faces)).assign(split="").reset_index(drop=True)
    found = extract_features(Manifest(turned), load_detector("phash"), None, workers=0)
    finder = file.finder(load_detector("phash"), Thumbnails(0))
    assert len(turned) == 100 and Transfer.of(file, found, finder).pictures == 2 * file.pictures, "twice as many faces"


@pytest.fixture(scope="module")
def unnamed(tables):
    """The real pictures with an identity each and no dataset."""
    table = pd.read_csv(tables / "real.csv", keep_default_na=False)
    who = [f"p{at}" for at in range(len(table))]
    return Manifest(table.assign(identity=who, dataset="", split=""))


def test_kinds_are_told_apart_without_a_column(unnamed, tables, compact, tmp_path):
    """Whatever the order of the table; pictures without an identity belong to the kind of those that they are like."""
    textures = np.array(["/orl" not in path.lower() for path in unnamed.paths])
    some = unnamed.table["identity"].where(np.arange(len(unnamed)) % 7 > 0, "")
    mixed = Manifest(unnamed.table.assign(identity=some).sample(frac=1, random_state=1).reset_index(drop=True))
    found = split_kinds(extract_features(mixed, compact, None, workers=0), compact)
    kinds = pd.Series(found.kinds, index=found.manifest.paths)[unnamed.paths].to_numpy()
    assert found.told_apart == 2 and len(set(kinds[textures])) == len(set(kinds[~textures])) == 1
    assert set(kinds[~textures]) == {"kind 1"}, "the larger one"
    made = Manifest.read(tables / "synthetic.csv").rows(range(4))
    result = lcmem.audit(mixed, made, model=compact, false_positive_rate=0.3, workers=0)
    assert max(result.calibration.by_kind.values()) < np.inf
    assert any("2 kinds of pictures" in note for note in result.summary["notes"])
    assert {row["dataset"] for row in result.summary["by_dataset"]} == {"kind 1", "kind 2"}
    calibrate_pictures(mixed, compact, tmp_path / "c.json", rate=0.3, workers=0)
    again = lcmem.audit(mixed, made, model=compact, calibration=tmp_path / "c.json", workers=0)
    assert again.calibration.by_kind == pytest.approx(result.calibration.by_kind)
    other = mixed.rows(range(1, len(mixed)))
    strict = lcmem.audit(other, made, model=compact, calibration=tmp_path / "c.json", workers=0)
    assert set(strict.to_frame()["dataset"]) == {""}, "kinds of another set are not called the same"
    levels = result.calibration.by_kind.values()
    assert strict.calibration.logit == pytest.approx(max(levels)) and strict.summary["by_dataset"] != []


def test_one_kind_is_not_told_apart(orl, unnamed, compact):
    """Nor are many photos of each of a few people, nor kinds without identities."""
    textures = unnamed.table[unnamed.table["path"].str.endswith(".png")]
    assert len(textures) == TEXTURES
    more = [path.replace(f"{at}.png", f"{at + TEXTURES}.png") for at, path in enumerate(textures["path"])]
    both = pd.concat([textures, textures.assign(path=more, identity=more)], ignore_index=True)
    for table in (both, orl.table, unnamed.table.assign(identity="")):
        found = extract_features(Manifest(table), compact, None, workers=0)
        assert split_kinds(found, compact) is found


@pytest.mark.parametrize("dataset", ["celeba", "ham10000"])
def test_people_of_one_data_set_are_one_kind(data_pack, dataset, compact):
    table = read_dataset("open-pack", data_pack).table
    table = table[(table["dataset"] == dataset) & (table["split"] == "val")].drop_duplicates("identity").head(200)
    found = extract_features(Manifest(table.assign(dataset="").reset_index(drop=True)), compact, None)
    assert split_kinds(found, compact) is found


def test_what_little_is_known_of_is_said(found, tables, orl, compact):
    """Datasets without identities, with few, without a holdout, and unknown to a calibration."""
    assert any("1 dataset (faces) without identities" in note for note in found.summary["notes"])
    real = pd.read_csv(tables / "real.csv", keep_default_na=False)
    few = pd.concat([real[real["dataset"] == "faces"], real[real["dataset"] == "textures"].head(45)])
    others = Manifest(orl.table[orl.table["path"].str.endswith("9.pgm")].reset_index(drop=True))
    result = lcmem.audit(
        Manifest(few.assign(split="").reset_index(drop=True)), tables / "synthetic.csv", holdout=others, model=compact
    )
    notes = result.summary["notes"]
    assert result.summary["by_dataset"], result.calibration.explanation
    assert any("rest on fewer than 50 identities" in note for note in notes), notes
    assert any("no control of these" in note for note in notes) and result.holdout.total == 40
    real[real["dataset"] == "textures"].to_csv(tables / "only.csv", index=False)
    calibrate_pictures(tables / "only.csv", load_detector("phash"), tables / "one.json", workers=0)
    one = lcmem.audit(tables / "real.csv", tables / "synthetic.csv", model="phash", calibration=tables / "one.json")
    assert any("knows one kind of pictures" in note for note in one.summary["notes"])


def test_the_console_and_the_card_name_each_threshold(found, capsys):
    print_summary(found)
    shown = capsys.readouterr().out
    for row in found.summary["by_dataset"]:
        assert row["dataset"] in shown and f"{row['threshold_logit']:.3f}" in shown
    levels = {row["dataset"]: row["threshold_logit"] for row in found.summary["by_dataset"]}
    assert audit_card(found)["thresholds"]["by_dataset"] == levels


def test_a_filter_judges_by_the_dataset_of_the_real_picture(found, tables):
    privacy = PrivacyFilter("phash", tables / "real.csv")
    assert privacy.thresholds.calibration.by_kind == pytest.approx(found.calibration.by_kind)
    made = pd.read_csv(tables / "synthetic.csv")["path"].tolist()
    refused = privacy(made).table["verdict"] != "no match"
    assert refused.tolist() == found.to_frame()["match"].tolist(), "as an audit does"


def test_the_order_of_the_table_decides_nothing(tables):
    """Hashes of many pictures are equally alike, some across datasets."""
    real, made = pd.read_csv(tables / "real.csv", keep_default_na=False), Manifest.read(tables / "synthetic.csv")
    rng = np.random.default_rng(0)
    real["dataset"] = real["dataset"] + rng.choice([" a", " b"], len(real))
    found = []
    for seed in (0, 1):
        some = Manifest(real.sample(frac=1, random_state=seed).reset_index(drop=True))
        found.append(lcmem.audit(some, made, model="phash", workers=0))
    assert found[0].calibration.by_kind == found[1].calibration.by_kind
    assert found[0].summary["by_dataset"] == found[1].summary["by_dataset"]
    pd.testing.assert_frame_equal(*(each.to_frame() for each in found))
