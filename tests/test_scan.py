"""Claims: the scan equals brute force, whatever the tiles; the atlas never gives a picture another's features."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from lcmem.errors import LCMemError
from lcmem.manifest import Manifest
from lcmem.model import pair_logits
from lcmem.scan import Atlas, best_matches, compiled, extract_features


def brute_force(queries, gallery, weight, bias):
    scaled = [(x.double() * weight.double().abs()).numpy() for x in (queries, gallery)]
    positive = (weight > 0).numpy()
    plus = cdist(scaled[0][:, positive], scaled[1][:, positive], "cityblock")
    minus = cdist(scaled[0][:, ~positive], scaled[1][:, ~positive], "cityblock")
    return bias.item() - plus + minus


CASES = {
    "random": lambda g: (torch.rand(70, 32, generator=g), torch.rand(90, 32, generator=g), torch.rand(32, generator=g)),
    "signed weights": lambda g: (
        torch.rand(70, 32, generator=g),
        torch.rand(90, 32, generator=g),
        torch.randn(32, generator=g),
    ),
    "ties": lambda g: (
        torch.randint(2, (70, 32), generator=g).float(),
        torch.randint(2, (90, 32), generator=g).float(),
        torch.ones(32),
    ),
    "equal vectors": lambda g: (torch.ones(5, 32), torch.ones(9, 32), torch.rand(32, generator=g)),
    "fewer than k": lambda g: (torch.rand(4, 32, generator=g), torch.rand(2, 32, generator=g), torch.ones(32)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tile", [(256, 4096), (7, 11), (1, 1)])
def test_best_matches_equal_brute_force(case, tile, monkeypatch):
    monkeypatch.setattr(compiled, "QUERIES", tile[0])
    monkeypatch.setattr(compiled, "GALLERY", tile[1])
    queries, gallery, weight = CASES[case](torch.Generator().manual_seed(0))
    bias = torch.tensor(3.0)
    logits, positions = best_matches(queries, gallery, weight, bias, k=3)
    expected = brute_force(queries, gallery, weight, bias)
    np.testing.assert_allclose(logits, -np.sort(-expected, 1)[:, :3], atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(expected, positions, 1), logits, atol=1e-9)
    exact = pair_logits(queries[:, None], gallery[positions], weight, bias).numpy()
    assert np.array_equal(exact, logits), "a reported score is the pair's score, to the last bit"


def test_labels_leave_out_pairs_of_one_identity():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.rand(30, 16, generator=generator), np.arange(30) // 3
    weight, bias = torch.ones(16), torch.tensor(0.0)
    logits, positions = best_matches(features, features, weight, bias, k=2, query_labels=labels, gallery_labels=labels)
    assert (labels[positions] != labels[:, None]).all()
    expected = brute_force(features, features, weight, bias)
    expected[labels[:, None] == labels[None]] = -np.inf
    np.testing.assert_allclose(logits[:, 0], expected.max(1), atol=1e-9)


def test_nothing_left_to_match():
    features, labels = torch.rand(3, 4), np.zeros(3, dtype=int)
    logits, _ = best_matches(
        features, features, torch.ones(4), torch.tensor(1.0), k=1, query_labels=labels, gallery_labels=labels
    )
    assert np.isneginf(logits).all()


@pytest.fixture
def files(save_noise):
    return [str(save_noise(f"{k}.png")) for k in range(5)]


def test_atlas_gives_back_what_was_stored(tmp_path, files):
    features = np.random.default_rng(0).random((5, 8), dtype=np.float32)
    Atlas(tmp_path / "atlas", "model", 8).append(files[:3], features[:3])
    atlas = Atlas(tmp_path / "atlas", "model", 8)
    atlas.append(files[3:4], features[3:4])
    found, stored = atlas.lookup(files[::-1])
    assert found.tolist() == [False, True, True, True, True]
    np.testing.assert_array_equal(stored[1:], features[3::-1])


def test_atlas_forgets_a_changed_picture(tmp_path, files, save_noise):
    atlas = Atlas(tmp_path / "atlas", "model", 8)
    atlas.append(files, np.ones((5, 8), dtype=np.float32))
    save_noise("2.png", (50, 50))
    found, _ = atlas.lookup(files)
    assert found.tolist() == [True, True, False, True, True]


def test_atlas_refuses_another_model(tmp_path):
    Atlas(tmp_path / "atlas", "a" * 64, 8)
    with pytest.raises(LCMemError, match="another model"):
        Atlas(tmp_path / "atlas", "b" * 64, 8)


def test_atlas_names_a_damaged_shard(tmp_path, files):
    atlas = Atlas(tmp_path / "atlas", "model", 8)
    atlas.append(files, np.ones((5, 8), dtype=np.float32))
    shard = next((tmp_path / "atlas").glob("part-*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LCMemError, match=shard.name):
        atlas.lookup(files)
    shard.unlink()
    atlas.append(files, np.full((5, 8), np.nan, dtype=np.float32))
    with pytest.raises(LCMemError, match="NaN"):
        atlas.lookup(files)


def test_half_written_shard_is_not_read(tmp_path, files):
    atlas = Atlas(tmp_path / "atlas", "model", 8)
    (tmp_path / "atlas" / "part-000000.partial").write_bytes(b"half")
    assert not atlas.lookup(files)[0].any()


def test_interrupted_extraction_goes_on(tmp_path, faces, compact, monkeypatch):
    manifest = Manifest.read(faces).rows(range(24))
    reference = extract_features(manifest, compact, None).features
    atlas = Atlas(tmp_path / "atlas", compact.fingerprint, 512)
    original = compact.stream

    def interrupted(paths, **options):
        for count, item in enumerate(original(paths, batch_size=8, workers=0)):
            if count == 2:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(compact, "stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_features(manifest, compact, atlas)
    monkeypatch.undo()
    rest = extract_features(manifest, compact, atlas)
    assert rest.encoded == 8, "the 16 pictures that were finished are not encoded again"
    torch.testing.assert_close(rest.features, reference, atol=1e-5, rtol=0)
