"""The gallery that stays in memory finds what the scan finds."""

import numpy as np
import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.model.head import LinearHead, MetricHead
from lcmem.scan import resident, scan
from lcmem.scan.resident import ResidentGallery


@pytest.fixture(params=[MetricHead, LinearHead])
def head(request):
    torch.manual_seed(0)
    made = request.param(24)
    torch.nn.init.normal_(made.raw_weight)
    return made


@pytest.mark.parametrize("queries", [1, 7, 300])
def test_best_matches_are_those_of_the_scan(head, rng, monkeypatch, queries):
    monkeypatch.setattr(resident, "CHUNK", 100)
    gallery = [rng.random((count, 24)).astype(np.float32) for count in (130, 250)]
    gallery[1][:50] = gallery[0][:50]  # ties
    asked = np.concatenate([gallery[0][:1], rng.random((queries - 1, 24)).astype(np.float32)])
    for k in (1, 3):
        wanted = scan(asked, gallery, head, k=k).best
        found = ResidentGallery(gallery, head).best(asked, k)
        np.testing.assert_array_equal(found.logits, wanted.logits)
        np.testing.assert_array_equal(found.positions, wanted.positions)


def test_one_after_the_other_is_all_at_once(head, rng):
    gallery, asked = rng.random((500, 24)).astype(np.float32), rng.random((20, 24)).astype(np.float32)
    index = ResidentGallery(gallery, head)
    together = index.best(asked)
    for at in range(len(asked)):
        alone = index.best(asked[at : at + 1])
        assert (alone.logits[0, 0], alone.positions[0, 0]) == (together.logits[at, 0], together.positions[at, 0])
    assert index.best(asked[:0], 2).positions.shape == (0, 2)


def test_bad_features_are_refused(head, rng):
    with pytest.raises(LCMemError, match="at least one"):
        ResidentGallery(np.empty((0, 24), dtype=np.float32), head)
    with pytest.raises(LCMemError, match=r"\[0, 1\]"):
        ResidentGallery(np.full((3, 24), np.nan, dtype=np.float32), head)
