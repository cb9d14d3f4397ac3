"""Claims: a cluster stores and finds what one process does; a worker that dies loses nothing and doubles nothing."""

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.atlas import Atlas, fill_atlas, verify
from lcmem.cluster import encode as distributed
from lcmem.cluster import scan as parts
from lcmem.cluster.encode import encoded_distributed
from lcmem.cluster.scan import scan_distributed
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.jobs.output import MARK
from lcmem.jobs.scan.run import scan_sets
from lcmem.matching.asked import Asked
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.manifest import Manifest
from lcmem.scan import engine, scan
from scan_reference import head
from test_scan_engine import same

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module")
def cluster():
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
        _system_config={"worker_niceness": 0},  # workers that give way to all else on a busy machine never start
    )
    ray.cloudpickle.register_pickle_by_value(__import__(__name__))
    yield
    ray.shutdown()


@pytest.fixture
def manifest(faces, tmp_path):
    (tmp_path / "set").mkdir()
    for number in range(40):
        os.symlink(faces / f"s{number // 10 + 1}" / f"{number % 10 + 1}.pgm", tmp_path / "set" / f"{number:03d}.pgm")
    (tmp_path / "set" / "broken.png").touch()
    return Manifest.read(tmp_path / "set")


def first_time(marker):
    """Whether nobody asked before, in any process."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Mortal:
    """Mixed into a detector: the first worker that encodes dies, as if the machine had run out of memory."""

    def stream(self, paths, **options):
        if first_time(self.marker):
            os.kill(os.getpid(), 9)
        return super().stream(paths, **options)


def mortal(made, marker):
    """A detector that kills one process that it is sent to."""
    kind = type("MortalLCMem", (Mortal, LCMem), {})
    detector = kind(made.network, made.encoder, made.size, name=made.name)
    detector.marker = str(marker)
    return detector


def test_a_cluster_stores_what_one_process_stores(cluster, manifest, compact, tmp_path, monkeypatch):
    """Although a worker is killed."""
    monkeypatch.setattr(distributed, "BATCH", 16)  # two blocks: one is lost and done again
    local = extract_features(manifest, compact, None, workers=0)
    atlas = Atlas.create(tmp_path / "atlas", compact)
    done = fill_atlas(manifest, compact, atlas, encode=encoded_distributed(mortal(compact, tmp_path / "died"), 1))
    assert (tmp_path / "died").exists() and done.encoded == 40
    at = pd.Index(atlas.paths).get_indexer(local.manifest.paths)
    torch.testing.assert_close(torch.from_numpy(atlas.features(at)), local.features, atol=1e-5, rtol=0)
    assert done.skipped == local.skipped and len(done.skipped) == 1
    assert len(atlas) == 40 == len(np.unique(atlas.paths)) and verify(Atlas.open(atlas.folder)) == []
    assert fill_atlas(local.manifest, compact, atlas, encode=encoded_distributed(compact)).encoded == 0


def test_pictures_are_encoded_and_compared(cluster, manifest, compact, tmp_path):
    far, near = tmp_path / "far", tmp_path / "near"
    asked = Asked(threshold=0.7)
    found = scan_sets(manifest, None, compact, far, asked=asked, ray_workers=1)  # several are the claim of others
    shutil.copytree(far, near)
    for path in near.iterdir():  # keeps what says whose folder it is, and what was encoded
        if path.is_file() and path.name != MARK:
            path.unlink()
    assert scan_sets(manifest, None, compact, near, asked=asked, workers=0) == found
    assert found["pairs"] == 40 * 39 // 2 and 0 < sum(found["matches"].values()) < found["pairs"]
    for name in ("best.csv", "histogram.csv", "skipped.csv"):
        assert (far / name).read_bytes() == (near / name).read_bytes(), name
    pd.testing.assert_frame_equal(*(pd.read_parquet(out / "matches.parquet") for out in (far, near)))
    stored = extract_features(manifest, compact, open_features(far / "features", compact), workers=0)
    assert stored.encoded == 0, "the cluster's features were kept"
    torch.testing.assert_close(stored.features, compact.features(stored.manifest.paths), atol=1e-5, rtol=0)


D = 16


@pytest.fixture
def atlas(tmp_path):
    """Two shards of pictures that are often equal, so that order decides between ties."""
    model = SimpleNamespace(fingerprint="a" * 64, name="m", dims=D)
    made, rng = Atlas.create(tmp_path / "scanned.atlas", model), np.random.default_rng(0)
    for count in (90, 40):
        paths = [f"/{len(made) + n}.png" for n in range(count)]
        rows = Manifest(pd.DataFrame({"path": paths, "identity": "", "split": "", "dataset": ""}))
        contents = pd.DataFrame({"path": paths, "stamp": "", "sha256": paths, "reason": ""})
        made.append(rows, rng.integers(0, 2, (count, D)).astype(np.float32), contents)
    assert made.store.shards.numbers() == [0, 1]
    return made


class DyingWorker(parts._Worker):
    """The first one that comes to the second part dies in the middle of it: one chunk with its matches is written."""

    def __call__(self, rows):
        if rows["start"][0] > 0 and first_time(self.job.out / "died"):
            compare = engine._Pass._compare

            def once(self, queries, gallery, *rest):
                if self.state.done:
                    os.kill(os.getpid(), 9)
                compare(self, queries, gallery, *rest)

            engine._Pass._compare = once
        return super().__call__(rows)


@pytest.mark.parametrize("itself", [True, False])
def test_a_cluster_finds_what_one_process_finds(cluster, atlas, tmp_path, itself, monkeypatch):
    """Ties, identities, and a worker that is killed; an atlas that workers open and features that they are sent."""
    if itself:
        monkeypatch.setattr(parts, "_Worker", DyingWorker)
    rng = np.random.default_rng(1)
    weight, stored = rng.choice([-0.25, 0.5, 1.0], D), atlas.blocks()
    queries, gallery = (stored, None) if itself else (rng.integers(0, 2, (70, D)).astype(np.float32), stored)
    options = {"k": 3, "threshold": 0.5, "query_identities": rng.integers(-1, 5, len(queries))}
    options["gallery_identities"] = None if itself else rng.integers(-1, 5, len(stored))
    expected = scan(queries, gallery, head(weight, 3.3), out=tmp_path / "local", **options)
    found = scan_distributed(queries, gallery, head(weight, 3.3), ray_workers=2, out=tmp_path / "out", **options)
    assert (tmp_path / "out" / "died").exists() == itself
    assert same(found, expected) and len(found.matches()) == sum(found.match_counts.values()) > 100
    assert found.pairs == expected.pairs == (130 * 129 // 2 if itself else 70 * 130)
    assert found.histogram.error == expected.histogram.error
    assert np.array_equal(found.histogram.edges, expected.histogram.edges)
    tables = [pd.concat([*result.match_chunks()], ignore_index=True) for result in (found, expected)]
    pd.testing.assert_frame_equal(*tables)
    assert sorted(path.name for path in (tmp_path / "out").glob("part-*")) == [
        f"part-{start:09d}-{start + len(queries) // 2:09d}" for start in (0, len(queries) // 2)
    ], "one folder for each part and nothing else"
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert same(
        scan_distributed(queries, gallery, head(weight, 3.3), ray_workers=2, out=tmp_path / "out", **options), expected
    )
    assert written == {path: path.stat().st_mtime_ns for path in written}, "finished parts are only read"
    with pytest.raises(LCMemError, match="another scan"):
        scan_distributed(queries, gallery, head(weight, 3.4), ray_workers=2, out=tmp_path / "out", **options)


def test_bad_input_is_named_as_without_a_cluster(cluster, tmp_path):
    with pytest.raises(LCMemError, match=r"queries.*\[0, 1\]"):
        scan_distributed(np.full((3, 4), 2.0), None, head(np.ones(4), 0.0), ray_workers=1, out=tmp_path / "out")
