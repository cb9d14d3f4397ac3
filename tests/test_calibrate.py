"""Claims: a calibration kept as a file gives what calibrating anew gives; it is cited, or refused."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lcmem
from commands import lcmem as lcmem_command
from lcmem.cli.pictures import asked_for
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.generation.filter import PrivacyFilter
from lcmem.generation.thresholds import calibrate_thresholds, read_thresholds
from lcmem.jobs.calibrate import calibrate_pictures
from lcmem.jobs.compare import compare_pair
from lcmem.jobs.duplicates import find_duplicates
from lcmem.jobs.scan.threshold import scan_threshold
from lcmem.matching.asked import Asked
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.features import extract_features
from lcmem.matching.finder import CopyFinder
from lcmem.matching.own_chance import real_chance
from lcmem.matching.transfer import Transfer
from lcmem.pictures.manifest import Manifest
from lcmem.stats.chance import Chance

pytestmark = pytest.mark.usefixtures("looks_once")


@pytest.fixture(scope="module")
def real(orl):
    """24 people with 2 photos each."""
    table = orl.table.groupby("identity").head(2)
    return Manifest(table[table["identity"].str[1:].astype(int) <= 24].reset_index(drop=True))


@pytest.fixture(scope="module")
def place(real, weights, tmp_path_factory):
    """Written by the command line."""
    folder = tmp_path_factory.mktemp("calibration")
    real.write(folder / "real.csv")
    out = folder / "calibration.json"
    options = ["--model", weights, "--false-positive-rate", 0.1, "--workers", 0]
    done = lcmem_command("calibrate", folder / "real.csv", *options, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "with 95% confidence not more than" in done.stdout and "takes 19" in done.stdout + done.stderr
    assert "of 48 real pictures" in done.stdout and "so many other photos of a person would be found" in done.stdout
    return out


@pytest.fixture(scope="module")
def file(place):
    return CalibrationFile.read(place)


@pytest.fixture(scope="module")
def features(real, compact):
    return extract_features(real, compact, None, workers=0)


def test_the_file_says_what_it_promises_and_rests_on(file, place, compact):
    about = file.about
    assert about["model"] == {"name": "compact", "fingerprint": compact.fingerprint}
    assert about["real"]["pictures"] == 48 and about["real"]["identities"] == 24 and len(about["real"]["sha256"]) == 64
    same = about["same_identity"]
    assert same["method"] == "identities" and same["identities"] == 24 and same["pictures"] == 48
    assert (
        0.1 < same["sensitivity"]["share"] <= same["sensitivity"]["share_high"]
        and same["sensitivity"]["pictures"] == 48
    )
    assert same["expected"] <= 0.1 < same["bound"] < 0.5 and same["identities_needed"] == 19
    assert 0 < about["probability"]["error_after"] < 0.5 and place.with_suffix(".png").stat().st_size > 1000
    assert 0 < about["look"]["expected"] <= about["look"]["bound"] and max(about["look"]["thresholds"]) < 1


def test_an_audit_takes_the_same_threshold_from_it_and_cites_it(file, place, real, compact, orl):
    shown = orl.table["identity"].isin(["s1", "s30"]) & ~orl.table["path"].isin(real.paths)
    synthetic = Manifest(orl.table[shown].reset_index(drop=True))
    anew = lcmem.audit(real, synthetic, model=compact, false_positive_rate=0.1, workers=0)
    kept = lcmem.audit(real, synthetic, model=compact, calibration=place, workers=0)
    assert kept.calibration.logit == anew.calibration.logit and kept.calibration.rate == anew.calibration.rate
    assert kept.to_frame().drop(columns=["logit"]).equals(anew.to_frame().drop(columns=["logit"]))
    assert file.citation in kept.calibration.explanation
    assert kept.about["calibration_sha256"] == file.about["sha256"] and kept.about["notes"] == anew.about["notes"]
    other = lcmem.audit(real.rows(range(40)), synthetic, model=compact, calibration=place, workers=0)
    assert "on other real pictures than these" in other.about["notes"][0]


def test_the_other_commands_take_it_too(file, features, compact, faces, orl):
    level = Transfer(file, file.pictures, []).calibration().logit
    assert scan_threshold(features, compact, Asked(calibration=file)).logit == min(level, file.copy_levels.typical)
    finder = CopyFinder.of(features, compact)
    known = read_thresholds(file, features, finder)
    anew = calibrate_thresholds(features, finder, 0.1)
    assert (known.calibration.logit, known.copy) == (anew.calibration.logit, anew.copy)
    assert file.citation in known.calibration.explanation and "other real pictures" not in known.calibration.explanation
    assert (
        known.calibration.rate == pytest.approx(anew.calibration.rate) and "seen small" in anew.calibration.explanation
    )
    assert PrivacyFilter(compact, features, calibration=file).thresholds == known
    assert find_duplicates(features, compact, Asked(calibration=file), 0).threshold == min(level, file.copy_levels.sure)
    others = extract_features(orl.rows(range(300, 340)), compact, None, workers=0)
    assert "on other real pictures" in read_thresholds(file, others, finder).calibration.explanation
    assert "on other real pictures" in scan_threshold(others, compact, Asked(calibration=file)).explanation
    with pytest.warns(LCMemWarning, match="on other real pictures"):
        find_duplicates(others, compact, Asked(calibration=file), 0)
    found = compare_pair(str(faces / "s1" / "1.pgm"), str(faces / "s2" / "1.pgm"), compact, calibration=file)
    assert found.threshold == level and file.citation in found.origin


def test_among_more_pictures_the_threshold_is_no_lower(file):
    assert 24 < file.pictures <= 48
    few, own, more = (Transfer(file, count, []) for count in (10, file.pictures, 2 * file.pictures))
    assert few.chance.growth == own.chance.growth == file.chance.growth == more.chance.growth / 2
    found = more.calibration()
    assert found.logit >= own.calibration().logit
    assert found.rate == pytest.approx(min(2 * file.chance.expected(found.logit), 1))


@pytest.fixture(scope="module")
def bursts(real, compact, tmp_path_factory):
    """One photo of each of the 24 people, and three more files of each that differ by a little light."""
    folder, rows = tmp_path_factory.mktemp("bursts"), []
    for path, identity in real.table.groupby("identity")[["path", "identity"]].head(1).itertuples(index=False):
        rows.append((path, identity))
        for number in (1, 2, 3):
            rows.append((str(folder / f"{identity}-{number}.png"), identity))
            Image.open(path).convert("L").point(lambda level, more=number: min(level + more, 255)).save(rows[-1][0])
    manifest = Manifest(pd.DataFrame(rows, columns=["path", "identity"]).assign(split="", dataset=""))
    return extract_features(manifest, compact, None, workers=0)


def unseen(orl):
    """Six photos each of 16 other people."""
    table = orl.table[orl.table["identity"].str[1:].astype(int) > 24]
    return Manifest(table.groupby("identity").head(6).reset_index(drop=True))


def test_files_of_one_picture_promise_no_more_than_one(bursts, orl, compact, tmp_path):
    """Among as many pictures of other people a match is likelier than among four files of one each."""
    finder = CopyFinder.of(bursts, compact)
    calibrate_pictures(bursts.manifest, compact, tmp_path / "c.json", rate=0.1, workers=0)
    file = CalibrationFile.read(tmp_path / "c.json")
    assert file.about["real"]["pictures"] == 96 and file.pictures == 24
    assert Transfer.of(file, bursts, finder).pictures == 24, "its own pictures are no more than it was made on"
    others = extract_features(unseen(orl), compact, None, workers=0)
    transfer = Transfer.of(file, others, finder)
    assert 2 * 24 < transfer.pictures <= 96 and transfer.chance.growth > 2


def test_pictures_without_identity_beside_files_of_one_picture(bursts, orl, compact):
    others = unseen(orl).table.head(48).assign(identity="", dataset="")
    mixed = Manifest(pd.concat([bursts.manifest.table, others], ignore_index=True))
    found = extract_features(mixed, compact, None, workers=0)
    chance = real_chance(found, CopyFinder.of(bursts, compact)).chance
    assert chance.growth == pytest.approx((24 + 48) / 24), "96 files are 24 pictures"


def test_one_file_twice_does_not_change_what_counts(orl, bursts, compact, tmp_path):
    """A calibration on pictures of which two are the same says of a set of bursts what one on all but that says."""
    distinct = orl.table.groupby("identity").head(1)
    twice = str(shutil.copy(distinct["path"].iloc[0], tmp_path / "again.pgm"))
    more = pd.concat([distinct, distinct.head(1).assign(path=twice)], ignore_index=True)
    counted = []
    for table in (distinct, more):
        calibrate_pictures(Manifest(table), compact, tmp_path / "c.json", rate=0.1, workers=0)
        file = CalibrationFile.read(tmp_path / "c.json")
        counted.append(Transfer.of(file, bursts, CopyFinder.of(bursts, compact)).times)
    assert counted[0] == pytest.approx(96 / 40) and counted[1] == pytest.approx(counted[0], rel=0.05)


def test_what_chance_reaches_at_least_is_less_among_fewer_pictures(real, orl, compact, tmp_path):
    """Else a holdout of the same source would be taken for another one's."""
    calibrate_pictures(real, compact, tmp_path / "c.json", rate=0.5, workers=0)
    floors = []
    for count in (48, 12):
        few, made = Manifest(real.table.head(count)), unseen(orl).paths[:4]
        result = lcmem.audit(few, made, model=compact, calibration=tmp_path / "c.json", workers=0)
        floors.append(result.about["false_positive_rate_floor"])
    assert 0 < floors[1] < floors[0] / 2


