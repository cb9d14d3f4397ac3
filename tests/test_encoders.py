"""Claims: encoders are deterministic, bounded by their card, and load from local folders in the hub's layout."""

import json

import diffusers
import pytest
import torch

from lcmem.encoders import CompactAutoencoder, load_encoder, save_compact
from lcmem.encoders.base import psnr
from lcmem.errors import CheckpointError, LCMemError

BLOCKS = {
    "AutoencoderKL": {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": 4,
    },
    "AutoencoderTiny": {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "num_encoder_blocks": (1, 1),
        "num_decoder_blocks": (1, 1),
    },
}


@pytest.fixture(params=list(BLOCKS))
def hub_folder(request, tmp_path):
    torch.manual_seed(0)
    getattr(diffusers, request.param)(**BLOCKS[request.param]).save_pretrained(tmp_path / "ae")
    return tmp_path / "ae"


def test_diffusers_autoencoder_from_a_local_folder(hub_folder):
    encoder = load_encoder(hub_folder)
    pictures = torch.rand(3, 3, 32, 32)
    latents = encoder.encode(pictures)
    side = 32 // encoder.card.downsample
    assert latents.shape == (3, encoder.card.channels, side, side)
    assert torch.equal(latents, encoder.encode(pictures)), "the mode, never a sample"
    round_trip = encoder.decode(latents)
    assert round_trip.shape == pictures.shape and 0 <= round_trip.min() and round_trip.max() <= 1
    torch.testing.assert_close(encoder.encode(pictures[1:2]), latents[1:2], atol=1e-5, rtol=0)


def test_diffusers_encoder_is_given_minus_one_to_one(tmp_path):
    torch.manual_seed(0)
    original = diffusers.AutoencoderKL(**BLOCKS["AutoencoderKL"]).eval()
    original.save_pretrained(tmp_path / "pipeline" / "vae")
    pictures = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = original.encode(pictures * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(load_encoder(tmp_path / "pipeline").encode(pictures), expected, atol=1e-5, rtol=1e-5)


def test_nothing_touches_the_network_unless_asked(monkeypatch):
    import socket

    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host) or [])
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", None, raising=False)  # fetched only once
    with pytest.raises(CheckpointError, match="--download"):
        load_encoder("sd-vae")
    assert not asked


def test_wrong_hub_folders(tmp_path):
    with pytest.raises(CheckpointError, match="no diffusers config"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(CheckpointError, match="UNet2DModel"):
        load_encoder(tmp_path)


def test_compact_autoencoder_comes_back_as_its_card_says(tmp_path):
    torch.manual_seed(0)
    save_compact(tmp_path / "ae", CompactAutoencoder((8, 8), (1, 1)), {"name": "mine", "licence": "CC0"})
    encoder = load_encoder(tmp_path / "ae")
    again = load_encoder(tmp_path / "ae")
    assert encoder.card == again.card and encoder.card.name == "mine" and len(encoder.card.sha256) == 64
    pictures = torch.rand(2, 3, 64, 40)
    assert torch.equal(encoder.encode(pictures), again.encode(pictures))
    assert encoder.encode(pictures).shape == (2, 4, 8, 5)


def test_altered_card_is_refused(tmp_path):
    save_compact(tmp_path / "ae", CompactAutoencoder((8, 8), (1, 1)), {"name": "mine", "licence": "CC0"})
    card = json.loads((tmp_path / "ae" / "card.json").read_text())
    (tmp_path / "ae" / "card.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="not those of the card"):
        load_encoder(tmp_path / "ae")


def test_bundled_autoencoder_keeps_real_faces(faces):
    from lcmem.pictures.image import load_picture

    encoder = load_encoder()
    pictures = torch.stack([torch.from_numpy(load_picture(faces / f"s{k}" / "1.pgm", 256)) for k in range(1, 9)])
    assert psnr(encoder.round_trip(pictures), pictures).mean() > 26


def test_a_device_that_is_not_here():
    with pytest.raises(LCMemError, match="device 'tpux' cannot be used here"):
        load_encoder(device="tpux")
