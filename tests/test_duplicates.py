"""Claims: the groups are those of a naive search; copies under two names are found, chance hardly ever is."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.special import expit

from lcmem.jobs.duplicates import find_duplicates
from lcmem.matching.asked import Asked
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features
from lcmem.model import pair_logits
from lcmem.pictures.manifest import Manifest
from lcmem.scan import ChunkedRows
from scan_reference import HeadOnly

pytestmark = pytest.mark.usefixtures("encoded_once")


def numbered(count, identity=""):
    paths = [f"{k}.png" for k in range(count)]
    return Manifest(pd.DataFrame({"path": paths, "identity": identity, "split": "", "dataset": ""}))


def stored(count, features, identity=""):
    return FeatureSet(numbered(count, identity), ChunkedRows(features), [], 0, 0.0)


def naive_groups(features, weight, bias, threshold):
    """Sets of positions, grown pair by pair."""
    groups = [{k} for k in range(len(features))]
    for a in range(len(features)):
        for b in range(a):
            if pair_logits(features[a], features[b], weight, bias) >= threshold:
                joined = groups[a] | groups[b]
                for member in joined:
                    groups[member] = joined
    return {frozenset(group) for group in groups if len(group) > 1}


@pytest.mark.parametrize("signed", [False, True])
def test_groups_equal_a_naive_search(signed):
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(60, 6, generator=generator)
    weight = torch.rand(6, generator=generator) * torch.tensor([-0.1 if signed else 1.0, 1, 1, 1, 1, 1])
    bias = torch.tensor(1.0)
    logits = pair_logits(features[:, None], features[None], weight, bias)
    threshold = float(logits[*np.triu_indices(60, 1)].sort().values[-26:-24].mean())
    found = find_duplicates(
        stored(60, features.numpy()), HeadOnly(weight, bias), Asked(threshold=float(expit(threshold)))
    )
    groups = found.table.groupby("group")["path"].apply(lambda paths: frozenset(int(path[:-4]) for path in paths))
    assert set(groups) == naive_groups(features, weight, bias, threshold) and len(groups) > 3
    logits.fill_diagonal_(-torch.inf)
    rows = [int(path[:-4]) for path in found.table["path"]]
    np.testing.assert_array_equal(found.table["best_logit"], logits.max(1).values[rows])
    assert found.table.groupby("group")["best_logit"].max().is_monotonic_decreasing


def test_a_pair_at_the_threshold_belongs_to_it():
    features, weight = torch.rand(20, 8, generator=torch.Generator().manual_seed(0)), torch.ones(8)
    logits = pair_logits(features[:, None], features[None], weight, torch.tensor(0.0)).fill_diagonal_(-torch.inf)
    one, other = divmod(int(logits.argmax()), 20)
    set_, detector = stored(20, features.numpy()), HeadOnly(weight, -float(logits.max()))  # the best pair's logit is 0
    at = find_duplicates(set_, detector, Asked(threshold=0.5)).table
    assert set(at["path"]) == {f"{one}.png", f"{other}.png"} and set(at["best_logit"]) == {0}
    assert find_duplicates(set_, detector, Asked(threshold=np.nextafter(0.5, 1))).table.empty


def test_nothing_alike():
    found = find_duplicates(stored(5, np.eye(5, dtype=np.float32)), HeadOnly(torch.ones(5), 0.0), Asked(threshold=0.5))
    assert found.table.empty and found.mixed == 0
    assert list(found.table) == ["group", "path", "identity", "best_logit", "link_to"]


def test_copies_under_another_name_are_found(orl, compact, tmp_path):
    """One picture of each of 40 people, and six of them again under the name of somebody else."""
    sources = [path for path in orl.paths if path.endswith("/1.pgm")]
    names = [*range(40), *range(100, 106)]
    for name, source in zip(names, sources + sources[:6], strict=True):
        (tmp_path / f"p{name}").mkdir()
        shutil.copy(source, tmp_path / f"p{name}" / "1.pgm")
    found = extract_features(Manifest.read(tmp_path), compact, None, workers=0)
    groups = find_duplicates(found, compact, workers=0)
    pairs = groups.table.groupby("group")["identity"].apply(frozenset)
    expected = {frozenset((f"p{k}", f"p{100 + k}")) for k in range(6)}
    assert expected <= set(pairs) and len(pairs) <= len(expected) + 1, "at most one by chance"
    assert groups.mixed == len(pairs)
    assert groups.table["best_logit"].head(12).to_numpy() == pytest.approx(float(compact.bias), abs=1e-4)


def test_without_identities_copies_are_found_and_nothing_else(orl, compact, tmp_path):
    """Ten photos of a person are no copies of each other; a re-saved one, a mirror image and turned ones are."""
    sources = [path for path in orl.paths if "/s3/" in path or "/s4/" in path]
    for number, source in enumerate(sources):
        Image.open(source).save(tmp_path / f"{number}.png")
    Image.open(sources[0]).save(tmp_path / "resaved.jpg", quality=75)
    Image.open(sources[5]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    Image.open(sources[7]).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    Image.open(sources[7]).transpose(Image.Transpose.ROTATE_180).save(tmp_path / "upside-down.jpg", quality=80)
    found = find_duplicates(extract_features(Manifest.read(tmp_path), compact, None, workers=0), compact, workers=0)
    groups = found.table.groupby("group")["path"].apply(lambda paths: {path.rsplit("/", 1)[1] for path in paths})
    expected = [["0.png", "resaved.jpg"], ["5.png", "mirrored.png"], ["7.png", "turned.png", "upside-down.jpg"]]
    assert sorted(map(sorted, groups)) == expected
