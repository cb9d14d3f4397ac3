"""Claims: a cluster stores what one process stores; a worker that dies costs nothing and doubles nothing."""

import os

import numpy as np
import pytest
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.manifest import Manifest
from lcmem.scan import Atlas, distributed, extract_features, verify
from lcmem.scan.distributed import extract_features_distributed

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def manifest(faces, tmp_path):
    (tmp_path / "set").mkdir()
    for number in range(40):
        os.symlink(faces / f"s{number // 10 + 1}" / f"{number % 10 + 1}.pgm", tmp_path / "set" / f"{number:03d}.pgm")
    (tmp_path / "set" / "broken.png").touch()
    return Manifest.read(tmp_path / "set")


class Mortal:
    """Mixed into a detector: the first worker that encodes dies, as if the machine had run out of memory."""

    def stream(self, paths, **options):
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().stream(paths, **options)
        os.kill(os.getpid(), 9)


def mortal(marker):
    """A detector that kills one process that it is sent to."""
    detector = LCMem.load("compact")
    detector.__class__ = type("MortalLCMem", (Mortal, LCMem), {})
    detector.marker = str(marker)
    return detector


@pytest.mark.parametrize("dies", [False, True])
def test_a_cluster_stores_what_one_process_stores(cluster, manifest, compact, tmp_path, dies, monkeypatch):
    monkeypatch.setattr(distributed, "BATCH", 16)  # two blocks, so that both workers have something to do
    ray.cloudpickle.register_pickle_by_value(__import__(__name__))
    local = extract_features(manifest, compact, None, workers=0)
    atlas = Atlas.create(tmp_path / "atlas", compact)
    detector = mortal(tmp_path / "died") if dies else compact
    found = extract_features_distributed(manifest, detector, atlas, workers=2)
    assert (tmp_path / "died").exists() == dies
    assert found.manifest.paths == local.manifest.paths and found.encoded == 40
    torch.testing.assert_close(found.features, local.features, atol=1e-5, rtol=0)
    assert found.skipped == local.skipped and len(found.skipped) == 1
    assert len(atlas) == 40 == len(np.unique(atlas.paths)) and verify(Atlas.open(atlas.folder)) == []
    again = extract_features_distributed(found.manifest, compact, atlas, workers=2)
    assert again.encoded == 0 and torch.equal(again.features, found.features)
