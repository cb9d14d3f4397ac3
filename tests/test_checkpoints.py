"""Claim: a checkpoint that is truncated, altered, foreign or of another model is refused with a clear error."""

import json
import shutil

import pytest
import torch

import lcmem
from lcmem.checkpoints import BUNDLED
from lcmem.errors import CheckpointError


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(BUNDLED / "compact", tmp_path / "mine")


def test_a_copied_folder_is_the_same_model(folder, bundled):
    assert lcmem.load(folder).fingerprint == bundled.fingerprint


def test_save_and_load(tmp_path, compact):
    again = lcmem.load(compact.save(tmp_path / "again"))
    assert again.fingerprint == compact.fingerprint
    assert again.card == compact.card
    assert not (tmp_path / "again.partial").exists()


def test_an_earlier_checkpoint_is_replaced_and_its_notes_stay(folder, compact):
    (folder / "notes.txt").write_text("mine")
    (folder / "model.safetensors").write_bytes(b"")
    assert lcmem.load(compact.save(folder)).fingerprint == compact.fingerprint
    assert (folder / "notes.txt").read_text() == "mine"
    compact.save_pretrained(folder.parent / "hub")
    assert lcmem.load(compact.save_pretrained(folder.parent / "hub")).fingerprint == compact.fingerprint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thesis.txt", "years of work"),
        ("model.safetensors", "of somebody else"),
        ("config.json", '{"model_type": "bert"}'),
        ("card.json", '{"kind": "autoencoder"}'),
        ("card.json", "{"),
    ],
)
@pytest.mark.parametrize("save", ["save", "save_pretrained"])
def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(tmp_path, compact, save, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=f"holds other files .*{name}.*; choose a new or an empty folder"):
        getattr(compact, save)(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, text)]
    with pytest.raises(CheckpointError, match="a file, but a checkpoint is a folder"):
        getattr(compact, save)(tmp_path / name)


def test_one_folder_has_one_layout(folder, compact):
    """Of two cards the older could be read with the newer weights."""
    with pytest.raises(CheckpointError, match=r"not a detector that was saved with config\.json"):
        compact.save_pretrained(folder)
    hub = compact.save_pretrained(folder.parent / "hub")
    with pytest.raises(CheckpointError, match=r"not a detector that was saved with card\.json"):
        compact.save(hub)


def test_unknown_name():
    with pytest.raises(CheckpointError, match="bundled ones: compact"):
        lcmem.load("no-such-model")


def test_a_detector_that_is_no_checkpoint_is_loaded_otherwise():
    for name in ("phash", "sscd=weights.pt"):
        with pytest.raises(CheckpointError, match=rf"{name}.*lcmem\.load_detector take"):
            lcmem.load(name)


@pytest.mark.parametrize(("name", "value"), [("size", "x"), ("network", {"features": "many"}), ("encoder", "x")])
def test_a_card_that_describes_no_detector(folder, name, value):
    card = json.loads((folder / "card.json").read_text())
    value = card[name] | value if isinstance(value, dict) else value
    (folder / "card.json").write_text(json.dumps(card | {name: value}))
    with pytest.raises(CheckpointError, match="its card describes nothing that can be built"):
        lcmem.load(folder)


def test_a_card_that_says_too_little(folder):
    (folder / "card.json").write_text('{"kind": "detector", "name": "x"}')
    with pytest.raises(CheckpointError, match=r"card\.json: damaged \(it does not say network, sha256,"):
        lcmem.load(folder)


def test_truncated_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        lcmem.load(folder)


def test_missing_parts(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        lcmem.load(folder)
    (folder / "card.json").unlink()
    with pytest.raises(CheckpointError, match=r"card\.json is missing"):
        lcmem.load(folder)


def test_damaged_card(folder):
    (folder / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        lcmem.load(folder)


def test_another_kind_of_checkpoint():
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind 'detector'"):
        lcmem.load(BUNDLED / "compact-autoencoder")


def edit_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


def test_weights_of_another_network(folder):
    card = json.loads((folder / "card.json").read_text())
    edit_card(folder, network=card["network"] | {"features": 256, "parts": [128, 128]})
    with pytest.raises(CheckpointError, match="weights of another model"):
        lcmem.load(folder)


def test_weights_that_are_not_the_card_s(folder):
    edit_card(folder, sha256="0" * 64)
    with pytest.raises(CheckpointError, match="not those of its card"):
        lcmem.load(folder)


def test_another_encoder(folder, tmp_path):
    from lcmem.encoders import CompactAutoencoder, save_compact

    torch.manual_seed(0)
    save_compact(tmp_path / "ae", CompactAutoencoder(), {"name": "other", "licence": "CC0"})
    with pytest.raises(CheckpointError, match="latents of another encoder"):
        lcmem.load(folder, encoder=tmp_path / "ae")
