"""Claims: recipes are typed, unknown keys are errors with a way out, and the presets are what the paper says."""

import pytest
import timm
import torch
import torchvision

from lcmem.errors import LCMemError
from lcmem.model import SiameseNetwork
from lcmem.training.presets import PRESETS, load_recipe
from lcmem.training.recipe import AutoencoderRecipe
from lcmem.training.start import precision_for

PAPER = load_recipe("paper")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_their_file(name, tmp_path):
    recipe = load_recipe(name)
    recipe.write(tmp_path / "recipe.toml")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stage1.learning_rate=1", "unknown key stage1.learning_rate"),
        ("stage1.epoch=3", "did you mean stage1.epochs"),
        ("sise=64", "unknown key sise"),
        ("seed=-1", "seed: .*greater than or equal to 0"),
        ("seed=5000000000", "seed: .*less than 4294967296"),
        ("stage1.lr=inf", "stage1.lr: .*finite"),
        ("stage1.weight_decay=inf", "stage1.weight_decay: .*finite"),
        ("stage2.pixels.degree=4", "unknown key stage2.pixels.degree"),
        ("stage1.epochs=many", "stage1.epochs"),
        ("stage1.epochs=0", "stage1.epochs"),
        ("stage1.bce_weight=1.5", "stage1.bce_weight"),
        ("stage1.temperature=0", "stage1.temperature"),
        ("network.head=cosine", "network.head"),
        ("normalise=mine", "normalise"),
        ("stage1", "expected key=value"),
        ("start_from=compact", "exclude each other"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(LCMemError, match=message):
        PAPER.with_settings([setting])


def test_settings_reach_inside_and_leave_parts_out():
    changed = PAPER.with_settings(
        ["stage1.lr=1e-3", "stage2=none", "encoder=some/folder", "network.options.drop_path_rate=0.2"]
    )
    assert changed.stage1.lr == 1e-3 and changed.stage2 is None and changed.encoder == "some/folder"
    assert changed.network.options == {"drop_path_rate": 0.2}
    assert PAPER.stage1.lr == 5e-4, "the preset itself is as before"
    assert load_recipe("autoencoder").with_settings(["steps=7"]).steps == 7


def test_recipe_file_with_a_base(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "paper"\nsize = 256\n[stage1]\nepochs = 3\n')
    recipe = load_recipe(str(path))
    assert (recipe.size, recipe.stage1.epochs, recipe.stage1.lr) == (256, 3, 5e-4)
    path.write_text('base = "autoencoder"\nsteps = 5\n')
    assert isinstance(load_recipe(str(path)), AutoencoderRecipe)


def test_a_recipe_file_leaves_parts_out_and_lies_beside_its_base(tmp_path):
    (tmp_path / "first.toml").write_text('base = "compact-latent"\nstage2 = "none"\n[network]\noptions = "none"\n')
    (tmp_path / "second.toml").write_text('base = "first.toml"\nstart_from = "there"\n')
    recipe = load_recipe(str(tmp_path / "second.toml"))
    assert recipe.stage2 is None and recipe.network.options == {} and recipe.start_from == "there"
    assert recipe.with_settings(["start_from=none"]).start_from == ""


def test_every_preset_says_what_it_is():
    assert all(len(text) > 15 and "=" not in text for text in PRESETS.values())


def test_what_the_official_code_does_otherwise():
    code, paper = load_recipe("paper-official-code"), PAPER
    assert (code.encoder_range, code.latents, code.normalise, code.validation_negatives) == (
        "unit",
        "sample",
        "dataset",
        "first",
    )
    assert {stage.schedule for stage in code.stages} == {"constant"} and code.stage2.pixels.gain == 1
    assert {stage.schedule for stage in paper.stages} == {"cosine"} and paper.normalise == "mix"


@pytest.mark.parametrize(
    ("device", "instructions", "expected"),
    [("cpu", True, "bf16-mixed"), ("cpu", False, "32-true"), ("mps", True, "32-true")],
)
def test_auto_precision(monkeypatch, device, instructions, expected):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: instructions, raising=False)
    assert precision_for("auto", device) == expected
    assert precision_for("16-mixed", device) == "16-mixed"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "16-mixed"), ((8, 0), "bf16-mixed")])
def test_auto_precision_on_cuda(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision_for("auto", "cuda") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("size = ", "not a TOML file"),
        ("sise = 3", "unknown key sise"),
        ('base = "nothing"', "neither a recipe file"),
        ('base = "mine.toml"', "is its own base"),
        ('kind = "model"', "kind is 'model', expected detector or autoencoder"),
        ('base = "paper"\nstage2.epoch = 3', "did you mean stage2.epochs"),
    ],
)
def test_bad_recipe_files(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(LCMemError, match=message):
        load_recipe(str(path))


def test_paper_preset_is_the_papers():
    """Appendix B, sections 3.1 and 4."""
    one, two = PAPER.stages
    assert (PAPER.encoder, PAPER.size, PAPER.network.backbone, PAPER.network.features) == (
        "sd-vae",
        512,
        "convnext_tiny",
        512,
    )
    assert (one.epochs, one.batch_size, one.lr, one.patience, one.pixels) == (100, 512, 5e-4, 10, None)
    assert (two.epochs, two.batch_size, two.lr, two.patience) == (20, 64, 8e-5, 5)
    assert {stage.bce_weight for stage in PAPER.stages} == {0.8}
    assert {stage.temperature for stage in PAPER.stages} == {0.07}
    assert {load_recipe(name).network.head for name in PRESETS if name.startswith(("paper", "ablation"))} == {"linear"}
    assert two.edit_both and two.copies == 0 and two.edited == 1, "both pictures of every pair"
    assert two.pixels.degrees == 20 and two.pixels.quality == (10, 95) and two.pixels.gain > 1


def test_table_4_has_a_recipe_for_each_row():
    rows = [load_recipe(name) for name in PRESETS if name.startswith("ablation-")]
    assert len(rows) == 10
    assert [row.network.backbone for row in rows] == ["resnet101"] * 2 + ["convnext_tiny"] * 8
    assert [row.encoder for row in rows] == ["pixels"] + ["sd-vae"] * 9
    assert [row.stage1.bce_weight for row in rows] == [1, 1, 1, 1, 1, 1, 0.8, 0.5, 0.8, 0.8]
    assert [row.stage2 is not None for row in rows] == [False] * 9 + [True]
    assert [row.stage1.samplewise > 0 for row in rows] == [False] * 3 + [True, True, False, False, False, True, True]
    assert [row.stage1.latent.noise_sigma > 0 for row in rows] == [False] * 3 + [True] * 3 + [False] * 4
    assert len({str(row.to_dict()) for row in rows}) == 10, "no two rows are alike"
    assert rows[8:] == [load_recipe("paper-single-stage"), load_recipe("paper")]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_paper_network_has_the_papers_size():
    """ConvNeXt-Tiny with 4 input channels and 512 features, counted on torchvision's own."""
    independent = torchvision.models.convnext_tiny(num_classes=512)
    independent.features[0][0] = torch.nn.Conv2d(4, 96, 4, 4)
    network = SiameseNetwork(PAPER.network.settings(channels=4))
    assert count(network.backbone) == count(independent)
    assert count(network.head) == 512 + 1
    latents = torch.randn(2, 4, 64, 64)
    assert network.eval()(latents).shape == (2, 512)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "autoencoder"])
def test_backbones_exist(name):
    assert timm.is_model(load_recipe(name).network.backbone)
