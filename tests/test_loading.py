"""Claim: worker processes decode what this process would, in order, and set aside what cannot be read."""

import numpy as np
import pytest
import torch

from lcmem.images import load_levels
from lcmem.inspection import inspect_pictures
from lcmem.loading import iterate_pictures


@pytest.fixture
def mixed(save_noise, tmp_path):
    """150 pictures of several sizes, two of them unreadable."""
    paths = [str(save_noise(f"{k}.png", (20 + k % 3, 30))) for k in range(150)]
    for k in (7, 100):
        (tmp_path / f"{k}.png").write_bytes(b"broken")
    return paths


@pytest.mark.parametrize("workers", [0, 2, None])
def test_inspection_with_and_without_workers(mixed, workers):
    sizes, failures = inspect_pictures(mixed, workers=workers)
    assert sizes == [(20 + k % 3, 30) for k in range(150) if k not in (7, 100)]
    assert len(failures) == 2 and "/7.png" in failures[0] and "/100.png" in failures[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_with_and_without_workers(mixed, workers):
    batches = list(iterate_pictures(mixed, 16, batch_size=40, workers=workers))
    assert [len(batch.indices) + len(batch.failures) for batch in batches] == [40, 40, 40, 30]
    indices = [index for batch in batches for index in batch.indices]
    assert indices == [k for k in range(150) if k not in (7, 100)]
    assert [index for batch in batches for index, _ in batch.failures] == [7, 100]
    together = torch.cat([batch.pictures for batch in batches])
    for row in (0, 50, 147):
        expected = load_levels(mixed[indices[row]], 16)
        np.testing.assert_array_equal(together[row], expected)
