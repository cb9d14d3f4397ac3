"""Claims: recipes are typed, unknown keys are errors with a way out, and the presets are what the paper says."""

import pytest
import timm
import torch
import torchvision

from lcmem.errors import LCMemError
from lcmem.model import SiameseNetwork
from lcmem.training.presets import PAPER, PRESETS, load_recipe
from lcmem.training.recipe import AutoencoderRecipe, Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_their_file(name, tmp_path):
    recipe = load_recipe(name)
    recipe.write(tmp_path / "recipe.toml")
    if isinstance(recipe, Recipe):
        assert load_recipe(str(tmp_path / "recipe.toml")) == recipe
    else:
        assert type(recipe).model_validate(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stage1.learning_rate=1", "unknown key stage1.learning_rate"),
        ("stage1.epoch=3", "did you mean stage1.epochs"),
        ("sise=64", "unknown key sise"),
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


@pytest.mark.parametrize(
    ("content", "message"),
    [("size = ", "not a TOML file"), ("sise = 3", "unknown key sise"), ('base = "nothing"', "neither a recipe file")],
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
