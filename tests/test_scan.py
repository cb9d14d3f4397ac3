"""Claim: the scan equals brute force, whatever the tiles."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from lcmem.model import pair_logits
from lcmem.scan import pass_numba, scan
from scan_reference import head


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
    monkeypatch.setattr(pass_numba, "QUERIES", tile[0])
    monkeypatch.setattr(pass_numba, "GALLERY", tile[1])
    queries, gallery, weight = CASES[case](torch.Generator().manual_seed(0))
    bias = torch.tensor(3.0)
    k = min(3, len(gallery))
    best = scan(queries.numpy(), gallery.numpy(), head(weight, bias), k=k).best
    logits, positions = best.logits, best.positions
    expected = brute_force(queries, gallery, weight, bias)
    np.testing.assert_allclose(logits, -np.sort(-expected, 1)[:, :3], atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(expected, positions, 1), logits, atol=1e-9)
    exact = pair_logits(queries[:, None], gallery[positions], weight, bias).numpy()
    assert np.array_equal(exact, logits), "a reported score is the pair's score, to the last bit"


def test_other_identities_leave_out_pairs_of_one_identity():
    generator = torch.Generator().manual_seed(0)
    features, codes = torch.rand(30, 16, generator=generator), np.arange(30) // 3
    weight, bias = torch.ones(16), torch.tensor(0.0)
    found = scan(features.numpy(), None, head(weight, bias), k=2, query_identities=codes).different
    assert (codes[found.positions] != codes[:, None]).all()
    expected = brute_force(features, features, weight, bias)
    expected[codes[:, None] == codes[None]] = -np.inf
    np.testing.assert_allclose(found.logits, -np.sort(-expected, 1)[:, :2], atol=1e-9)


def test_nothing_left_to_match():
    found = scan(np.full((3, 4), 0.5, np.float32), None, head(np.ones(4), 1.0), query_identities=np.zeros(3))
    assert np.isneginf(found.different.logits).all() and (found.different.positions == -1).all()
