"""Claims: metrics equal scikit-learn and hand-computed cases; pair lists are complete, fair and reproducible."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity
from sklearn.metrics import roc_curve

from lcmem.benchmark import benchmark_reid
from lcmem.detectors.pixel import NCC, SSIM, NegativeMSE
from lcmem.errors import LCMemError
from lcmem.manifest import Manifest
from lcmem.metrics import auc, psnr, specificity_at_sensitivity
from lcmem.pairs import copy_pairs, identity_pairs


@pytest.mark.parametrize("sensitivity", [0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no ties"])
def test_specificity_equals_scikit_learn(rng, sensitivity, decimals):
    same = rng.random(500) < 0.4
    scores = np.round(rng.normal(size=500) + same, decimals)
    false_positive, true_positive, _ = roc_curve(same, scores, drop_intermediate=False)
    expected = 1 - false_positive[true_positive >= sensitivity - 1e-9].min()
    assert specificity_at_sensitivity(scores, same, sensitivity) == pytest.approx(expected)


def test_metrics_by_hand():
    same = np.array([True, True, False, False])
    assert specificity_at_sensitivity(np.array([4.0, 3, 2, 1]), same) == 1
    assert specificity_at_sensitivity(np.array([4.0, 1.5, 2, 1]), same) == 0.5
    assert specificity_at_sensitivity(np.zeros(4), same) == 0 and auc(np.zeros(4), same) == 0.5
    for empty in (np.ones(4, dtype=bool), np.zeros(4, dtype=bool)):
        assert np.isnan(auc(np.arange(4.0), empty)) and np.isnan(specificity_at_sensitivity(np.arange(4.0), empty))


def test_psnr_by_hand():
    import torch

    black = torch.zeros(2, 3, 4, 4)
    assert psnr(black + 0.1, black).tolist() == pytest.approx([20, 20], abs=1e-4)


def manifest(identities, dataset="d"):
    rows = {"path": [f"{dataset}{k}.png" for k in range(len(identities))], "identity": identities}
    return Manifest(pd.DataFrame(rows).assign(split="test", dataset=dataset))


def test_identity_pairs_are_complete_and_balanced():
    names = list("aaabbcdddd")
    pairs = identity_pairs(manifest(names))
    positive = {(i, j) for i, j in itertools.combinations(range(10), 2) if names[i] == names[j]}
    assert set(zip(pairs.first[pairs.same], pairs.second[pairs.same], strict=True)) == positive
    assert (~pairs.same).sum() == len(positive)
    for i, j in zip(pairs.first[~pairs.same], pairs.second[~pairs.same], strict=True):
        assert names[i] != names[j]


def test_negatives_stay_in_their_dataset_and_unknown_identities_out():
    both = Manifest(pd.concat([manifest(list("aabb"), "x").table, manifest(["c", "c", "d", ""], "y").table]))
    pairs = identity_pairs(both)
    names = both.table["dataset"].to_numpy()
    assert (names[pairs.first] == names[pairs.second]).all() and 7 not in {*pairs.first, *pairs.second}


def test_pairs_are_reproducible():
    names = [f"p{k // 3}" for k in range(60)]
    first, again, other = (identity_pairs(manifest(names), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.second, again.second) and not np.array_equal(first.second, other.second)
    assert identity_pairs(manifest(names), max_positives=10).same.sum() == 10
    assert first.second[~first.same][:5].tolist() == [30, 57, 8, 56, 18], "identical on every machine"


def test_no_positives():
    assert len(identity_pairs(manifest(list("abc")))) == 0
    assert len(identity_pairs(manifest(["a", "a"]))) == 1, "one identity only: a positive, no negative"


def test_copy_pairs():
    datasets = np.array(["x"] * 4 + ["y"] * 3 + ["z"])
    pairs = copy_pairs(8, datasets)
    assert (pairs.first[pairs.same] == pairs.second[pairs.same]).all() and pairs.same.sum() == 8
    negatives = pairs.first[~pairs.same], pairs.second[~pairs.same]
    assert (negatives[0] != negatives[1]).all() and (datasets[negatives[0]] == datasets[negatives[1]]).all()
    assert len(negatives[0]) == 7, "a dataset of one picture has no other"


def test_pixel_detectors(rng):
    pictures = torch.from_numpy(rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8))
    a, b = (picture.numpy() / 255 for picture in pictures)
    grey = torch.full_like(pictures, 7)
    mse, ncc, ssim = NegativeMSE(), NCC(), SSIM()
    assert mse.similarity(pictures[:1].flatten(1), pictures[1:].flatten(1)).item() == pytest.approx(
        -((a - b) ** 2).mean()
    )
    found = ncc.similarity(ncc.embed(pictures[:1]), ncc.embed(pictures[1:])).item()
    assert found == pytest.approx(pearsonr(a.ravel(), b.ravel()).statistic, abs=1e-5)
    assert ncc.similarity(ncc.embed(pictures), ncc.embed(grey)).tolist() == [0, 0]
    expected = structural_similarity(a.mean(0), b.mean(0), data_range=1.0)
    assert ssim.similarity(ssim.embed(pictures[:1]), ssim.embed(pictures[1:])).item() == pytest.approx(
        expected, abs=1e-5
    )
    for detector in (mse, ncc, ssim):
        u = detector.embed(pictures)
        table = detector.similarities(u, u)
        assert table[0, 0] > table[0, 1] and table[1, 0].item() == pytest.approx(table[0, 1].item(), abs=1e-5)
        torch.testing.assert_close(table.diagonal().float(), detector.similarity(u, u).float(), atol=1e-4, rtol=0)


def test_benchmark_on_faces_the_model_never_saw(orl, tmp_path):
    table = benchmark_reid(orl, ["ncc", "compact"], tmp_path).set_index("detector")
    assert table.loc["compact", "n_positive"] == table.loc["compact", "n_negative"] == 40 * 45
    assert table.loc["compact", "auc"] > table.loc["ncc", "auc"]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "reid.csv").set_index("detector"), table, atol=1e-5, check_dtype=False
    )
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 3600


def test_benchmark_without_identities_takes_edited_copies(orl, tmp_path):
    manifest = Manifest(orl.table.assign(identity="")).rows(range(0, 400, 8))
    table = benchmark_reid(manifest, ["mse", "compact"], tmp_path).set_index("detector")
    assert set(table["task"]) == {"copy"} and (table["n_positive"] == 50).all()
    assert table.loc["compact", "auc"] > max(0.7, table.loc["mse", "auc"])


def test_nothing_to_measure(tmp_path, save_noise):
    for name in ("s/a/1.png", "s/b/2.png"):
        save_noise(name)
    with pytest.raises(LCMemError, match="no identity has two pictures"):
        benchmark_reid(Manifest.read(tmp_path / "s"), ["mse"], tmp_path / "out")
