"""All settings of a generator and of the experiment, and the presets (the files in ``presets``)."""

import tomllib
from pathlib import Path

from pydantic import Field

from lcmem.errors import LCMemError
from lcmem.training.recipe import Precision
from lcmem.training.settings import Count, Positive, Settings, Share

FOLDER = Path(__file__).parent / "presets"
PRESETS = tuple(path.stem for path in sorted(FOLDER.glob("*.toml")))


class Unet(Settings):
    """The network F.

    Attributes:
        width: Channels at full resolution.
        multipliers: Of the width, for each level; from level to level the side is halved.
        blocks: Residual blocks at each level.
        attention: Side of the maps that have attention.
    """

    width: Count = 32
    multipliers: list[int] = Field(default=[1, 2, 2], min_length=1)
    blocks: Count = 2
    attention: Count = 8


class Generator(Settings):
    """A training.

    Attributes:
        unet: The network.
        steps: Optimiser steps.
        batch_size: Latents in a step, on all devices together.
        lr: Learning rate of Adam after the warm-up.
        warm_up: Share of the steps over which it rises.
        p_mean: Mean of ln σ in training.
        p_std: Its standard deviation.
        gamma: Exponent of the power-function average of the weights, ``β = (1 − 1/t)^(γ + 1)``.
        guide_at: Share of the steps after which the average is kept as the guide.
        guidance: Strength g of the guide; 1 is none.
        precision: Arithmetic of the training.
        look_every: Steps between two grids of samples.
        seed: Random seed of weights, batches and noise.
    """

    unet: Unet = Unet()
    steps: Count = 5000
    batch_size: Count = 128
    lr: Positive = 1e-3
    warm_up: Share = 0.02
    p_mean: float = -0.4
    p_std: Positive = 1.0
    gamma: Positive = 6.94
    guide_at: Share = 0.25
    guidance: Positive = 1.4
    precision: Precision = "auto"
    look_every: Count = 500
    seed: int = 0


class Classifier(Settings):
    """The five classifiers of the conditionings.

    Attributes:
        epochs: Maximum number of epochs.
        batch_size: Latents in a step.
        lr: Of Adam; a tenth of it after :attr:`patience` epochs without a better validation loss.
        patience: See there.
        width: Channels of the first level of the network.
    """

    epochs: Count = 30
    batch_size: Count = 64
    lr: Positive = 1e-4
    patience: Count = 5
    width: Count = 32


class Experiment(Settings):
    """What ``lcmem experiment`` needs to know.

    Attributes:
        encoder: Autoencoder of the latents.
        size: Side in pixels of the pictures.
        pictures: Maximum number of training pictures; the first by a hash of their dataset and file name.
        holdout: Maximum number of pictures of the split ``test``.
        generator: Of every generator.
        classifier: Of the conditionings.
        sampler_steps: Heun steps of a sample.
        batch_size: Samples drawn at once.
        max_tries: Of reject and draw again.
        redrawn: Samples of each generator on which that is measured.
        sizes: Training-set sizes of the size curve.
        samples: Samples of each of its generators.
        sigmas: Noise levels of the near-duplicates.
        repeats: Near-duplicates of each picture at each level.
        originals: Pictures that near-duplicates are made of, from the training set and from the holdout each.
    """

    encoder: str = "compact-autoencoder"
    size: Count = 128
    pictures: Count = 4000
    holdout: Count = 1000
    generator: Generator = Generator()
    classifier: Classifier = Classifier()
    sampler_steps: Count = 32
    batch_size: Count = 64
    max_tries: Count = 10
    redrawn: Count = 500
    sizes: list[int] = Field(default=[100, 300, 1000, 3000], min_length=1)
    samples: Count = 500
    sigmas: list[float] = Field(default=[0.1, 0.3, 1.0, 3.0, 10.0], min_length=1)
    repeats: Count = 4
    originals: Count = 100


def load_preset(name: str) -> Experiment:
    """The settings of a preset.

    Raises:
        LCMemError: There is none of that name.
    """
    if name not in PRESETS:
        raise LCMemError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    path = FOLDER / f"{name}.toml"
    return Experiment.validated(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
