"""Claims: edited copies never come out differently; thresholds, rates and µAP equal their definitions; runs resume."""

import inspect
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score

from commands import lcmem
from lcmem.detectors.pixel import NCC
from lcmem.detectors.registry import REGISTRY
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.evaluation.copy.part import CopyPart, CopyScores, micro_average_precision, nearest_mean
from lcmem.evaluation.copy.run import COLUMNS, benchmark_copy
from lcmem.evaluation.copy.sample import random_identities, random_pictures
from lcmem.evaluation.copy.summary import strongest
from lcmem.evaluation.copy.threshold_pairs import ThresholdPairs, average
from lcmem.evaluation.copy.transforms import PAPER, TRANSFORMS
from lcmem.evaluation.copy.variants import EditedCopies, Variant, edited_copy, variants_of
from lcmem.evaluation.joint import COLOURS, joint
from lcmem.evaluation.pairing import Measurement
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.evaluation.tables import FAMILIES, by_family
from lcmem.pictures import content
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest
from lcmem.stats.thresholds import thresholds

FEW = "ignore:.*negative pairs of the validation split are few:lcmem.errors.LCMemWarning"
pytestmark = pytest.mark.filterwarnings(FEW)


@pytest.fixture(scope="module")
def pictures(faces):
    tint = torch.tensor([1, 0.8, 0.6])[:, None, None]
    shown = [torch.from_numpy(load_levels(faces / "s1" / f"{k}.pgm", 64)) for k in range(1, 6)]
    return torch.stack([(face * tint).to(torch.uint8) for face in shown])


@pytest.fixture(scope="module")
def people(orl):
    """Six people in each of three splits, three pictures each."""
    rows = [10 * person + k for person in range(18) for k in range(3)]
    table = orl.rows(rows).table.assign(dataset="faces")
    return Manifest(table.assign(split=np.repeat(["test", "val", "train"], 18)))