def test_a_threshold_and_a_rate_are_not_both_asked_for():
    with pytest.raises(LCMemError, match="a threshold or a false positive rate, not both"):
        asked_for(0.9, None, 0.001)
    assert asked_for(0.9, None).threshold == 0.9 and asked_for(None, None, 0.001).false_positive_rate == 0.001


def test_a_calibration_of_another_model_is_refused_by_name(file, features, place):
    other = SimpleNamespace(name="other", fingerprint="0" * 64)
    for use in (lambda: file.check(other), lambda: scan_threshold(features, other, Asked(calibration=file))):
        with pytest.raises(LCMemError, match=r"calibration\.json: a calibration of another model \(compact"):
            use()
    with pytest.raises(LCMemError, match="another model"):
        lcmem.audit("real", "synthetic", model="phash", calibration=place)
    with pytest.raises(LCMemError, match="not both"):
        lcmem.audit("real", "synthetic", model="phash", calibration=place, threshold=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "not a readable calibration"),
        (lambda text: "", "not a readable calibration"),
        (lambda text: "[]", "not a calibration of the format"),
        (lambda text: json.dumps({"format": "lcmem-calibration/9"}), "not a calibration of the format"),
        (lambda text: json.dumps({"format": "lcmem-calibration/3"}), "a damaged calibration"),
        (lambda text: text.replace('"expected": 0.', '"expected": 0.0', 1), "altered or damaged, its sha256"),
        (lambda text: text.replace('"method": "identities"', '"method": "holdout"'), "altered or damaged, its sha256"),
        (lambda text: text.replace('"method": "identities"', '"method": "x"'), "a damaged calibration"),
        (lambda text: text.replace('"mutual": true', '"mutual": false'), "altered or damaged, its sha256"),
    ],
)
def test_what_is_not_whole_is_refused_by_name(place, tmp_path, change, message):
    damaged = tmp_path / "mine.json"
    damaged.write_text(change(place.read_text()))
    with pytest.raises(LCMemError, match=f"mine\\.json: {message}"):
        CalibrationFile.read(damaged)
    with pytest.raises(LCMemError, match=r"gone\.json"):
        CalibrationFile.read(tmp_path / "gone.json")


