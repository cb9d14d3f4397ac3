"""Claims: an installed package brings detectors, encoders and data sets by name; one that is broken is named."""

import subprocess
import sys
import zipfile

import pytest
import torch

import lcmem
from commands import lcmem as lcmem_command
from lcmem.datasets import read_dataset
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest

CODE = """
from pathlib import Path
import torch.nn.functional as F
from lcmem.datasets.layout import DatasetInfo
from lcmem.detectors.pixel import NCC
from lcmem.encoders import EncoderCard, LatentEncoder
from lcmem.pictures.manifest import Manifest

class Grey(NCC):
    def __init__(self, options):
        self.name = f"grey on {options.device}"

class Halves(LatentEncoder):
    def __init__(self, allow_download):
        super().__init__()
        self.card = EncoderCard("halves", "here", "0" * 64, "MIT", channels=3, downsample=2)
    def encode(self, pictures):
        return F.avg_pool2d(pictures, 2)
    def decode(self, latents):
        return F.interpolate(latents, scale_factor=2)

def read(root: Path):
    return Manifest.read(root / "xrays")

HOSPITAL = DatasetInfo("my-hospital", read, "xrays/PATIENT/*.png", "patient", "none", "ours", "https://example.org")
"""
POINTS = """
[lcmem.detectors]
my-grey = tiny_plugin:Grey
compact = tiny_plugin:Grey
wrong = pathlib:Path
gone = no.such:thing
[lcmem.encoders]
my-halves = tiny_plugin:Halves
odd = tiny_plugin:Grey
[lcmem.datasets]
my-hospital = tiny_plugin:HOSPITAL
celeba = tiny_plugin:HOSPITAL
lost = no.such:thing
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that pip installed a small package into."""
    folder = tmp_path_factory.mktemp("plugin")
    wheel, info = folder / "tiny_plugin-1.0-py3-none-any.whl", "tiny_plugin-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_plugin.py", CODE)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", POINTS)
        archive.writestr(f"{info}/RECORD", "")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", folder / "site"]
    subprocess.run([*pip, wheel], check=True)
    return folder / "site"


@pytest.fixture(autouse=True)
def with_plugin(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))


def test_detectors(save_noise):
    detector = lcmem.load_detector("my-grey")
    a, b = save_noise("a.png"), save_noise("b.png")
    assert detector.name == "grey on cpu" and detector.score(a, a) > 0.99 > detector.score(a, b)
    listed = lcmem_command("detectors").stdout
    assert "my-grey: tiny-plugin, tiny_plugin:Grey" in listed and "compact: tiny-plugin" not in listed
    for name in ("wrong", "gone"):
        with pytest.raises(LCMemError, match=f"{name}: .* cannot be loaded"):
            lcmem.load_detector(name)


def test_encoders(save_noise, tmp_path):
    encoder = lcmem.load_encoder("my-halves")
    assert encoder.encode(torch.rand(2, 3, 8, 8)).shape == (2, 3, 4, 4)
    assert encoder.card.source == "my-halves", "where a checkpoint that was trained on its latents finds it again"
    save_noise("set/a.png")
    done = lcmem_command(
        "encode", tmp_path / "set", "--encoder", "my-halves", "--size", 32, "--out", tmp_path / "latents"
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(LCMemError, match="odd: tiny_plugin:Grey cannot be loaded"):
        lcmem.load_encoder("odd")


def test_datasets(save_noise, tmp_path):
    save_noise("set/xrays/p1/1.png"), save_noise("set/xrays/p2/1.png")
    assert read_dataset("my-hospital", tmp_path / "set").table["identity"].tolist() == ["p1", "p2"]
    done = lcmem_command("manifest", tmp_path / "set", "--layout", "my-hospital", "--out", tmp_path / "m.csv")
    assert done.returncode == 0 and len(Manifest.read(tmp_path / "m.csv")) == 2
    listed = lcmem_command("datasets")
    assert "my-hospital: https://example.org" in listed.stdout and listed.stdout.count("celeba: https") == 1
    assert "lost: no.such:thing cannot be loaded" in listed.stderr and listed.returncode == 0
    with pytest.raises(LCMemError, match=r"known: celeba.*my-hospital"):
        read_dataset("elsewhere", tmp_path)
