"""Claims: an atlas gives no picture another's features, takes no other model's, and is never half there."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem import files as files_module
from lcmem.atlas import Atlas, atlas, fill_atlas, verify
from lcmem.atlas.card import feature_card
from lcmem.errors import LCMemError
from lcmem.locks import alone_in
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.manifest import Manifest
from lcmem.store import card as card_module
from lcmem.store import index as index_module
from lcmem.store import shards as shards_module
from lcmem.store import store as store_module

D = 8


def model(fingerprint="a" * 64, features=D):
    return SimpleNamespace(fingerprint=fingerprint, name="m" + fingerprint[0], dims=features)


def pictures(paths, identity="", dataset=""):
    return Manifest(pd.DataFrame({"path": paths, "identity": identity, "split": "", "dataset": dataset}))


def vectors(paths):
    """Features that can be told apart by path, whatever their order."""
    return np.array([[hash(path) % 9973] * D for path in paths], dtype=np.float32).reshape(-1, D)


@pytest.fixture
def files(save_noise):
    return [str(save_noise(f"{k}.png")) for k in range(10)]


@pytest.fixture
def stored(tmp_path, files):
    """Two shards: nine pictures and one."""
    made = Atlas.create(tmp_path / "atlas", model())
    made.append(pictures(files[:9], "ann", "set"), vectors(files[:9]))
    made.append(pictures(files[9:], "", "set"), vectors(files[9:]))
    assert made.store.shards.numbers() == [0, 1]
    return made


def sizes(found):
    """Rows of each shard."""
    return [len(found.store.shards.lines(number)) for number in found.store.shards.numbers()]


def check(folder, paths, unfinished=False):
    """A fresh reader sees exactly these pictures, each with its own features, and no others are kept."""
    found = Atlas.open(folder)
    assert sorted(found.paths) == sorted(paths) and len(found) == len(paths) and verify(found) == []
    (block,) = found.blocks().arrays
    assert block.dtype == np.float32 and block.shape == (len(paths), D)
    np.testing.assert_array_equal(found.blocks()[:], vectors(found.paths))
    np.testing.assert_array_equal(found.features(), vectors(found.paths))
    assert sum(sizes(found)) == len(set(found.table["sha256"])) or unfinished
    assert unfinished or not list(folder.rglob("*.partial")), "the next change writes over it"


def test_it_gives_back_what_was_stored(stored, files):
    check(stored.folder, files)
    found = Atlas.open(stored.folder)
    assert found.identities.tolist() == ["ann"] * 9 + ["\0" + files[9]] and set(found.datasets) == {"set"}
    assert found.manifest.table["identity"].tolist() == ["ann"] * 9 + [""]
    assert found.rows(np.array([9, 2]))["path"].tolist() == [files[9], files[2]]
    np.testing.assert_array_equal(found.features(np.array([9, 2])), vectors([files[9], files[2]]))


def test_blocks_are_the_mapped_file(stored):
    block = Atlas.open(stored.folder).blocks()[0:9]
    assert not block.flags.owndata and not block.flags.writeable
    path, vector = stored.folder / "shards" / "00000.rows", block[0].tobytes()
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(vector))
        file.write(np.full(D, -1, dtype=np.float32).tobytes())
    assert (block[0] == -1).all(), "what is written to the file is seen in the block"


def test_a_changed_picture_is_forgotten_and_a_moved_one_is_not(tmp_path, compact, save_noise, monkeypatch):
    files = [str(save_noise(f"{k}.png")) for k in range(5)]
    made = Atlas.create(tmp_path / "atlas", compact)
    fill_atlas(pictures(files), compact, made, workers=0)
    save_noise("2.png", (50, 50))
    os.utime(files[3])
    shutil.move(files[4], tmp_path / "moved.png")
    given = []
    original = compact.stream
    monkeypatch.setattr(compact, "stream", lambda paths, **options: given.extend(paths) or original(paths, workers=0))
    paths = [files[1], files[2], files[3], str(tmp_path / "moved.png"), files[4]]
    done = fill_atlas(pictures(paths), compact, Atlas.create(tmp_path / "atlas", compact))
    assert given == [files[2]] and done.stored.tolist() == [0, 1, 2, 3] and len(done.skipped) == 1
    found = Atlas.open(tmp_path / "atlas")
    at = [found.paths.tolist().index(path) for path in paths[:4]]
    expected = compact.features(paths[:4])
    torch.testing.assert_close(torch.from_numpy(found.features(np.array(at))), expected, atol=1e-5, rtol=0)


def test_other_pictures_do_not_replace_an_atlas(tmp_path, compact, save_noise):
    for name in ("one/a.png", "one/b.png", "one/c.png", "two/a.png"):
        save_noise(name)
    made = Atlas.create(tmp_path / "atlas", compact)
    fill_atlas(Manifest.read(tmp_path / "one"), compact, made, workers=0)
    for shared in (0, 1):
        with pytest.raises(LCMemError, match=rf"other pictures than these \({shared} of its 3 are.*--keep-missing"):
            fill_atlas(Manifest.read(tmp_path / "two"), compact, made, workers=0)
        shutil.copy(tmp_path / "one" / "a.png", tmp_path / "two" / "same.png")
    assert len(Atlas.open(tmp_path / "atlas")) == 3
    shutil.move(tmp_path / "one", tmp_path / "moved")
    assert fill_atlas(Manifest.read(tmp_path / "moved"), compact, made, workers=0).moved == 3, "the same elsewhere"
    fill_atlas(Manifest.read(tmp_path / "two"), compact, made, workers=0, keep_missing=True)
    assert len(Atlas.open(tmp_path / "atlas")) == 5


def test_a_path_is_there_once(stored, files):
    stored.append(pictures(files[3:5], "bob"), vectors(files[3:5]))
    check(stored.folder, files)
    rows = stored.table.set_index("path")
    assert rows.loc[files[3:5], "identity"].tolist() == ["bob"] * 2 and rows.loc[files[2], "identity"] == "ann"


def test_removed_pictures_are_gone(stored, files):
    assert stored.remove([files[0], Path(files[9]), "nowhere.png"]) == 2
    check(stored.folder, files[1:9])
    assert stored.remove(os.path.relpath(files[1])) == stored.remove(Path(files[2])) == 1
    assert stored.remove(files) == 6
    check(stored.folder, [])


def test_merge(tmp_path, stored, files, save_noise):
    other = Atlas.create(tmp_path / "other", model())
    more = [str(save_noise(f"other/{k}.png")) for k in range(3)]
    other.append(pictures([*more, files[0]], "bob"), vectors([*more, files[0]]))
    stored.merge([other.folder])
    stored.merge([other.folder])
    check(stored.folder, files + more)
    assert stored.table.set_index("path").loc[files[0], "identity"] == "bob"
    foreign = Atlas.create(tmp_path / "foreign", model("b" * 64))
    with pytest.raises(LCMemError, match=r"foreign|another model"):
        stored.merge([foreign.folder])


def test_what_was_opened_before_a_change_is_read_no_more(stored, files):
    """Its rows may be other pictures now: refused, and never the features of one beside the name of another."""
    early, known = Atlas.open(stored.folder), Atlas.open(stored.folder)
    assert len(known.paths) == 10
    assert Atlas.open(stored.folder).remove(files[:1]) == 1
    for read in (early.blocks, early.features, lambda: early.paths, lambda: early.rows(np.arange(2)), known.blocks):
        with pytest.raises(LCMemError, match="another process has changed this atlas meanwhile"):
            read()
    check(stored.folder, files[1:])


def test_an_atlas_that_changes_while_it_is_merged(tmp_path, stored, files, save_noise, monkeypatch):
    other = Atlas.create(tmp_path / "other", model())
    more = [str(save_noise(f"other/{k}.png")) for k in range(4)]
    other.append(pictures(more, "bob"), vectors(more))
    begin = Atlas._begin

    def meanwhile(self, *given):
        changed = Atlas.open(other.folder)
        monkeypatch.setattr(Atlas, "_begin", begin)
        changed.remove(more[:1])
        changed.append(pictures(more[:1], "bob"), vectors(more[:1]))
        begin(self, *given)

    monkeypatch.setattr(Atlas, "_begin", meanwhile)
    with suppress(LCMemError):  # its shard may be gone
        stored.merge([other.folder])
    found = Atlas.open(stored.folder)
    np.testing.assert_array_equal(found.features(), vectors(found.paths))
    found.merge([other.folder])
    check(stored.folder, files + more)


def test_what_a_killed_removal_left_goes_with_the_next_one(stored, files, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("lcmem.store.shards.Shards.delete", lambda *args: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            stored.remove(files[:1])
    found = Atlas.open(stored.folder)
    assert len(found) == 9 and "no picture has any more" in verify(found)[0]
    assert found.remove(files[:1]) == 0
    check(stored.folder, files[1:])


def test_many_small_shards_become_few(tmp_path, files, monkeypatch):
    monkeypatch.setattr("lcmem.atlas.card.Card", partial(card_module.Card, shard_rows=6))
    made = Atlas.create(tmp_path / "atlas", model())
    seen = []
    for path in files:
        made.append(pictures([path]), vectors([path]))
        seen.append(sizes(made))
    assert seen[2] == [2, 1] and seen[3] == [4] and seen[-1] == [4, 4, 2]
    check(made.folder, files)


@pytest.mark.parametrize("fingerprint", ["b" * 64])
def test_another_models_features_are_refused(stored, fingerprint):
    with pytest.raises(LCMemError, match=r"another model \(ma aaaaaaaaaaaa…, not mb bbbbbbbbbbbb…\).*delete"):
        Atlas.create(stored.folder, model(fingerprint))
    with pytest.raises(LCMemError, match="another model"):
        stored.check(model(fingerprint))


def test_features_that_cannot_be_are_refused(stored, files):
    with pytest.raises(LCMemError, match=r"shape \(2, 7\)"):
        stored.append(pictures(files[:2]), np.ones((2, 7), dtype=np.float32))
    broken = vectors(files[:2])
    broken[1, 3] = np.nan
    with pytest.raises(LCMemError, match=rf"{files[1]}: its features are not finite"):
        stored.append(pictures(files[:2]), broken)
    with pytest.raises(LCMemError, match=r"nowhere\.png: cannot be read"):
        stored.append(pictures(["nowhere.png"]), vectors(["nowhere.png"]))
    check(stored.folder, files)


def test_features_of_a_network_in_bfloat16_are_stored(stored, files):
    """NumPy does not know the type."""
    values = torch.from_numpy(vectors(files[:2])).bfloat16()
    stored.append(pictures(["c.png", "d.png"]), values, pd.DataFrame({"stamp": "", "sha256": ["c", "d"]}))
    np.testing.assert_array_equal(stored.features()[-2:], values.float().numpy())


def test_rows_that_are_not_there_are_refused(stored):
    assert list(stored.rows([1, 0])["path"]) == list(stored.paths[[1, 0]])
    mask = np.arange(10) % 3 == 0
    np.testing.assert_array_equal(stored.features(mask), stored.features([0, 3, 6, 9]))
    np.testing.assert_array_equal(stored.features(slice(2)), stored.features([0, 1]))
    with pytest.raises(LCMemError, match="whole numbers"):
        stored.rows([0.5])
    for rows in ([-1], np.array([10])):
        for read in (stored.rows, stored.features):
            with pytest.raises(LCMemError, match="of an atlas of 10 pictures"):
                read(rows)


def test_a_table_that_is_changed_changes_no_atlas(stored, files):
    stored.table["path"] = "nobody.png"
    stored.append(pictures(files[:1], "bob"), torch.from_numpy(vectors(files[:1])))
    check(stored.folder, files)


def truncated(path, _):
    path.write_bytes(path.read_bytes()[:-100])


def halved(path, _):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path, _):
    path.write_bytes(b"")


def of_another_dimension(path, tmp_path):
    other = Atlas.create(tmp_path / "wide", model(features=9))
    manifest = pictures([str(tmp_path / f"{k}.png") for k in range(9)])
    other.append(manifest, np.ones((9, 9), dtype=np.float32))
    shutil.copy(tmp_path / "wide" / "shards" / "00000.rows", path)


def of_other_rows(path, _):
    shutil.copy(path.with_name("00001.rows"), path)


def with_nan(path, _):
    data = path.read_bytes()
    vector = vectors([str(path.parents[2] / "2.png")]).tobytes()
    assert vector in data
    path.write_bytes(data.replace(vector, np.full(D, np.nan, dtype=np.float32).tobytes()))


DAMAGE = {
    truncated: "truncated, 188 of 288 bytes",
    halved: "truncated, 144 of 288 bytes",
    emptied: "truncated, 0 of 288 bytes",
    of_another_dimension: "not what was written",
    of_other_rows: "truncated, 32 of 288 bytes",
    with_nan: "NaN",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_named_and_its_pictures_are_done_anew(stored, files, tmp_path, damage):
    path = stored.folder / "shards" / "00000.rows"
    damage(path, tmp_path)
    with pytest.raises(LCMemError, match=rf"{path}: damaged .*delete this file and run lcmem index again") as raised:
        Atlas.open(stored.folder).features()
    assert DAMAGE[damage] in str(raised.value)
    problems = verify(Atlas.open(stored.folder))
    assert len(problems) == 1 and str(path) in problems[0]
    assert ("1 rows are not what was written" if damage is with_nan else DAMAGE[damage]) in problems[0]
    path.unlink()
    with pytest.raises(LCMemError, match=rf"{path}: missing; run lcmem index"):
        Atlas.open(stored.folder).blocks()
    again = Atlas.create(stored.folder, model())
    assert again.lost().paths == sorted(files[:9])
    again.append(pictures(files[:9]), vectors(files[:9]))
    check(stored.folder, files)


def test_pictures_of_another_set_come_back_with_their_shard(faces, compact, tmp_path):
    """Two sets in one atlas; the shard of the first is lost, and the second is indexed again."""
    first, second = (Manifest.read(faces / name) for name in ("s1", "s2"))
    for manifest in (first, second):
        fill_atlas(manifest, compact, Atlas.create(tmp_path / "a", compact), workers=0, keep_missing=True)
    whole = Atlas.open(tmp_path / "a")
    before = dict(zip(whole.paths, whole.features(), strict=True))
    for path in (tmp_path / "a" / "shards").glob("*.rows"):
        path.unlink()
    atlas = Atlas.create(tmp_path / "a", compact)
    assert set(atlas.lost().paths) == {*first.paths, *second.paths}
    done = fill_atlas(second, compact, atlas, workers=0, keep_missing=True)
    assert done.encoded == 20 and verify(Atlas.open(tmp_path / "a")) == []
    again = Atlas.open(tmp_path / "a")
    assert set(again.paths) == before.keys() == {*first.paths, *second.paths}
    assert np.abs(again.features() - np.stack([before[path] for path in again.paths])).max() < 1e-4


def test_what_lacks_features_is_not_forgotten(stored, files):
    """A shard was deleted, and before it is indexed again the atlas is to be thinned out or joined."""
    (stored.folder / "shards" / "00000.rows").unlink()
    again = Atlas.create(stored.folder, model())
    for change, *given in (
        (again.remove, files[9:]),
        (again.merge, []),
        (again.append, pictures(files[9:]), vectors(files[9:])),
    ):
        with pytest.raises(LCMemError, match=r"features of 9 pictures are gone .* run lcmem index first"):
            change(*given)
    assert len(again.lost()) == 9


def test_other_sets_do_not_hide_one_that_cannot_be_read(faces, compact, tmp_path):
    fill_atlas(Manifest.read(faces / "s1"), compact, Atlas.create(tmp_path / "a", compact), workers=0)
    for path in (tmp_path / "a" / "shards").glob("*.rows"):
        path.unlink()
    (tmp_path / "broken.png").write_text("no picture")
    broken, atlas = Manifest.of([str(tmp_path / "broken.png")]), Atlas.create(tmp_path / "a", compact)
    with pytest.raises(LCMemError, match="none of the 1 pictures can be used"):
        fill_atlas(broken, compact, atlas, workers=0, keep_missing=True)


def test_one_writer_at_a_time(stored, files, monkeypatch):
    """What another process is writing is neither deleted nor joined by what thins out or merges the atlas."""
    monkeypatch.setattr("lcmem.locks.PATIENCE", 0.1)
    late = Atlas.open(stored.folder)
    with alone_in(stored.folder):
        for change, *given in (
            (late.remove, files[:1]),
            (late.merge, []),
            (late.append, pictures(files[:1]), vectors(files[:1])),
        ):
            with pytest.raises(LCMemError, match="another lcmem command is at work there"):
                change(*given)
    assert late.remove(files[:1]) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "latents", "version": 1}', '{"kind": "atlas"}'])
def test_a_damaged_card_is_named(stored, text):
    (stored.folder / "atlas.json").write_text(text)
    with pytest.raises(LCMemError, match=r"atlas.json: not the card of an atlas"):
        Atlas.open(stored.folder)


def test_no_atlas(tmp_path):
    with pytest.raises(LCMemError, match="not an atlas"):
        Atlas.open(tmp_path)


def test_verify_reads_the_pictures_again(stored, files, save_noise):
    save_noise("2.png", (50, 50))
    os.unlink(files[5])
    assert verify(stored) == []
    found = verify(stored, pictures=True)
    assert [files[5] in found[0], files[2] in found[1], len(found)] == [True, True, 2]


def test_two_writers_do_not_lose_each_others_pictures(stored, files, save_noise):
    late, new = Atlas.open(stored.folder), str(save_noise("new.png"))
    stored.append(pictures([new]), vectors([new]))
    with pytest.raises(LCMemError, match="another process"):
        late.remove(files)
    check(stored.folder, [*files, new])


def state(folder):
    """What a reader could tell apart: names, inodes, sizes and times of all files."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return [(path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in found]