NEUTRAL = {
    "blur": 0,
    "noise": 0,
    "rotation": 0,
    "brightness": 1,
    "contrast": 1,
    "jpeg": 100,
    "darkening": 1,
    "crop": 1,
    "downscale": 1,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_edits(name, pictures):
    """Nothing at the neutral strength; more the stronger; the same alone as among others, another for another key."""
    others, transform = pictures[1:].numpy(), TRANSFORMS[name]

    def change(strength, key="a", pool=others):
        edited = edited_copy(pictures[0], key, Variant(name, strength), pool)
        assert edited.dtype == torch.uint8 and edited.shape == pictures[0].shape
        return (edited.float() - pictures[0]).abs().mean().item()

    changes = [change(strength) for strength in transform.strengths]
    assert changes[-1] > 1 and changes == [change(strength) for strength in transform.strengths]
    if name in NEUTRAL:
        assert change(NEUTRAL[name]) < 1
    if name in NEUTRAL and name != "crop":  # where a crop lies counts more than how small it is
        assert changes == sorted(changes)
    random = "draw" in inspect.signature(transform.edit).parameters  # those that draw nothing call it _
    assert (change(transform.strengths[-1], "b") != changes[-1]) == random
    assert (change(transform.strengths[-1], pool=others[::-1] // 2) != changes[-1]) == transform.pool


def test_every_edit_is_described():
    text = (Path(__file__).parents[1] / "docs" / "copy-detection.md").read_text(encoding="utf-8")
    for name in TRANSFORMS:
        assert f"`{name}`" in text, f"docs/copy-detection.md lacks {name}"


def test_strengths_of_the_paper():
    assert list(TRANSFORMS)[:6] == list(PAPER)
    assert [TRANSFORMS[name].strengths for name in PAPER] == [
        (0.1, 1, 2, 6),
        (0.01, 0.1, 0.2, 0.3),
        (5, 10, 20, 30),
        (1.1, 1.3, 1.6, 2),
        (1.1, 1.3, 1.6, 2),
        (95, 70, 40, 10),
    ]
    with pytest.raises(LCMemError, match="no transform 'none of them'"):
        variants_of(["none of them"])


def test_collage_shows_the_picture_in_one_quadrant(pictures):
    white = np.full((1, 3, 64, 64), 255, dtype=np.uint8)
    quadrants = set()
    for key in "abcdefgh":
        edited = edited_copy(pictures[0], key, Variant("collage", 4), white)
        tiles = [edited[:, y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
        others = [at for at, tile in enumerate(tiles) if (tile == 255).all()]
        assert len(others) == 3
        quadrants.add(6 - sum(others))
    assert len(quadrants) > 1


def test_copies_do_not_depend_on_the_batch(people, tmp_path):
    test = BenchmarkPictures.read(people.select(split="test"), tmp_path, 64)
    for variant in (Variant("noise", 0.1), Variant("collage", 4)):
        together = EditedCopies(test, variant, test).at(np.arange(len(test)))
        alone = EditedCopies(test, variant, test)
        for row in (7, 2):
            assert torch.equal(alone.at(np.array([row]))[0], together[row])
    pools = [EditedCopies(test, Variant("collage", 4), pool).name for pool in (test, _first(test, 3))]
    assert pools[0] != pools[1], "features of a collage are kept by what stands beside the picture, too"


def _first(pictures, count):
    return BenchmarkPictures(pictures.pixels[:count], pictures.manifest.rows(range(count)), pictures.keys[:count], [])


@pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
def test_thresholds_are_the_best_that_keep_their_promise(rng, decimals):
    positives, negatives = np.round(rng.normal(1, 1, 61), decimals), np.round(rng.normal(size=83), decimals)
    found = thresholds(positives, negatives)
    every = np.unique(np.concatenate((positives, negatives)))
    candidates = np.sort(np.concatenate((every, np.nextafter(every, np.inf))))
    for name, share in (("specificity-50", 0.5), ("specificity-99", 0.99)):
        assert found[name] == min(t for t in candidates if (negatives < t).mean() >= share)
    assert found["recall-95"] == max(t for t in candidates if (positives >= t).mean() >= 0.95)


def test_ties_count_against_the_detector():
    constant = thresholds(np.zeros(10), np.zeros(10))
    scores = CopyScores(np.zeros((10, 10)), ~np.eye(10, dtype=bool), 0, 0)
    once = np.ones((1, 10))
    assert scores.rates(constant["specificity-50"], once).tolist() == [[0], [0]]
    assert scores.rates(constant["recall-95"], once).tolist() == [[1], [1]]


def test_rates_of_a_replicate_are_those_of_the_pictures_drawn(rng):
    """Pictures drawn twice are there twice, and a picture is no stranger to itself."""
    people = np.array(list("aabcdef"))
    scores = CopyScores(rng.normal(size=(7, 7)), people[:, None] != people[None, :], 0, 0)
    counts = rng.poisson(1, (20, 7))
    recall, false = scores.rates(0.3, counts)
    for at, drawn in enumerate(counts):
        rows = np.repeat(np.arange(7), drawn)
        others = [scores.table[q, r] >= 0.3 for q in rows for r in rows if people[q] != people[r]]
        assert recall[at] == pytest.approx((scores.own[rows] >= 0.3).mean(), nan_ok=True)
        assert false[at] == pytest.approx(np.mean(others))


def test_protocol_paper_takes_its_recall_from_the_negatives():
    """The official code's 5th percentile of the negatives, and so 95 % false positives instead of 95 % recall."""
    positives, negatives = np.linspace(10, 20, 101), np.arange(101.0)
    found = thresholds(positives, negatives, "paper")
    assert found == {"specificity-50": 50, "recall-95": 5, "specificity-99": 99}
    assert (negatives >= found["recall-95"]).mean() == pytest.approx(0.95, abs=0.01)
    assert thresholds(positives, negatives)["recall-95"] == pytest.approx(10.5)
    assert average([found, {name: 0 for name in found}])["specificity-50"] == 25


def test_micro_average_precision(rng):
    """One queue over all queries, ties broken against nobody, equals a loop over the ranks; kin are left out."""
    names = np.array(list("aabcd"))
    table = rng.normal(size=(5, 5))
    strangers = names[:, None] != names[None, :]
    queue = sorted(
        ((table[q, r], q == r) for q, r in itertools.product(range(5), repeat=2) if q == r or names[q] != names[r]),
        reverse=True,
    )
    hits = [rank for rank, (_, same) in enumerate(queue, 1) if same]
    by_hand = np.mean([found / rank for found, rank in enumerate(hits, 1)])
    assert micro_average_precision(table, strangers) == pytest.approx(by_hand)
    tied = np.round(table)
    same = np.eye(5, dtype=bool)
    kept = same | strangers
    assert micro_average_precision(tied, strangers) == pytest.approx(average_precision_score(same[kept], tied[kept]))
    assert nearest_mean(np.array([[1.0, 5, 3, 4]])).tolist() == [4]


def test_samples(people, tmp_path):
    two = Manifest(pd.concat((people.table, people.table.head(2).assign(dataset="few", path=["x", "y"]))))
    chosen = random_pictures(people, 7).table
    shuffled = Manifest(people.table.sample(frac=1, random_state=0).reset_index(drop=True))
    pd.testing.assert_frame_equal(chosen, random_pictures(shuffled, 7).table)
    assert random_pictures(two, 8).table["dataset"].value_counts().to_dict() == {"faces": 6, "few": 2}
    assert random_identities(people, 9).table["identity"].nunique() == 3, "whole identities"


def test_calibration_pairs(people, tmp_path):
    val = BenchmarkPictures.read(people.select(split="val"), tmp_path, 64)
    labelled = ThresholdPairs.of(val, "fixed")
    names = val.manifest.table["identity"].to_numpy()
    assert not labelled.edited and labelled.pairs.same.sum() == 6 * 3
    assert ((names[labelled.pairs.first] == names[labelled.pairs.second]) == labelled.pairs.same).all()
    nobody = Manifest(val.manifest.table.assign(identity=""))
    copies = ThresholdPairs.of(BenchmarkPictures(val.pixels, nobody, val.keys, []), "fixed")
    assert copies.edited and ((copies.pairs.first == copies.pairs.second) == copies.pairs.same).all()
    with pytest.raises(LCMemError, match="one validation picture"):
        ThresholdPairs.of(_first(val, 1), "fixed")


class SlowNCC(NCC):
    exhaustive = False


def test_slow_detectors_compare_each_copy_with_two_strangers(people, tmp_path):
    test, val = (BenchmarkPictures.read(people.select(split=split), tmp_path, 32) for split in ("test", "val"))
    part = CopyPart("faces", test, ThresholdPairs.of(val, "fixed"))
    found = {}
    for detector in (NCC(), SlowNCC()):
        measured = Measurement(detector, tmp_path, lambda _: None)
        found[detector.exhaustive] = part.scores(measured, part.plain(measured), Variant("noise", 0.1))
    every, few = found[True], found[False]
    np.testing.assert_allclose(few.own, every.own, atol=1e-5)
    assert len(every.others) == 18 * 15 and len(few.others) == 6 + 12, "of three pictures of one person, one and two"
    assert np.abs(few.others[:, None] - every.others).min(1).max() < 1e-5
    assert np.isnan(few.map) and every.map > 0.9


@pytest.fixture(scope="module")
def run(people, weights, tmp_path_factory):
    """A run with a quick, a slow, a kept and a missing detector, on people and on the same pictures without names."""
    folder = tmp_path_factory.mktemp("copy")
    unknown = people.table.assign(dataset="unknown", identity="")
    unknown = unknown[unknown["split"] != "train"].groupby("split").head(4)
    copied = [str(folder / f"{k}.png") for k in range(len(unknown))]
    for path, target in zip(unknown["path"], copied, strict=True):
        from PIL import Image

        Image.fromarray(255 - np.asarray(Image.open(path))).save(target)
    manifest = Manifest(pd.concat((people.table, unknown.assign(path=copied)), ignore_index=True))
    return folder, manifest, ["ncc", "ssim", f"own={weights}", "gone=/nowhere"]


def measure(run, out="out", **options):
    folder, manifest, detectors = run
    return benchmark_copy(
        manifest, detectors, folder / out, pictures=8, size=64, transforms=["noise", "flip"], **options
    )


@pytest.fixture(scope="module")
def table(run):
    return measure(run)


def test_table(table, run):
    folder, _, _ = run
    assert list(table.columns) == COLUMNS
    good = table[table["status"] == "ok"]
    assert (good["transform"] == "strongest").sum() == 3 * 3, "each detector by each rule"
    good = good[good["transform"] != "strongest"]
    assert len(good) == 3 * (2 + 1) * 5 * 3 and set(good["dataset"]) == {"faces", "unknown", "macro"}
    assert table.loc[table["detector"] == "gone", "status"].str.contains("nowhere").tolist() == [True]
    assert good.groupby("detector")["dims"].first().to_dict() == {"ncc": 3 * 64**2, "ssim": 3 * 64**2, "own": 512}
    keys = ["detector", "transform", "strength", "threshold_rule"]
    means = good[good["dataset"] != "macro"].groupby(keys)[["recall", "false_positive_rate"]].mean()
    macro = good[good["dataset"] == "macro"].set_index(keys)[["recall", "false_positive_rate"]].sort_index()
    pd.testing.assert_frame_equal(means.sort_index(), macro)
    weakest = macro.loc[("ncc", "noise", 0.01, "specificity-50")]
    assert weakest["recall"] == 1 and weakest["false_positive_rate"] < 0.9
    written = pd.read_csv(folder / "out" / "copy.csv")
    pd.testing.assert_frame_equal(written, table.astype(written.dtypes), atol=1e-5)
    maps = pd.read_csv(folder / "out" / "copy_map.csv")
    assert set(maps.dropna()["detector"]) == {"ncc", "own"}, "µAP needs every pair"
    assert set(maps["detector"]) == {"ncc", "own", "ssim"} and maps["auc"].between(0, 1).all()
    assert maps.dropna()[["map", "map_normalised"]].stack().between(0, 1).all()
    assert (good["recall_low"] <= good["recall"]).all() and (good["recall"] <= good["recall_high"]).all()
    assert (good["n_identities"] <= good["n_positive"]).all()
    for name in ("copy-strongest.png", "copy-strongest.svg", "copy-strengths.png", "copy-strengths.svg"):
        assert (folder / "out" / name).stat().st_size > 1000
    listed = pd.read_csv(folder / "out" / "copy_pictures.csv")
    assert (listed["use"] == "copied").sum() == 8


def test_rates_equal_a_loop(table, run):
    """Recall and false positive rate of NCC, from nothing but the pictures that were listed and the threshold."""
    folder, manifest, _ = run
    listed = pd.read_csv(folder / "out" / "copy_pictures.csv")
    listed = listed[(listed["use"] == "copied") & (listed["dataset"] == "faces")]
    names = manifest.table.set_index("path")["identity"]
    originals = [torch.from_numpy(load_levels(path, 64)) for path in listed["path"]]
    copies = [
        edited_copy(picture, key, Variant("noise", 0.3), np.empty(0))
        for picture, key in zip(originals, listed["sha256"], strict=True)
    ]
    people = [names[path] for path in listed["path"]]
    for rule in ("specificity-50", "recall-95"):
        chosen = (table["dataset"] == "faces") & (table["detector"] == "ncc") & (table["threshold_rule"] == rule)
        row = table[chosen & (table["transform"] == "noise") & (table["strength"] == 0.3)].iloc[0]
        same, other = [], []
        for q, r in itertools.product(range(len(people)), repeat=2):
            match = np.corrcoef(copies[q].flatten().numpy(), originals[r].flatten().numpy())[0, 1] >= row["threshold"]
            if q == r:
                same.append(match)
            elif people[q] != people[r]:
                other.append(match)
        assert (row["n_positive"], row["n_negative"]) == (len(same), len(other))
        assert row["recall"] == pytest.approx(np.mean(same))
        assert row["false_positive_rate"] == pytest.approx(np.mean(other))


def test_a_second_run_embeds_nothing_again(table, run, monkeypatch):
    from lcmem.detectors.lcmem import LCMem

    def refuse(self, pictures):
        raise AssertionError("embedded again")

    monkeypatch.setattr(LCMem, "embed", refuse)
    folder, manifest, detectors = run
    again = measure((folder, manifest, detectors[2:3]), out="again", cache=folder / "out" / "cache")
    first = table[table["detector"] == "own"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, first)


def test_protocol_paper_gives_pictures_without_identity_the_mean_threshold(run):
    folder, manifest, _ = run
    found = benchmark_copy(
        manifest, ["ncc"], folder / "paper", pictures=8, size=64, transforms=["flip"], protocol="paper"
    )
    limits = found[found["dataset"] != "macro"].groupby(["threshold_rule", "dataset"])["threshold"].first().unstack()
    assert (limits["faces"] == limits["unknown"]).all(), "the mean over the only dataset with identities"
    assert set(found["protocol"]) == {"paper"}
    text = (folder / "paper" / "copy.md").read_text()
    assert "5th percentile of the negatives" in text and "Protocol `paper`" in text
    nameless = Manifest(manifest.table.assign(identity=""))
    with pytest.raises(LCMemError, match="use the protocol 'fixed'"):
        benchmark_copy(nameless, ["ncc"], folder / "paper", protocol="paper")


def test_what_cannot_be_measured_is_refused(run, tmp_path):
    _, manifest, _ = run
    elsewhere = manifest.table.assign(
        dataset=np.where((manifest.table["dataset"] == "faces") & (manifest.table["split"] == "test"), "other", "faces")
    )
    with pytest.raises(LCMemError, match="'other' has no pictures in split 'val'"):
        benchmark_copy(Manifest(elsewhere), ["ncc"], tmp_path)
    with pytest.raises(LCMemError, match="unknown protocol 'papre'"):
        benchmark_copy(manifest, ["ncc"], tmp_path, protocol="papre")


def test_a_detector_without_a_number_is_reported(run, tmp_path, monkeypatch):
    monkeypatch.setattr(NCC, "similarities", lambda self, u, v: torch.full((len(u), len(v)), torch.nan))
    folder, manifest, _ = run
    options = {"pictures": 4, "size": 64, "transforms": ["grey"], "cache": folder / "out" / "cache"}
    with pytest.warns(LCMemWarning, match="'faces': 18 negative pairs of the validation split are few"):
        found = benchmark_copy(manifest, ["ncc", "mse"], tmp_path, **options).set_index("detector")
    assert "not finite" in found.loc["ncc", "status"] and set(found.loc["mse", "status"]) == {"ok"}


def test_each_file_is_hashed_once(run, tmp_path, monkeypatch):
    hashed, original = [], content._hash_file
    monkeypatch.setattr(content, "_hash_file", lambda file: hashed.append(file) or original(file))
    _, manifest, _ = run
    options = {"pictures": 4, "size": 32, "transforms": ["grey"]}
    benchmark_copy(manifest, ["mse"], tmp_path, **options)
    used = manifest.table["path"][manifest.table["split"].isin(["test", "val"])]
    assert sorted(hashed) == sorted(used)


def test_every_family_has_a_heading():
    assert {entry.family for entry in REGISTRY.values()} <= FAMILIES.keys() == COLOURS.keys()
    assert [names for _, names in by_family(["sface", "compact"])] == [["sface"], ["compact"]]


def test_joint(table, run):
    folder, _, _ = run
    reid = pd.DataFrame({"dataset": "macro", "detector": ["ncc", "own"], "protocol": "fixed", "auc": [0.6, 0.9]})
    reid[["auc_low", "auc_high"]] = [[0.5, 0.7], [0.8, 1.0]]
    reid["status"] = "ok"
    reid.to_csv(folder / "out" / "reid.csv", index=False)
    result = lcmem("benchmark", "joint", "--out", folder / "out")
    assert result.returncode == 0, result.stderr
    found = pd.read_csv(folder / "out" / "joint.csv").set_index("detector")
    assert found.loc["own", "auc"] == 0.9 and found.loc["own", "dims"] == 512
    expected = strongest(table).groupby("detector")[["recall", "false_positive_rate"]].mean()
    for name in ("recall", "false_positive_rate"):
        assert found.loc["ncc", name] == pytest.approx(expected.loc["ncc", name], abs=1e-5)
    assert found.loc["ncc", "recall_low"] <= found.loc["ncc", "recall"] <= found.loc["ncc", "recall_high"]
    assert found.loc[["ncc", "own", "ssim"], "status"].tolist() == ["ok", "ok", "not in reid.csv"]
    assert "nowhere" in found.loc["gone", "status"]
    assert (folder / "out" / "joint.png").stat().st_size > 1000 and (folder / "out" / "joint.svg").is_file()
    (folder / "good").mkdir()
    reid.head(1).to_csv(folder / "good" / "reid.csv")
    table[table["status"] == "ok"].to_csv(folder / "good" / "copy.csv")
    assert joint(folder / "good").set_index("detector")["status"].to_dict() == {
        "ncc": "ok",
        "ssim": "not in reid.csv",
        "own": "not in reid.csv",
    }
    with pytest.raises(LCMemError, match=r"copy\.csv: not there; run 'lcmem benchmark copy'"):
        (folder / "half").mkdir()
        reid.to_csv(folder / "half" / "reid.csv")
        joint(folder / "half")


def test_command(run):
    folder, manifest, _ = run
    manifest.write(folder / "manifest.csv")
    arguments = ["--data", str(folder / "manifest.csv"), "--detectors", "ncc,gone=/nowhere", "--out"]
    options = ["--pictures", "4", "--size", "64", "--transforms", "grey", "--example", manifest.paths[0]]
    result = lcmem("benchmark", "copy", *arguments, folder / "command", *options)
    assert result.returncode == 0, result.stderr
    assert "# Copy detection" in result.stdout and "gone: " in result.stderr
    assert (folder / "command" / "copy-example.png").is_file()
