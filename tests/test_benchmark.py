"""Claims: pair lists are complete, fair and reproducible; pixel detectors compute what their names say."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from lcmem.detectors.pixel import COLUMNS, NCC, SSIM, NegativeMSE
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


def as_set(pairs, chosen=slice(None)):
    return set(zip(pairs.first[chosen].tolist(), pairs.second[chosen].tolist(), strict=True))


def test_pairs_are_reproducible():
    names = [f"p{k // 3}" for k in range(60)]
    first, again, other = (identity_pairs(manifest(names), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.second, again.second) and not np.array_equal(first.second, other.second)
    assert identity_pairs(manifest(names), max_positives=10).same.sum() == 10
    assert len(as_set(first)) == len(first), "no pair twice"
    assert first.second[~first.same][:5].tolist() == [36, 31, 19, 46, 59], "identical on every machine"


def test_pairs_of_a_dataset_do_not_depend_on_the_others():
    names = [f"p{k // 3}" for k in range(60)]
    alone = identity_pairs(manifest(names))
    others = manifest([f"q{k // 2}" for k in range(50)], "a"), manifest(["z"] * 9, "z")
    with_others = identity_pairs(Manifest(pd.concat([manifest(names).table, *(other.table for other in others)])))
    assert as_set(with_others, with_others.first < 60) == as_set(alone)


def test_one_more_picture_changes_few_pairs():
    names = [f"p{k // 3}" for k in range(600)]
    few, more = identity_pairs(manifest(names)), identity_pairs(manifest([*names, "p7"]))
    assert len(as_set(few) - as_set(more)) < 0.01 * len(few) and more.same.sum() == few.same.sum() + 3


def test_no_identity_rules_a_dataset():
    names = ["often"] * 100 + [f"p{k // 2}" for k in range(60)]
    capped, everything = identity_pairs(manifest(names)), identity_pairs(manifest(names), per_identity=None)
    assert capped.same.sum() == 10 + 30 and everything.same.sum() == 100 * 99 / 2 + 30
    often = {first for first, second in as_set(capped, ~capped.same) if first < 100}
    often |= {second for first, second in as_set(capped, ~capped.same) if second < 100}
    assert len(often) <= 10 and len(as_set(capped, capped.same & (capped.first < 100))) == 10
    assert identity_pairs(manifest(names), protocol="paper").same.sum() == everything.same.sum()


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
