"""Claims: a detector goes to a model hub's layout and back; nothing is downloaded unless asked."""

import json
import shutil

import pytest
import torch

import lcmem
from lcmem.errors import CheckpointError


@pytest.fixture(scope="module")
def saved(compact, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    (folder / "README.md").write_text("# Mine\n")
    assert compact.save_pretrained(folder) == folder
    return folder


@pytest.fixture(scope="module")
def cache(saved, tmp_path_factory):
    """The hub's cache after a download of two revisions, which differ in the name that is in the card."""
    root = tmp_path_factory.mktemp("cache")
    repo = root / "models--me--mine"
    for reference, commit in (("main", "1" * 40), ("v1", "2" * 40)):
        shutil.copytree(saved, repo / "snapshots" / commit)
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / reference).write_text(commit)
        config = repo / "snapshots" / commit / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"name": reference}))
    return root


def test_what_is_saved_is_loaded_again_and_nothing_else_is_touched(saved, compact, faces):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    pictures = [faces / "s1" / "1.pgm", faces / "s2" / "1.pgm"]
    for again in (lcmem.LCMem.from_pretrained(saved), lcmem.load_detector(str(saved))):
        assert again.card == compact.card and again.fingerprint == compact.fingerprint
        torch.testing.assert_close(again.features(pictures), compact.features(pictures), atol=0, rtol=0)


def test_a_repository_comes_from_the_cache_by_its_revision(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert lcmem.LCMem.from_pretrained("me/mine").name == "main"
    assert lcmem.LCMem.from_pretrained("me/mine", revision="v1").name == "v1"


def test_nothing_is_downloaded_unless_asked(cache, saved, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("socket.socket.connect", None)
    for name, revision in (("me/other", None), ("me/mine", "v2")):
        with pytest.raises(CheckpointError, match=f"{name}: .*allow_download=True"):
            lcmem.LCMem.from_pretrained(name, revision=revision)
    with pytest.raises(CheckpointError, match="a revision is one of a repository"):
        lcmem.LCMem.from_pretrained(saved, revision="v1")