def test_without_identities_it_says_what_it_rests_on(real, compact, tmp_path):
    bare = Manifest(real.rows(range(12)).table.assign(identity=""))
    found = calibrate_pictures(bare, compact, tmp_path / "c.json", workers=0)
    assert found.method == "copy groups" and found.about["probability"] is None
    assert found.about["real"]["identities"] is None and not (tmp_path / "c.png").exists()


def test_how_many_identities_a_bound_takes():
    """Without a match 299 independent pictures show 1 % with 95 % confidence: 0.99^299 < 0.05."""
    for mutual, number in ((False, 299), (True, 598)):
        made = Chance(np.arange(number + mutual, dtype=float), np.arange(number + mutual), mutual)
        assert made.needed_for_bound(0.01) == pytest.approx(number + mutual, abs=1)
        needed = made.needed_for_bound(0.01)
        enough, fewer = (Chance(np.arange(float(n)), np.arange(n), mutual) for n in (needed, needed - 2))
        assert enough.bound(np.inf) <= 0.01 < fewer.bound(np.inf)


@pytest.mark.parametrize("values", [{"rate": 0}, {"rate": 1}, {"confidence": 1.5}])
def test_what_cannot_be_asked_for(real, compact, tmp_path, values):
    with pytest.raises(LCMemError, match="must lie between 0 and 1"):
        calibrate_pictures(real, compact, tmp_path / "c.json", **values)