def snapshots(folder, target):
    """Trace function that copies the folder before each line of the writing modules that finds it changed."""
    modules = (atlas, files_module, index_module, shards_module, store_module)
    files, copies, last = {module.__file__ for module in modules}, [], []

    def trace(frame, event, _):
        nonlocal last
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and (now := state(folder)) != last:
            last = now
            copies.append(target / str(len(copies)))
            shutil.copytree(folder, copies[-1])
        return trace

    return copies, trace


def test_killed_at_any_line_of_a_change_all_or_nothing_is_there(stored, files, save_noise, tmp_path):
    """The change replaces a row of the first shard, joins the second one and adds a picture.

    What a SIGKILL leaves are the files as they are at that line.
    """
    new = str(save_noise("new.png"))
    before, after = files, [*files, new]
    copies, trace = snapshots(stored.folder, tmp_path / "copies")
    sys.settrace(trace)
    try:
        stored.append(pictures([files[0], new], "bob"), vectors([files[0], new]))
    finally:
        sys.settrace(None)
    seen = []
    for copy in [*copies, stored.folder]:
        whole = len(Atlas.open(copy)) == 11
        seen.append(whole)
        table = Atlas.open(copy).table.set_index("path")
        assert table.loc[files[0], "identity"] == ("bob" if whole else "ann")
        again = Atlas.create(copy, model())
        check(copy, after if whole else before, unfinished=not whole)
        again.append(pictures([files[0], new], "bob"), vectors([files[0], new]))
        check(copy, after, unfinished=True)
        assert not list(copy.rglob("*.partial"))
    assert len(seen) > 5 and seen == sorted(seen) and set(seen) == {True, False}


