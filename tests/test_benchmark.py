"""Claims: pair lists are complete, fair and reproducible; pixel detectors compute what their names say."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from lcmem.detectors.pixel import COLUMNS, NCC, SSIM, NegativeMSE
from lcmem.errors import LCMemError
from lcmem.evaluation.copy.edited import benchmark_edited
from lcmem.pairs import copy_pairs, identity_pairs
from lcmem.pictures.manifest import Manifest


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
    assert len(identity_pairs(manifest(["a", "a", "", ""]))) == 1, "unknown identities are none to draw"


def test_copy_pairs():
    datasets = np.array(["x"] * 4 + ["y"] * 3 + ["z"])
    pairs = copy_pairs(8, datasets)
    assert (pairs.first[pairs.same] == pairs.second[pairs.same]).all() and pairs.same.sum() == 8
    negatives = pairs.first[~pairs.same], pairs.second[~pairs.same]
    assert (negatives[0] != negatives[1]).all() and (datasets[negatives[0]] == datasets[negatives[1]]).all()
    assert len(negatives[0]) == 7, "a dataset of one picture has no other"


@pytest.mark.parametrize("side", [32, 50], ids=["fewer numbers than worked on at once", "more"])
def test_pixel_detectors(side, rng):
    assert (3 * side**2 > COLUMNS) == (side == 50)
    pictures = torch.from_numpy(rng.integers(0, 256, (2, 3, side, side), dtype=np.uint8))
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


def test_copies_are_found_where_there_are_no_identities(orl, tmp_path):
    manifest = Manifest(orl.table.assign(identity="")).rows(range(0, 400, 8))
    table = benchmark_edited(manifest, ["mse", "compact"], tmp_path).set_index("detector")
    assert (table["n_positive"] == 50).all() and (table["n_negative"] == 50).all()
    assert table.loc["compact", "auc"] > max(0.7, table.loc["mse", "auc"])
    with pytest.raises(LCMemError, match="every dataset has identities"):
        benchmark_edited(orl.rows(range(20)), ["mse"], tmp_path)
