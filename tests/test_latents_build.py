"""Claims: a store encodes only what is new, and refuses what would mix or damage its latents, with a way out."""

import json
import os
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.latents import LatentStore, build_store
from lcmem.pictures.manifest import Manifest
from lcmem.store import Store

SIZE = 64


@pytest.fixture
def folder(faces, tmp_path):
    """30 faces of three people, to be changed."""
    for name in ("s1", "s2", "s3"):
        shutil.copytree(faces / name, tmp_path / "faces" / name)
    return tmp_path / "faces"


def build(folder, counting, out, **options):
    """Build or go on; how many pictures were encoded in it, and the store."""
    counting.pictures = 0
    manifest = folder if isinstance(folder, Manifest) else Manifest.read(folder)
    store = build_store(manifest, counting.encoder, SIZE, out, **options)
    assert counting.pictures == store.encoded
    return counting.pictures, store


def by_content(store):
    """Latents of each picture by its content's hash."""
    table = pd.read_parquet(store.folder / "index.parquet")
    return dict(zip(table["sha256"], store.read(np.arange(len(store))), strict=True))


def test_second_build_neither_reads_nor_encodes(folder, counting, tmp_path, monkeypatch):
    assert build(folder, counting, tmp_path / "store")[0] == 30
    monkeypatch.setattr("lcmem.pictures.content.read_bytes", lambda path: pytest.fail("was read"))
    encoded, store = build(folder, counting, tmp_path / "store")
    assert encoded == 0 and len(store) == 30


def test_moved_touched_and_repeated_pictures_are_not_encoded_again(folder, counting, tmp_path):
    old = by_content(build(folder, counting, tmp_path / "store")[1])
    shutil.move(folder / "s1", folder / "s9")
    os.utime(folder / "s2" / "1.pgm", ns=(1, 1))
    shutil.copy(folder / "s3" / "1.pgm", folder / "s3" / "copy.pgm")
    encoded, after = build(folder, counting, tmp_path / "store")
    assert encoded == 0 and len(after) == 31
    assert after.manifest.paths == Manifest.read(folder).paths
    s3 = [str(folder / "s3" / name) for name in ("1.pgm", "copy.pgm")]
    one, copy = after.read(np.array([after.manifest.paths.index(path) for path in s3]))
    assert torch.equal(one, copy)
    new = by_content(after)
    assert old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in old)


def test_repeated_pictures_of_a_new_store_are_encoded_once(folder, counting, tmp_path):
    shutil.copytree(folder / "s1", folder / "again")
    encoded, store = build(folder, counting, tmp_path / "store")
    assert encoded == 30 and len(store) == 40


def test_only_new_and_changed_pictures_are_encoded(folder, faces, counting, tmp_path):
    build(folder, counting, tmp_path / "store")
    shutil.copy(faces / "s4" / "1.pgm", folder / "s1" / "1.pgm")
    shutil.copy(faces / "s4" / "2.pgm", folder / "s1" / "new.pgm")
    encoded, store = build(folder, counting, tmp_path / "store")
    assert encoded == 2 and len(store) == 31
    _, fresh = build(folder, counting, tmp_path / "fresh")
    same = {"rtol": 2**-9, "atol": 2**-9}  # on some processors batches of other sizes differ in the last of 16 bits
    torch.testing.assert_close(store.read(np.arange(31)), fresh.read(np.arange(31)), **same)


def test_pictures_in_a_zip(folder, counting, tmp_path):
    build(folder, counting, tmp_path / "store")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for path in sorted(folder.rglob("*.pgm")):
            archive.write(path, path.relative_to(folder))
    encoded, store = build(tmp_path / "faces.zip", counting, tmp_path / "store")
    assert encoded == 0 and len(store) == 30


def test_unreadable_pictures_are_listed(folder, counting, tmp_path):
    (folder / "s1" / "3.pgm").write_bytes(b"")
    (folder / "s2" / "4.pgm").write_text("no picture")
    manifest = Manifest.read(folder)
    (folder / "s3" / "5.pgm").unlink()
    encoded, store = build(manifest, counting, tmp_path / "store")
    skipped = pd.read_csv(tmp_path / "store" / "skipped.csv")
    assert encoded == len(store) == 27 and list(skipped["reason"]) == store.skipped
    assert [path[-8:] for path in skipped["path"]] == ["s1/3.pgm", "s2/4.pgm", "s3/5.pgm"]
    assert not set(skipped["path"]) & set(store.manifest.paths)
    assert build(manifest, counting, tmp_path / "store")[0] == 0


