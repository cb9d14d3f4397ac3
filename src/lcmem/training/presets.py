"""Presets: recipes with a name (paper, appendix B and table 4), and recipe files."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from lcmem.augment import Augmentation, LatentAugmentation
from lcmem.errors import LCMemError
from lcmem.training.recipe import AutoencoderRecipe, Network, Recipe, Stage

AnyRecipe = Recipe | AutoencoderRecipe

COMPACT_NETWORK = Network(
    backbone="convnext_atto",
    options={
        "patch_size": 1,
        "kernel_sizes": 3,
        "conv_mlp": False,
        "dims": [64, 128, 256, 320],
        "depths": [2, 3, 4, 2],
        "drop_path_rate": 0.1,
    },
    unshuffle=2,
)
"""A ConvNeXt for 32×32 latents and a CPU: 3×3 kernels (7×7 depthwise ones are slow there), 5 M parameters."""

COMPACT = Recipe(
    network=COMPACT_NETWORK,
    stage1=Stage(
        epochs=13,
        steps_per_epoch=100,
        batch_size=128,
        chunk=64,
        lr=1e-3,
        bce_weight=0.5,
        mirror=True,
        samplewise=0.2,
        latent=LatentAugmentation(degrees=5, zoom=0.1, shift=0.025, noise_sigma=0.1),
    ),
    stage2=Stage(
        epochs=5,
        steps_per_epoch=100,
        batch_size=64,
        chunk=32,
        lr=3e-4,
        bce_weight=0.5,
        patience=5,
        samplewise=0.2,
        pixels=Augmentation(),
    ),
)


def _changed(recipe: Recipe, **changes: Any) -> Recipe:
    """A copy; a dictionary changes only the named keys of a part. Checked again."""
    values = recipe.model_dump()
    for key, change in changes.items():
        values[key] = {**values[key], **change} if isinstance(change, dict) else change
    return Recipe.model_validate(values)


SMALL = _changed(
    COMPACT,
    stage1={"epochs": 8, "steps_per_epoch": 40, "batch_size": 48, "chunk": 48, "patience": 8},
    stage2={"epochs": 3, "steps_per_epoch": 20, "batch_size": 32, "chunk": 32, "patience": 3},
)

PAPER_AUGMENTATION = Augmentation(min_side=1, max_downscale=1, grey=0)
SINGLES = LatentAugmentation(degrees=5, zoom=0.1, shift=0.025, flip=0.5, noise_sigma=0.1)
"""The paper forms positives of pictures without identity by augmentation; which, in stage 1, it does not say."""

PAPER = Recipe(
    encoder="sd-vae",
    size=512,
    network=Network(backbone="convnext_tiny", pretrained="timm", head="linear"),
    stage1=Stage(epochs=100, batch_size=512, lr=5e-4, patience=10, samplewise=0.05, singles=SINGLES),
    stage2=Stage(
        epochs=20,
        batch_size=64,
        lr=8e-5,
        patience=5,
        samplewise=0.05,
        pixels=PAPER_AUGMENTATION,
        copies=0,
        edited=1,
        edit_both=True,
    ),
)

RESNET = Network(backbone="resnet101", pretrained="timm", head="linear")

SINGLE = _changed(PAPER, stage2=None)
PLAIN = _changed(SINGLE, stage1={"samplewise": 0.0})
BCE_ONLY = _changed(PLAIN, stage1={"bce_weight": 1.0})
BCE_RESNET = _changed(BCE_ONLY, network=RESNET.model_dump())
MILD = LatentAugmentation(noise_sigma=0.1)
NOISE_BLUR = replace(MILD, blur_sigma=1.0)
ALL_LATENT = replace(NOISE_BLUR, degrees=20, flip=0.5)

TASK = Recipe(
    encoder="pixels",
    size=256,
    network=RESNET,
    stage1=Stage(epochs=100, batch_size=32, lr=1e-4, weight_decay=0, bce_weight=1.0, patience=5),
)

PRESETS: dict[str, tuple[str, AnyRecipe]] = {
    "compact": ("the bundled model: a small ConvNeXt for CPUs, both stages", COMPACT),
    "finetune": (
        "the bundled model, adapted to your pictures in minutes",
        _changed(SMALL, start_from="compact", stage1={"lr": 3e-4}, stage2={"lr": 1e-4}),
    ),
    "small": ("the bundled model's network from random weights, in minutes", SMALL),
    "paper": ("the paper's setting: ConvNeXt-Tiny on sd-vae latents, both stages, for GPUs", PAPER),
    "paper-single-stage": ("the paper's single stage (table 2)", SINGLE),
    "ablation-resnet101-pixels": (
        "table 4, row 1: ResNet-101 on pixels, BCE",
        _changed(BCE_RESNET, encoder="pixels"),
    ),
    "ablation-resnet101": ("table 4, row 2: ResNet-101 on latents, BCE", BCE_RESNET),
    "ablation-convnext": ("table 4, row 3: ConvNeXt-Tiny on latents, BCE", BCE_ONLY),
    "ablation-rotate-flip-blur-noise-swn": (
        "table 4, row 4: augmented single stage",
        _changed(BCE_ONLY, stage1={"latent": ALL_LATENT, "samplewise": 0.05}),
    ),
    "ablation-blur-noise-swn": (
        "table 4, row 5: augmented single stage",
        _changed(BCE_ONLY, stage1={"latent": NOISE_BLUR, "samplewise": 0.05}),
    ),
    "ablation-noise": ("table 4, row 6: augmented single stage", _changed(BCE_ONLY, stage1={"latent": MILD})),
    "ablation-weight-0.8": ("table 4, row 7: BCE and NT-Xent, 0.8 on BCE", PLAIN),
    "ablation-weight-0.5": ("table 4, row 8: BCE and NT-Xent alike", _changed(PLAIN, stage1={"bce_weight": 0.5})),
    "ablation-swn": ("table 4, row 9: with sample-wise normalisation; as paper-single-stage", SINGLE),
    "ablation-two-stage": ("table 4, row 10: as paper", PAPER),
    "siamese": ("Packhäuser et al. 2022: Siamese ResNet, BCE, on pixels", TASK),
    "ntxent": (
        "Dar et al. 2023 with identities: ResNet, NT-Xent, on pixels",
        _changed(TASK, stage1={"bce_weight": 0.0, "batch_size": 64}),
    ),
    "ntxent-unsupervised": (
        "Dar et al. 2023: ResNet, NT-Xent, positives by augmentation, on pixels",
        _changed(
            TASK,
            stage1={
                "bce_weight": 0.0,
                "batch_size": 64,
                "positives": "augmentation",
                "pixels": PAPER_AUGMENTATION,
                "copies": 1.0,
            },
        ),
    ),
    "autoencoder": ("the bundled compact autoencoder", AutoencoderRecipe()),
}
"""Name of each preset: what it is, and its settings."""


def load_recipe(source: str) -> AnyRecipe:
    """A preset by its name, or a TOML file: all keys of a recipe, or ``base = "compact"`` and what is different.

    Raises:
        LCMemError: Neither a preset nor a file, no TOML, or unknown keys.
    """
    if source in PRESETS:
        return PRESETS[source][1]
    path = Path(source)
    if not path.is_file():
        raise LCMemError(f"{source}: neither a recipe file nor a preset; presets: {', '.join(PRESETS)}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LCMemError(f"{path}: not a TOML file ({error})") from error
    base = values.pop("base", None)
    if base is None:
        return Recipe.validated(values, str(path))
    recipe = load_recipe(base)
    return type(recipe).validated(_merged(recipe.model_dump(), values), str(path))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
