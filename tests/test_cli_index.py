"""Claims: index, search, duplicates and atlas do what they print."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

import lcmem
from commands import lcmem as lcmem_command
from lcmem.atlas import Atlas
from lcmem.matching.feature_set import FeatureSet

pytestmark = pytest.mark.usefixtures("encoded_once")


def run(*arguments, code=0):
    done = lcmem_command(*arguments)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(faces, tmp_path_factory):
    """Pictures 1 to 3 of five people, and a file that is none."""
    root = tmp_path_factory.mktemp("pictures")
    for person in range(1, 6):
        (root / f"s{person}").mkdir()
        for number in (1, 2, 3):
            shutil.copy(faces / f"s{person}" / f"{number}.pgm", root / f"s{person}")
    (root / "s1" / "broken.png").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def atlas(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("atlas") / "faces"
    printed = run("index", folder, "--out", out, "--workers", 0)
    assert "15 pictures encoded at" in printed and "0 reused, 1 skipped" in printed and "broken.png" in printed
    assert pd.read_csv(out / "skipped.csv")["path"].str.endswith("broken.png").tolist() == [True]
    assert "(15 pictures)" in printed
    return out


def test_index_again_encodes_only_what_is_new(folder, atlas, faces, tmp_path):
    copy = tmp_path / "atlas"
    shutil.copytree(atlas, copy)
    written = (copy / "skipped.csv").stat().st_mtime_ns
    assert "0 pictures encoded, 15 reused, 1 skipped" in run("index", folder, "--out", copy, "--workers", 0)
    assert (copy / "skipped.csv").stat().st_mtime_ns == written, "it says so already"
    more = tmp_path / "more"
    shutil.copytree(faces / "s9", more)
    assert "10 pictures encoded" in run("index", more, "--out", copy, "--workers", 0, "--keep-missing")
    assert len(Atlas.open(copy)) == 25
    printed = run("index", folder, "--out", copy, "--workers", 0)
    assert "0 pictures encoded, 15 reused" in printed and "0 moved or renamed, 10 removed" in printed
    assert len(Atlas.open(copy)) == 15


def test_without_ray_its_option_says_what_to_install(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in (("index", folder), ("scan", folder)):
        assert "pip install 'lcmem[ray]'" in run(*command, "--out", tmp_path / command[0], "--ray", 2, code=1)


def test_search_finds_the_picture_itself_then_the_person(folder, atlas, bundled):
    picture = str(folder / "s3" / "2.pgm")
    found = json.loads(run("search", atlas, picture, folder / "s5" / "1.pgm", "--top-k", 4, "--json"))
    assert [item["picture"] for item in found] == [picture, str(folder / "s5" / "1.pgm")]
    best = found[0]["matches"]
    assert best[0] == {
        "path": picture,
        "identity": "s3",
        "logit": best[0]["logit"],
        "probability": pytest.approx(0.95, abs=0.05),
    }
    assert best[0]["logit"] == pytest.approx(float(bundled.bias), abs=1e-4) and len(best) == 4
    for match in best:
        assert match["logit"] == pytest.approx(bundled.score(picture, match["path"]), abs=1e-4)
        assert match["probability"] == pytest.approx(1 / (1 + np.exp(-match["logit"])))
    assert [match["logit"] for match in best] == sorted((match["logit"] for match in best), reverse=True)
    printed = run("search", atlas, picture)
    assert printed.startswith(picture) and printed.count("logit") == 5 and f"{picture}  (s3)" in printed


def test_search_refuses_what_cannot_be(folder, atlas, tmp_path):
    assert "broken.png" in run("search", atlas, folder / "s1" / "broken.png", code=1)
    assert "not an atlas" in run("search", folder, folder / "s3" / "2.pgm", code=1)


def test_an_atlas_is_read_where_it_lies(atlas, faces, tmp_path, bundled, monkeypatch):
    """Nothing copies all its features, nor search its table: of a million pictures that would be gigabytes."""
    copy = tmp_path / "atlas"
    shutil.copytree(atlas, copy)
    run("index", faces / "s9", "--out", copy, "--workers", 0, "--keep-missing")
    assert Atlas.open(copy).store.shards.numbers() == [0, 1]

    def refuse(*_):
        pytest.fail("copied as a whole")

    monkeypatch.setattr(Atlas, "features", refuse)
    monkeypatch.setattr(FeatureSet, "features", property(refuse))
    with monkeypatch.context() as patch:
        patch.setattr(Atlas, "table", property(refuse))
        found = json.loads(run("search", copy, faces / "s9" / "7.pgm", "--json"))
        assert found[0]["matches"][0]["path"] == str(faces / "s9" / "7.pgm") and len(found[0]["matches"]) == 5
    assert "25 of 25 pictures" in run("duplicates", copy, "--threshold", 0, "--out", tmp_path / "groups.csv")
    result = lcmem.audit(copy, copy, model=bundled)
    assert (result.to_frame()["path"] == result.to_frame()["real"]).all() and len(result.to_frame()) == 25
    assert (result.to_frame()["logit"] == float(bundled.bias)).all()


def test_duplicates_that_are_links_are_marked(folder, tmp_path):
    twice = tmp_path / "twice"
    shutil.copytree(folder, twice)
    shutil.copy(twice / "s2" / "1.pgm", twice / "s4" / "copy.pgm")
    (twice / "s5" / "link.pgm").symlink_to(twice / "s3" / "1.pgm")
    run("duplicates", twice, "--threshold", 0.94, "--out", tmp_path / "groups.csv", "--workers", 0)
    found = pd.read_csv(tmp_path / "groups.csv", keep_default_na=False).set_index("path")["link_to"]
    assert found[f"{twice}/s4/copy.pgm"] == found[f"{twice}/s2/1.pgm"] == ""
    assert {found[f"{twice}/s5/link.pgm"], found[f"{twice}/s3/1.pgm"]} in (
        {"", f"{twice}/s3/1.pgm"},
        {"", f"{twice}/s5/link.pgm"},
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_duplicates_of_pictures_and_of_an_atlas_are_the_same(folder, atlas, tmp_path, suffix):
    twice = tmp_path / "twice"
    shutil.copytree(folder, twice)
    shutil.copy(folder / "s2" / "1.pgm", twice / "s4" / "copy.pgm")
    out = tmp_path / f"groups{suffix}"
    printed = run("duplicates", twice, "--threshold", 0.94, "--out", out, "--workers", 0)
    found = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert list(found) == ["group", "path", "identity", "best_logit", "link_to"]
    first = found[found["group"] == 1]
    assert {"s2", "s4"} <= set(first["identity"]) and "different identities" in printed
    assert f"{len(found)} of 16 pictures in {found['group'].nunique()} groups" in printed
    run("index", twice, "--out", tmp_path / "atlas", "--workers", 0)
    run("duplicates", tmp_path / "atlas", "--threshold", 0.94, "--out", out)
    again = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(
        again.drop(columns="group").sort_values("path", ignore_index=True),
        found.drop(columns="group").sort_values("path", ignore_index=True),
        atol=1e-4,
    )


def test_identities_of_an_atlas_are_its_own(atlas, tmp_path):
    line = ["duplicates", atlas, "--out", tmp_path / "d.csv"]
    assert "give these options to lcmem index" in run(*line, "--no-identities", code=1)
    assert "a probability" in run(*line, "--threshold", 3, code=1)


def test_verify_merge_and_remove(folder, atlas, faces, tmp_path):
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(atlas, copy)
    assert "15 pictures in 1 shards, model compact: nothing is wrong" in run("atlas", "verify", copy, "--pictures")
    told = json.loads(run("atlas", "info", copy, "--json"))
    assert (told["pictures"], told["identities"], told["features"], told["model"]) == (15, 5, 512, "compact")
    assert sum(told["datasets"].values()) == 15 and told["bytes"] > 15 * 512 * 4
    assert "15 pictures (15 contents), 5 identities" in run("atlas", "info", copy)
    run("index", faces / "s9", "--out", other, "--workers", 0)
    assert "25 pictures" in run("atlas", "merge", copy, other)
    assert "3 removed, 22 left" in run("atlas", "remove", copy, folder / "s2")
    assert "1 removed, 21 left" in run("atlas", "remove", copy, folder / "s1" / "1.pgm")
    assert "holds none of" in run("atlas", "remove", copy, folder / "s2", code=1)
    both = "atlas", "remove", copy, folder / "s3", folder / "s2"
    assert f"holds none of {folder / 's2'}; nothing was removed" in run(*both, code=1)
    shard = next(copy.rglob("*.rows"))
    shard.write_bytes(shard.read_bytes()[:5000])
    assert f"{shard}: damaged" in run("atlas", "verify", copy, code=1)


def test_export(atlas, bundled, tmp_path):
    printed = run("atlas", "export", atlas, "--out", tmp_path / "out")
    assert f"15 pictures: {tmp_path / 'out'}; logit = {float(bundled.bias):.6f} − distance" in printed
    vectors = np.stack(pd.read_parquet(tmp_path / "out" / "rows.parquet")["vector"])
    np.testing.assert_allclose(vectors, Atlas.open(atlas).features() * bundled.weight.numpy())
