"""Shared fixtures: real faces, a folder of the data pack, a browser."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:  # pytest-xdist waits for this module before it starts its processes, which load all that themselves
    from lcmem.detectors.lcmem import LCMem
    from lcmem.pictures.manifest import Manifest

gc.set_threshold(10_000)  # as commands do: what is imported is no garbage

SLOWEST = (
    "ray",
    "blinding",
    "training",
    "experiment",
    "teachers",
    "detectors",
    "audit",
    "report",
    "resume",
    "bundled_model",
)
"""Files that take longest: they come first, so that no process has much left when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {f"test_{name}": number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session")
def faces() -> Path:
    """ORL faces: folders s1 … s40 with 1.pgm … 10.pgm."""
    from lcmem.jobs.demo import faces_folder

    return faces_folder()


@pytest.fixture(scope="session")
def orl(faces: Path) -> Manifest:
    """The 400 faces, 40 people × 10. (The wheel holds one further picture, which is no photo of the series.)"""
    from lcmem.pictures.manifest import Manifest

    found = Manifest.read(faces)
    return found.rows([k for k, path in enumerate(found.paths) if path.endswith(".pgm")])


@pytest.fixture(scope="session")
def people(orl: Manifest) -> Manifest:
    """The same with splits: 26 people to train on, 6 to validate, 8 to test."""
    from lcmem.pictures.manifest import Manifest

    number = orl.table["identity"].str[1:].astype(int)
    return Manifest(orl.table.assign(split=np.select([number <= 26, number <= 32], ["train", "val"], "test")))


@pytest.fixture(scope="session")
def bundled() -> LCMem:
    """The detector that users have."""
    from lcmem.detectors.lcmem import LCMem

    return LCMem.load("compact")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of the bundled detector without its recogniser of faces: pictures of people take a third of the time."""
    from lcmem.detectors.lcmem import LCMem

    folder, detector = tmp_path_factory.mktemp("weights") / "compact", LCMem.load("compact")
    detector.network.without_faces()
    return str(detector.save(folder))


@pytest.fixture(scope="session")
def compact(weights: str) -> LCMem:
    """For claims that are not about the bundled detector itself."""
    from lcmem.detectors.lcmem import LCMem

    return LCMem.load(weights)


@pytest.fixture(scope="module")
def one_thread():
    """As many as a copy of this process has (:func:`commands.lcmem_killed_at`)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digest_of(picture: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(picture), digest_size=16).digest()


@pytest.fixture(scope="session")
def known_features() -> dict[tuple[tuple[bytes, str, str], bytes], Any]:
    """Of bundled detectors, by what makes features in the network and the picture."""
    return {}


@pytest.fixture(scope="module")
def encoded_once(known_features):
    """Where many audits are of nearly the same pictures: a network encodes each of them once in this process.

    What a picture's features are depends on nothing but it; ``test_loading.py`` and ``test_scores.py`` are about that.
    """
    import torch

    from lcmem.detectors import lcmem as module

    embed, names = module._embed, {}

    def remembered(encoder, network, pictures):
        if network not in names:
            kept = [tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")]
            weights = b"".join(tensor.numpy().tobytes() for tensor in kept)
            settings = str(replace(network.settings, head=""))
            names[network] = hashlib.blake2b(weights).digest(), settings, encoder.card.sha256
        keys = [(names[network], digest_of(picture)) for picture in pictures.numpy()]
        new = [at for at, key in enumerate(keys) if key not in known_features]
        if new or not keys:
            made = embed(encoder, network, pictures[new])
            known_features.update({keys[at]: row for at, row in zip(new, made, strict=True)})
        return torch.stack([known_features[key] for key in keys]) if keys else made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_embed", remembered)
        yield


@pytest.fixture(scope="module")
def looks_once(encoded_once):
    """Besides, the same two pictures are laid over each other once in a file.

    What is found of two thumbnails depends on nothing but them; ``test_looks.py`` is about that.
    """
    from lcmem.matching import looker

    known, correlate = {}, looker.correlate

    def remembered(pictures, real):
        pairs = [(digest_of(one), digest_of(two)) for one, two in zip(pictures, real, strict=True)]
        new = [at for at, pair in enumerate(pairs) if pair not in known]
        found = correlate([pictures[at] for at in new], [real[at] for at in new])
        known.update(zip((pairs[at] for at in new), found, strict=True))
        return np.array([known[pair] for pair in pairs]).reshape(-1, len(looker.PAIRED))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looker, "correlate", remembered)
        yield


class CountingEncoder:
    """The bundled encoder, and how many pictures it was given."""

    def __init__(self) -> None:
        from lcmem.encoders import load_encoder

        self.encoder, self.pictures = load_encoder(), 0
        original = self.encoder.encode

        def encode(batch):
            self.pictures += len(batch)
            return original(batch)

        self.encoder.encode = encode


@pytest.fixture
def counting() -> CountingEncoder:
    return CountingEncoder()


TINY_VAE = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 4,
    "latent_channels": 4,
}
"""Random weights in the layout and with the downsampling of ``sd-vae``."""


@pytest.fixture(scope="session")
def vae(tmp_path_factory):
    """A small ``AutoencoderKL``, as the hub would give it."""
    import diffusers
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hub") / "vae"
    diffusers.AutoencoderKL(**TINY_VAE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder with ``manifest.csv`` and one zip for each dataset that the bundled model is measured on."""
    folder = Path(os.environ.get("LCMEM_DATA", "/nonexistent"))
    if not (folder / "manifest.csv").is_file():
        pytest.skip("LCMEM_DATA names no data pack (a folder with manifest.csv and zip files)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@pytest.fixture(scope="session")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").sync_playwright()
    with playwright as started:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        found = started.chromium.launch(executable_path=chromium, args=flags)
        yield found
        found.close()


def _local(url):
    return url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))


@pytest.fixture
def opened(browser):
    """Open a page; no test may cause a message, a question or a request to another machine."""
    heard, contexts = [], []

    def open_page(path, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: _local(request.url) or heard.append(request.url))
        page.goto(path if isinstance(path, str) else path.as_uri())
        page.wait_for_selector("#cards li")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not heard


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def save_noise(tmp_path: Path, rng: np.random.Generator):
    """Write a random picture under ``tmp_path`` and return its path."""

    def save(name: str, size: tuple[int, int] = (40, 32)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
        return path

    return save
