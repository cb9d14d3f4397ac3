"""Claims: a scan in tiles reports what sorting all similarities would give; scores that break a promise are refused."""

import numpy as np
import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.scan import scan_tiles, tiles
from scan_reference import masks, top


def shared(u, v):
    """Minus the share of bits that differ: many ties."""
    return -torch.cdist(u.float(), v.float(), p=1) / u.shape[1]


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("tile", [(512, 4096), (3, 5), (1, 1)])
def test_tiles_equal_brute_force(itself, known, tile, rng, monkeypatch):
    monkeypatch.setattr(tiles, "QUERIES", tile[0])
    monkeypatch.setattr(tiles, "GALLERY", tile[1])
    queries = rng.integers(0, 2, (12, 8), dtype=np.uint8)
    gallery = queries if itself else rng.integers(0, 2, (17, 8), dtype=np.uint8)
    people = rng.integers(-1, 3, 12), rng.integers(-1, 3, 17)
    identities = {"query_identities": people[0], "gallery_identities": None if itself else people[1]} if known else {}
    other = None if itself else np.split(gallery, [4])
    found = scan_tiles(queries, other, shared, (-1.0, 0.0), k=4, threshold=-0.25, **identities)
    scores = shared(torch.from_numpy(queries), torch.from_numpy(gallery)).double().numpy()
    kinds = masks(people[0], people[0] if itself else people[1])
    counted = np.triu(np.ones_like(scores, dtype=bool), 1) if itself else np.ones_like(scores, dtype=bool)
    compared = ~np.eye(12, dtype=bool) if itself else counted
    lists = {"best": compared, "same": compared & kinds["same"], "different": compared & kinds["different"]}
    for name in lists if known else ["best"]:
        values, positions = top(np.where(lists[name], scores, -np.inf), 4)
        assert np.array_equal(getattr(found, name).logits, values), name
        assert np.array_equal(getattr(found, name).positions, positions), name
    query, row = np.nonzero(counted & (scores >= -0.25))
    table = found.matches()
    assert table["query"].tolist() == query.tolist() and table["gallery"].tolist() == row.tolist() and len(table)
    assert found.pairs == counted.sum() == sum(counts.sum() for counts in found.histogram.counts.values())
    if known:
        assert found.match_counts == {
            name: int((counted & (scores >= -0.25) & mask).sum()) for name, mask in kinds.items()
        }


def test_scores_outside_what_was_promised_are_refused():
    features = np.ones((3, 2), dtype=np.float32)
    with pytest.raises(LCMemError, match="where 0 to 1 was promised"):
        scan_tiles(features, features, lambda u, v: 2 * u @ v.T, (0.0, 1.0))
    with pytest.raises(LCMemError, match="nan"):
        scan_tiles(features, features, lambda u, v: u @ v.T * torch.nan, (0.0, 1.0))


def test_empty_sets():
    none, some = np.empty((0, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32)
    assert scan_tiles(some, [none], shared, (-1.0, 0.0)).best.positions.tolist() == [[-1]] * 3
    assert scan_tiles(none, [some], shared, (-1.0, 0.0)).pairs == 0


def test_of_equally_alike_pictures_those_of_the_lowest_rank_come_first(rng, monkeypatch):
    monkeypatch.setattr(tiles, "GALLERY", 5)
    features = rng.integers(0, 2, (17, 4), dtype=np.uint8)
    people, ranks = np.arange(17) // 2, rng.permutation(17)
    known = {"query_identities": people, "k": 3, "threshold": -0.25}
    found = scan_tiles(features, None, shared, (-1.0, 0.0), gallery_ranks=ranks, **known)
    scores = shared(torch.from_numpy(features), torch.from_numpy(features)).double().numpy()
    for lane, compared in (("best", ~np.eye(17, dtype=bool)), ("different", people[:, None] != people)):
        masked = np.where(compared, scores, -np.inf)
        expected = [sorted(range(17), key=lambda at: (-row[at], ranks[at]))[:3] for row in masked]
        assert getattr(found, lane).positions.tolist() == expected
    plain = scan_tiles(features, None, shared, (-1.0, 0.0), **known)
    assert found.matches().equals(plain.matches()) and found.best.positions.tolist() != plain.best.positions.tolist()
    alone = scan_tiles(features[:1], features[:1], shared, (-1.0, 0.0), k=2, gallery_ranks=np.zeros(1, dtype=int))
    assert alone.best.positions.tolist() == [[0, -1]], "a place without a match stays empty"