KILLED = """
import sys, os
import numpy as np, pandas as pd
from types import SimpleNamespace
from lcmem.pictures.manifest import Manifest
from lcmem.atlas import Atlas
made = Atlas.create(sys.argv[1], SimpleNamespace(fingerprint="a" * 64, name="m", dims=512))
for start in range(0, 10**6, 40):
    paths = [f"{k}.png" for k in range(start, start + 40)]
    manifest = Manifest(pd.DataFrame({"path": paths, "identity": "", "split": "", "dataset": ""}))
    contents = pd.DataFrame({"stamp": paths, "sha256": paths})
    made.append(manifest, np.repeat(np.arange(start, start + 40.0), 512).reshape(40, 512).astype("f4"), contents)
    print(start + 40, flush=True)
"""


@pytest.mark.parametrize("wait", [0.0, 0.0137])
def test_sigkill_while_appending(tmp_path, wait):
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "a"], stdout=subprocess.PIPE, text=True)
    for _ in range(12):
        process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    reported = 480 + 40 * len(process.stdout.read().splitlines())
    assert process.wait() == -signal.SIGKILL
    found = Atlas.open(tmp_path / "a")
    assert reported <= len(found) <= reported + 40 and verify(found) == []
    assert sorted(int(path[:-4]) for path in found.paths) == list(range(len(found)))
    np.testing.assert_array_equal(found.features()[:, 7], [float(path[:-4]) for path in found.paths])
    again = Atlas.create(tmp_path / "a", model(features=512))
    assert sum(sizes(again)) in (len(found), len(found) + 40), "what was stored, and perhaps what was not indexed yet"


