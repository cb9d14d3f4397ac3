"""Claims: a store gives back what the encoder made, in the manifest's order, and its statistics are exact."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.latents import LatentStore, build_store, encode_pictures
from lcmem.latents.statistics import merge_moments, picture_moments
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest

SIZE = 64


@pytest.fixture(scope="module")
def pictures(orl):
    """100 faces in a mixed order: two datasets, one without a train split, and a column of the user's own."""
    table = orl.table.sample(100, random_state=0).reset_index(drop=True)
    number = np.arange(100)
    table["dataset"] = np.where(number % 3, "left", "right")
    table["split"] = np.where(table["dataset"] == "right", "test", np.where(number % 2, "train", "test"))
    return Manifest(table.assign(age=number))


@pytest.fixture(scope="module")
def store(pictures, tmp_path_factory):
    """In shards of 32 pictures, so that one read crosses several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lcmem.latents.store.SHARD_ROWS", 32)
        folder = tmp_path_factory.mktemp("latents")
        return build_store(pictures, load_encoder(), SIZE, folder, mirror=True, batch_size=20)


def everything(store, **options):
    return store.read(np.arange(len(store)), **options)


def test_shards_are_full_but_for_the_last(store):
    sizes = [path.stat().st_size for path in sorted((store.folder / "shards").glob("*.rows"))]
    assert sizes == [rows * 2 * 4 * 8 * 8 * 2 for rows in (32, 32, 32, 4)]
    assert not list(store.folder.rglob("*.partial"))


@pytest.mark.parametrize("view", [0, 1])
def test_latents_are_what_the_encoder_makes(store, pictures, view):
    levels = torch.stack([torch.from_numpy(load_levels(path, SIZE)) for path in pictures.paths])
    expected = encode_pictures(levels.flip(-1) if view else levels, load_encoder()).half().float()
    torch.testing.assert_close(everything(store, view=view), expected, rtol=0.01, atol=0.01)


def test_manifest_comes_back_in_order_with_all_columns(store, pictures):
    pd.testing.assert_frame_equal(LatentStore.open(store.folder).manifest.table, pictures.table, check_dtype=False)


def test_read_in_any_order_with_repetitions_and_mixed_views(store, rng):
    positions, views = rng.integers(100, size=70), rng.integers(2, size=70)
    both = torch.stack((everything(store), everything(store, view=1)), 1)
    assert not torch.equal(both[:, 0], both[:, 1])
    assert torch.equal(store.read(positions, views), both[torch.from_numpy(positions), torch.from_numpy(views)])
    assert store.read(np.array([], dtype=int)).shape == (0, 4, 8, 8)


def test_select_is_the_same_latents(store):
    part = store.select(split="train", dataset="left")
    at = np.flatnonzero((store.manifest.table[["split", "dataset"]] == ["train", "left"]).all(axis=1))
    assert 0 < len(part) == len(at) < len(store)
    assert torch.equal(everything(part), store.read(at))
    with pytest.raises(LCMemError, match="no pictures"):
        store.select(split="val")


def test_other_processes_open_the_files_themselves(store):
    everything(store)
    packed = pickle.dumps(store)
    assert len(packed) < 50_000, "not the 204800 bytes of the latents"
    assert torch.equal(everything(pickle.loads(packed)), everything(store))


def test_statistics_are_those_of_the_stored_values(store):
    for part in (store, store.select(split="test"), store.select(dataset="right")):
        values, found = everything(part).double(), part.statistics()
        np.testing.assert_allclose(found.mean, values.mean((0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(found.std, values.std((0, 2, 3), correction=0), rtol=1e-12)
    by_dataset = store.statistics_by_dataset()
    assert list(by_dataset) == ["left", "right"]
    np.testing.assert_array_equal(by_dataset["left"].std, store.select(dataset="left").statistics().std)


@given(st.integers(1, 20), st.integers(1, 5), st.floats(-1e8, 1e8), st.floats(1e-2, 1e4), st.integers(0, 2**32 - 1))
def test_merged_moments_are_those_of_the_concatenation(n, side, offset, spread, seed):
    values = offset + spread * np.random.default_rng(seed).normal(size=(n, 3, side, side))
    found = merge_moments(*picture_moments(values))
    flat = values.swapaxes(0, 1).reshape(3, -1).astype(np.longdouble)
    error = 1e-14 * abs(offset) + 1e-9 * spread
    np.testing.assert_allclose(found.mean, flat.mean(1).astype(float), rtol=0, atol=error)
    np.testing.assert_allclose(found.std, flat.std(1).astype(float), rtol=1e-9, atol=error)


def test_large_offsets_where_sums_of_squares_fail(rng):
    values = 1e8 + rng.normal(size=(50, 1, 8, 8))
    naive = (values**2).mean() - values.mean() ** 2
    assert abs(naive - values.var()) > 0.5, "or this test would show nothing"
    found = merge_moments(*picture_moments(values))
    np.testing.assert_allclose(found.std, values.std(), rtol=1e-9)


def test_normalised_by_the_train_split_where_there_is_one(store):
    left, right = store.select(dataset="left"), store.select(dataset="right")
    for part in (left.select(split="train"), right):
        values = everything(part, normalise=True)
        assert values.mean((0, 2, 3)).abs().max() < 1e-5
        torch.testing.assert_close(values.std((0, 2, 3), correction=0), torch.full((4,), 0.5), rtol=1e-5, atol=0)
    test = everything(left.select(split="test"), normalise=True)
    train = left.select(split="train").statistics()
    mean, std = (torch.from_numpy(value)[:, None, None].float() for value in (train.mean, train.std))
    torch.testing.assert_close(test, (everything(left.select(split="test")) - mean) / std * 0.5)


def test_normalised_mix_is_each_dataset_normalised(store, rng):
    positions = rng.permutation(100)
    mixed = store.read(positions, 1, normalise=True)
    for name in ("left", "right"):
        at = store.manifest.table["dataset"].to_numpy()[positions] == name
        alone = store.select(dataset=name)
        order = [alone.manifest.paths.index(store.manifest.paths[k]) for k in positions[at]]
        assert torch.equal(mixed[torch.from_numpy(at)], alone.read(np.array(order), 1, normalise=True))


def test_constant_channel_is_read_as_zero(pictures, tmp_path):
    encoder = load_encoder()
    original = encoder.encode
    encoder.encode = lambda batch: original(batch) * torch.tensor([1, 0, 1, 0])[:, None, None] + 0.1
    store = build_store(pictures, encoder, SIZE, tmp_path)
    values = everything(store, normalise=True)
    assert store.statistics().std[1] == 0
    assert values.isfinite().all() and (values[:, 1] == 0).all()


def test_mirror_images_must_have_been_stored(pictures, tmp_path):
    store = build_store(pictures.rows(range(3)), load_encoder(), SIZE, tmp_path)
    with pytest.raises(LCMemError, match=r"no mirror images; .* --mirror"):
        store.read(np.array([0]), 1)
