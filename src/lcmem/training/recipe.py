"""All settings of a training, in one place."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from lcmem.errors import LCMemError
from lcmem.model import NetworkSettings


@dataclass(frozen=True)
class _Recipe:
    def with_settings(self, settings: list[str]) -> Self:
        """A copy with ``key=value`` settings applied.

        Raises:
            LCMemError: An unknown key, or a value of the wrong type.
        """
        known = {item.name: item for item in fields(self)}
        changes: dict[str, Any] = {}
        for setting in settings:
            key, found, value = setting.partition("=")
            if not found or key not in known:
                raise LCMemError(f"unknown setting {setting!r}; known: {', '.join(known)}")
            changes[key] = _parse(value, type(getattr(self, key)), key)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


def _parse(value: str, kind: type, key: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        return kind(value)
    except (ValueError, KeyError) as error:
        raise LCMemError(f"setting {key}={value}: expected a {kind.__name__}") from error


@dataclass(frozen=True)
class AutoencoderRecipe(_Recipe):
    """Training of the compact autoencoder.

    Attributes:
        size: Side in pixels that pictures are squeezed into.
        crop: Side in pixels of the random crops it is trained on; it is fully convolutional.
        steps: Optimiser steps.
        batch_size: Crops in a step.
        lr: Peak learning rate of AdamW (one-cycle).
        gradient_weight: Weight of the L1 loss on picture gradients, beside the L1 and the squared error.
        latent_weight: Weight of the penalty that keeps each latent channel at mean 0, standard deviation 1.
        latent_noise: Standard deviation of noise added to the latents, so that near latents mean near pictures.
        seed: Of everything random.
    """

    size: int = 256
    crop: int = 128
    steps: int = 2600
    batch_size: int = 64
    lr: float = 2e-3
    gradient_weight: float = 0.25
    latent_weight: float = 1e-3
    latent_noise: float = 0.03
    seed: int = 0


@dataclass(frozen=True)
class StageRecipe(_Recipe):
    """One of the two stages of a detector's training (paper, section 3.1 and appendix B).

    Attributes:
        epochs: At most so many.
        steps_per_epoch: Optimiser steps between two validations.
        pairs: Positive pairs in a step.
        chunk: At most so many of them are drawn from one domain at a time; see ``PairSampler``.
        lr: Peak learning rate of AdamW (warm-up over 3 % of the steps, then a cosine down to zero).
        weight_decay: Of AdamW.
        bce_weight: Weight of the BCE term; NT-Xent has the rest.
        temperature: τ of NT-Xent.
        patience: Epochs without improvement of the validation score after which the stage ends.
        samplewise: Probability that a step's latents are normalised by sample instead of by training mix.
        latent_warp: Largest rotation (in units of 10°) and zoom (in units of 20 %) of latents. Only for stage 1.
        latent_noise: Largest standard deviation of noise on normalised latents. Only for stage 1.
        copies: Share of pairs whose second picture is an edit of the first. Only for stage 2.
        edited: Share of the other pairs whose second picture is edited. Only for stage 2.
        seed: Of everything random.
    """

    epochs: int
    steps_per_epoch: int
    pairs: int
    chunk: int
    lr: float
    weight_decay: float = 0.05
    bce_weight: float = 0.8
    temperature: float = 0.07
    patience: int = 10
    samplewise: float = 0.2
    latent_warp: float = 0.0
    latent_noise: float = 0.0
    copies: float = 0.5
    edited: float = 0.5
    seed: int = 0


STAGE1 = StageRecipe(
    epochs=13, steps_per_epoch=100, pairs=128, chunk=64, lr=1e-3, bce_weight=0.5, latent_warp=0.5, latent_noise=0.1
)
"""Stage 1 of the bundled model."""

STAGE2 = StageRecipe(epochs=5, steps_per_epoch=100, pairs=64, chunk=32, lr=3e-4, bce_weight=0.5, patience=5)
"""Stage 2 of the bundled model."""

COMPACT_NETWORK = NetworkSettings(
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
