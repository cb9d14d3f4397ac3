"""Claim: worker processes decode what this process would, in order, and set aside what cannot be read."""

import numpy as np
import pytest
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.jobs.check import inspect_pictures
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import _stack, decode, iterate_pictures


@pytest.fixture
def mixed(save_noise, tmp_path):
    """150 pictures of several sizes, two of them unreadable."""
    paths = [str(save_noise(f"{k}.png", (20 + k % 3, 30))) for k in range(150)]
    for k in (7, 100):
        (tmp_path / f"{k}.png").write_bytes(b"broken")
    return paths


@pytest.mark.parametrize("workers", [0, 2, None])
def test_inspection_with_and_without_workers(mixed, workers):
    found = inspect_pictures(mixed, workers=workers)
    assert found.sizes == [(20 + k % 3, 30) for k in range(150) if k not in (7, 100)]
    assert [path for path, _ in found.unreadable] == [mixed[7], mixed[100]]
    assert all(reason.startswith(f"{path}: ") for path, reason in found.unreadable)


def test_workers_need_no_shared_memory(mixed):
    """Tensors would go through it: in a container, which has little, a worker would be waited for without end."""
    batches = decode(mixed, torch.from_numpy, _stack, size=16, workers=0)
    assert not any(isinstance(part, torch.Tensor) for batch in batches for part in batch)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_with_and_without_workers(mixed, workers):
    batches = list(iterate_pictures(mixed, 16, batch_size=40, workers=workers))
    assert [len(batch.indices) + len(batch.failures) for batch in batches] == [1, 2, 4, 8, 16, 32, 40, 40, 7]
    indices = [index for batch in batches for index in batch.indices]
    assert indices == [k for k in range(150) if k not in (7, 100)]
    assert [index for batch in batches for index, _ in batch.failures] == [7, 100]
    together = torch.cat([batch.pictures for batch in batches])
    for row in (0, 50, 147):
        expected = load_levels(mixed[indices[row]], 16)
        np.testing.assert_array_equal(together[row], expected)


def streamed(detector, paths, **options):
    """Features and positions, in the order in which they come, and the positions of failures."""
    parts = list(detector.stream(paths, **options))
    failed = [at for batch, _ in parts for at, _ in batch.failures]
    return torch.cat([values for _, values in parts]), [at for batch, _ in parts for at in batch.indices], failed


@pytest.fixture(scope="module")
def files(orl, tmp_path_factory):
    """20 faces and, among them, a whole batch that cannot be read."""
    broken = tmp_path_factory.mktemp("broken") / "a.png"
    broken.write_bytes(b"broken")
    return orl.paths[:8] + [str(broken)] * 3 + orl.paths[8:20]


@pytest.mark.parametrize(("batch_size", "workers"), [(64, 0), (3, 2), (9, None)])
def test_features_do_not_depend_on_how_they_are_made(bundled, orl, files, batch_size, workers):
    features, indices, failed = streamed(bundled, files, batch_size=batch_size, workers=workers)
    assert indices == [*range(8), *range(11, 23)] and failed == [8, 9, 10]
    torch.testing.assert_close(features, bundled.features(orl.paths[:20]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("devices", [2, 9])
def test_batches_are_dealt_to_all_devices(bundled, files, devices):
    detector = LCMem.load("compact", device=",".join(["cpu"] * devices))
    shares = [0] * devices
    for number, (encoder, _) in enumerate(detector.engines):

        def encode(pictures, number=number, original=encoder.encode):
            shares[number] += len(pictures)
            return original(pictures)

        encoder.encode = encode
    features, indices, failed = streamed(detector, files, batch_size=4, workers=0)
    alone = streamed(bundled, files, batch_size=4, workers=0)
    assert torch.equal(features, alone[0]) and (indices, failed) == alone[1:]
    assert all(shares[:2]) and sum(shares) == 20


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(LCMemError, match="'cuda:77' cannot be used here"):
        LCMem.load("compact", device="cpu,cuda:77")