def test_nothing_readable(counting, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "bad.png").write_text("text")
    with pytest.raises(LCMemError, match=r"none of the 1 pictures could be read.*bad\.png"):
        build(tmp_path / "pictures", counting, tmp_path / "store")


def test_truncated_shard_is_named_and_deleting_it_is_a_way_out(folder, faces, counting, tmp_path):
    _, store = build(folder, counting, tmp_path / "store")
    expected = store.read(np.arange(30))
    shard = tmp_path / "store/shards/00000.rows"
    os.truncate(shard, shard.stat().st_size - 1)
    for attempt in (lambda: LatentStore.open(tmp_path / "store"), lambda: build(folder, counting, tmp_path / "store")):
        with pytest.raises(LCMemError, match=r"00000\.rows: damaged \(truncated.*delete this file"):
            attempt()
    shard.unlink()
    with pytest.raises(LCMemError, match=r"00000\.rows: missing"):
        LatentStore.open(tmp_path / "store")
    # another run stores other pictures and is killed: the old index must not take these rows for its own
    card = Store.open(tmp_path / "store", "latents").card
    other = Store.claim(tmp_path / "store", card)
    other.writer().append(["0" * 64], np.zeros((1, *card.shape), dtype=np.float16))
    assert other.shards.numbers() == [1]
    with pytest.raises(LCMemError, match=r"00000\.rows: missing"):
        LatentStore.open(tmp_path / "store")
    encoded, again = build(folder, counting, tmp_path / "store")
    assert encoded == 30 and torch.equal(again.read(np.arange(30)), expected)


@pytest.mark.parametrize("name", ["shards/00000.keys", "index.parquet", "latents.json"])
def test_damaged_files_are_named(folder, counting, tmp_path, name):
    build(folder, counting, tmp_path / "store")
    path = tmp_path / "store" / name
    path.write_bytes(path.read_bytes()[:50])
    for attempt in (lambda: LatentStore.open(tmp_path / "store"), lambda: build(folder, counting, tmp_path / "store")):
        with pytest.raises(LCMemError, match=path.stem):
            attempt()


def test_other_latents_are_refused(folder, counting, tmp_path):
    build(folder, counting, tmp_path / "store")
    with pytest.raises(LCMemError, match=r"with mirror images\); .*choose another folder or delete this one"):
        build(folder, counting, tmp_path / "store", mirror=True)
    with pytest.raises(LCMemError, match=r"at 64×64 pixels without.*, not .*at 128×128 pixels"):
        build_store(Manifest.read(folder), counting.encoder, 128, tmp_path / "store")
    counting.encoder.card = replace(counting.encoder.card, sha256="f" * 64, name="other")
    with pytest.raises(LCMemError, match=r"holds latents of another encoder.*\(compact-autoencoder .*, not other"):
        build(folder, counting, tmp_path / "store")


def test_size_must_fit_the_encoder(folder, counting, tmp_path):
    with pytest.raises(LCMemError, match="size 100 is not a multiple of 8"):
        build_store(Manifest.read(folder), counting.encoder, 100, tmp_path / "store")


def test_columns_of_the_manifest_named_as_the_index_names_its_own_are_left_out(folder, counting, tmp_path):
    manifest = Manifest(Manifest.read(folder).table.assign(row=1, sha256="of something else", label="x"))
    build(manifest, counting, tmp_path / "store")
    table = LatentStore.open(tmp_path / "store").manifest.table
    assert "label" in table and "row" not in table and "sha256" not in table


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_picture_whose_latent_is_not_finite_is_named(folder, counting, tmp_path, value):
    """1e5 is finite, but not in float16. What was encoded before stays."""
    manifest = Manifest.read(folder)
    original = counting.encoder.encode

    def spoilt(batch):
        latents = original(batch).clone()
        if counting.pictures == 1 + 2 + 4 + 8:
            latents[5, 0, 3, 3] = value
        return latents

    counting.encoder.encode = spoilt
    with pytest.raises(LCMemError, match=f"{manifest.paths[12]}: its latents .* not finite, or too large for float16"):
        build_store(manifest, counting.encoder, SIZE, tmp_path / "store", batch_size=8)
    counting.encoder.encode = original
    assert build(folder, counting, tmp_path / "store")[0] == 23


def test_not_a_store(tmp_path):
    with pytest.raises(LCMemError, match="not a latent store"):
        LatentStore.open(tmp_path)
    (tmp_path / "latents.json").write_text(json.dumps({"kind": "atlas", "version": 1}))
    with pytest.raises(LCMemError, match="kind 'atlas'"):
        LatentStore.open(tmp_path)