def test_killed_between_the_copy_of_small_shards_and_the_index(tmp_path, monkeypatch):
    """What lies in the small shards and once more in their copy does not stay there twice."""
    made = Atlas.create(tmp_path / "a", model(features=2))

    def append(names):
        table = pd.DataFrame({"path": names, "identity": "", "split": "", "dataset": ""})
        contents = pd.DataFrame({"stamp": names, "sha256": names})
        made.append(Manifest(table), np.zeros((len(names), 2), np.float32), contents)

    append(["1", "2", "3"])
    append(["4"])
    assert sizes(made) == [3, 1]
    monkeypatch.setattr("lcmem.store.Store.record", lambda *args: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        append(["5"])
    monkeypatch.undo()
    assert sizes(Atlas.open(tmp_path / "a")) == [3, 1, 1, 2] and len(Atlas.open(tmp_path / "a")) == 4
    made = Atlas.create(tmp_path / "a", model(features=2))
    assert sizes(made) == [3, 1, 1], "5 was stored, though not indexed yet"
    append(["5"])
    assert len(made) == 5 == sum(sizes(made)) and verify(made) == []


def test_interrupted_extraction_goes_on(tmp_path, orl, compact, monkeypatch):
    manifest = orl.rows(range(24))
    reference = extract_features(manifest, compact, None).features
    original = compact.stream

    def interrupted(paths, **options):
        for count, item in enumerate(original(paths, batch_size=8, workers=0)):
            if count == 4:  # after 1, 2, 4 and 8 pictures
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(compact, "stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_features(manifest, compact, open_features(tmp_path / "features", compact))
    with pytest.raises(KeyboardInterrupt):
        fill_atlas(manifest, compact, Atlas.create(tmp_path / "atlas", compact))
    monkeypatch.undo()
    assert fill_atlas(manifest, compact, Atlas.create(tmp_path / "atlas", compact)).encoded == 9
    rest = extract_features(manifest, compact, open_features(tmp_path / "features", compact))
    assert rest.encoded == 9, "the 15 pictures that were finished are not encoded again"
    torch.testing.assert_close(rest.features, reference, atol=1e-5, rtol=0)


def test_filling_encodes_each_content_once_and_follows_the_manifest(tmp_path, orl, compact, save_noise):
    paths = [str(save_noise(f"{k}.png")) for k in range(4)]
    shutil.copy(paths[0], tmp_path / "twin.png")
    (tmp_path / "broken.png").write_text("no picture")
    every = [*paths, str(tmp_path / "twin.png"), str(tmp_path / "broken.png"), str(tmp_path / "gone.png")]
    made = Atlas.create(tmp_path / "atlas", compact)
    first = fill_atlas(pictures(every, "ann"), compact, made, workers=0)
    assert first.encoded == 4 and first.stored.tolist() == [0, 1, 2, 3, 4]
    assert [path for path, _ in first.skipped] == every[5:]
    assert "broken.png" in first.skipped[0][1] and "no such file" in first.skipped[1][1]
    again = fill_atlas(pictures(every[1:5], "bob"), compact, made, workers=0, keep_missing=True)
    assert again.encoded == 0 and len(made) == 5
    assert made.table.set_index("path").loc[every[:5], "identity"].tolist() == ["ann"] + ["bob"] * 4
    before = (made.folder / "index.parquet").stat()
    fill_atlas(pictures(every[1:5], "bob"), compact, made, workers=0, keep_missing=True)
    assert (made.folder / "index.parquet").stat() == before, "what is the same is not written again"
    at = np.array([made.paths.tolist().index(path) for path in every[:5]])
    torch.testing.assert_close(torch.from_numpy(made.features(at)), compact.features(every[:5]), atol=1e-5, rtol=0)


def test_an_atlas_is_what_the_folder_is(tmp_path, compact, save_noise):
    """Removed people are gone; moved and renamed pictures are moved, not doubled, and nothing is encoded again."""
    root = tmp_path / "set"
    for name in ("ann/1", "ann/2", "bob/1", "cara/1"):
        save_noise(f"set/{name}.png")
    made = Atlas.create(tmp_path / "atlas", compact)
    fill_atlas(Manifest.read(root), compact, made, workers=0)
    shutil.rmtree(root / "bob")
    shutil.move(root / "cara", root / "carla")
    save_noise("set/dora/1.png")
    done = fill_atlas(Manifest.read(root), compact, made, workers=0)
    assert (done.encoded, done.moved, done.removed) == (1, 1, 1)
    assert sorted(set(made.identities)) == ["ann", "carla", "dora"] and len(made) == 4
    shutil.move(root, tmp_path / "elsewhere")
    done = fill_atlas(Manifest.read(tmp_path / "elsewhere"), compact, made, workers=0)
    assert (done.encoded, done.moved, done.removed) == (0, 4, 0)
    found = Atlas.open(made.folder)
    assert verify(found) == [] and sorted(found.paths) == sorted(Manifest.read(tmp_path / "elsewhere").paths)
    expected = compact.features(list(found.paths))
    torch.testing.assert_close(torch.from_numpy(found.features()), expected, atol=1e-5, rtol=0)
    shutil.rmtree(tmp_path / "elsewhere")
    with pytest.raises(LCMemError, match="none of the 4 pictures can be used"):
        fill_atlas(found.manifest, compact, made, workers=0)
    assert len(Atlas.open(made.folder)) == 4, "a disk that is not there empties no atlas"


def test_opening_reads_no_features(stored, monkeypatch):
    monkeypatch.setattr(shards_module, "np", None)
    assert len(Atlas.open(stored.folder)) == 10


def test_card_of_a_detector(compact):
    card = feature_card(compact)
    assert (card.about["model"], card.shape, card.dtype) == ("compact", (512,), "float32")
    assert card.maker == {"fingerprint": compact.fingerprint}
