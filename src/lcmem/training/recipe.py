"""Recipes: all settings of a training, in one place, saved with the run."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lcmem.augment import Augmentation, LatentAugmentation
from lcmem.model import NetworkSettings
from lcmem.training.settings import Count, Positive, Settings, Share

Arithmetic = Literal["bf16-mixed", "16-mixed", "32-true"]
Precision = Arithmetic | Literal["auto"]


class Network(Settings):
    """The Siamese network.

    Attributes:
        backbone: timm's name of an architecture.
        options: Further keyword arguments for ``timm.create_model``.
        pretrained: ``timm`` starts from timm's weights of that name, a path from a safetensors file of them; "" from
            random ones.
        unshuffle: Space-to-depth factor before the backbone.
        features: Number of features u.
        head: ``metric`` (weights not negative) or ``linear`` (the paper's).
    """

    backbone: str = "convnext_tiny"
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained: str = ""
    unshuffle: Count = 1
    features: Count = 512
    head: Literal["metric", "linear"] = "metric"

    def settings(self, channels: int) -> NetworkSettings:
        """What the network is built from, for latents of so many channels."""
        return NetworkSettings(channels=channels, **self.model_dump(exclude={"pretrained"}))


class Stage(Settings):
    """One stage of a detector's training (paper, section 3.1 and appendix B).

    Attributes:
        epochs: At most so many.
        steps_per_epoch: Optimiser steps between two validations; None goes once through the training pictures.
        batch_size: Positive pairs in a step, on all devices together; the other pairs of a batch are its negatives.
        chunk: So many of them at a time are drawn from one domain; see ``PairSampler``.
        lr: Peak learning rate of AdamW.
        schedule: ``cosine``: warm-up over 3 % of the steps, then a cosine down to zero. ``constant``: what the official
            code's cosine from ``lr`` down to ``lr`` amounts to.
        weight_decay: Of AdamW, on matrices and kernels only.
        bce_weight: Weight of the BCE term; NT-Xent has the rest. With 0 the features come from NT-Xent alone, and the
            head learns to read them without shaping them.
        temperature: τ of NT-Xent.
        patience: Epochs without a better validation score after which the stage ends.
        positives: ``identity``: other pictures of the same identity. ``augmentation``: identities are not used, each
            picture is its own (the unsupervised mode).
        mirror: Whether either picture of a pair is its mirror image half of the time (its latent encoded, not flipped).
        samplewise: Probability that a step's latents are normalised by sample instead of by training mix.
        latent: What is done to normalised latents.
        singles: What is done besides to the second latent of a pair that shows one picture twice, because nothing
            else of its identity is known. Without ``pixels`` only.
        pixels: What is done to the second picture of a pair before it is encoded; None never decodes a picture, all
            latents come from the store.
        copies: With ``pixels``: share of pairs whose second picture is an edit of the first.
        edited: With ``pixels``: share of the other pairs whose second picture is edited.
        edit_both: With ``pixels``: the first picture of a pair is edited whenever the second is, as in the paper.
            Otherwise it stands for one of the real set: it is clean, and its latent comes from the store.
    """

    epochs: Count
    steps_per_epoch: Count | None = None
    batch_size: Annotated[int, Field(ge=2)]
    chunk: Count = 1
    lr: Positive
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    bce_weight: Share = 0.8
    temperature: Positive = 0.07
    patience: Count = 10
    positives: Literal["identity", "augmentation"] = "identity"
    mirror: bool = False
    samplewise: Share = 0.0
    latent: LatentAugmentation = LatentAugmentation()
    singles: LatentAugmentation = LatentAugmentation()
    pixels: Augmentation | None = None
    copies: Share = 0.5
    edited: Share = 0.5
    edit_both: bool = False

    @property
    def changes_pictures(self) -> bool:
        """Whether a picture can be a positive of its own: two views of it differ."""
        return self.mirror or self.latent.changes or self.singles.changes or self.pixels is not None


class Recipe(Settings):
    """A detector's training.

    Attributes:
        kind: What is trained.
        encoder: What ``load_encoder`` takes; ``pixels`` for none.
        encoder_range: Pictures enter a diffusers autoencoder in [−1, 1] (``symmetric``, what it was trained for), or in
            [0, 1] (``unit``, what the official code gives it).
        latents: What training sees of an autoencoder's posterior: its ``mode``, or a random ``sample`` (the official
            code). A detector always takes the mode.
        normalise: By which statistics training scales latents: those of the training ``mix``, or of each ``dataset``
            (the official code). A detector, and so validation, takes the mix: nobody knows a picture's dataset then.
        validation_negatives: Negative validation pairs have ``any`` picture of the other identity, or always its
            ``first`` (the official code).
        size: Side in pixels that pictures are squeezed into.
        network: The Siamese network.
        start_from: A detector to start from (a bundled name or a folder); "" starts anew.
        stage1: The first stage.
        stage2: The second stage, if there is one; it starts from the best epoch of the first.
        precision: Lightning's name of the arithmetic, or ``auto``: see :func:`lcmem.training.start.precision_for`.
        seed: Of everything random.
    """

    kind: Literal["detector"] = "detector"
    encoder: str = "compact-autoencoder"
    encoder_range: Literal["symmetric", "unit"] = "symmetric"
    latents: Literal["mode", "sample"] = "mode"
    normalise: Literal["mix", "dataset"] = "mix"
    validation_negatives: Literal["any", "first"] = "any"
    size: Annotated[int, Field(ge=32)] = 256
    network: Network
    start_from: str = ""
    stage1: Stage
    stage2: Stage | None = None
    precision: Precision = "auto"
    seed: int = 0

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.start_from and self.network.pretrained:
            raise ValueError("start_from and network.pretrained exclude each other")
        return self

    @property
    def pair_protocol(self) -> str:
        """``validation_negatives`` as :func:`lcmem.pairs.identity_pairs` calls it."""
        return "paper" if self.validation_negatives == "first" else "fixed"

    @property
    def stages(self) -> list[Stage]:
        """One or two."""
        return [self.stage1, *([self.stage2] if self.stage2 else [])]


class AutoencoderRecipe(Settings):
    """Training of the compact autoencoder.

    Attributes:
        kind: What is trained.
        size: Side in pixels that pictures are squeezed into.
        crop: Side in pixels of the random crops it is trained on; it is fully convolutional.
        steps: Optimiser steps.
        batch_size: Crops in a step.
        lr: Peak learning rate of AdamW (one-cycle).
        gradient_weight: Weight of the L1 loss on picture gradients, beside the L1 and the squared error.
        latent_weight: Weight of the penalty that keeps each latent channel at mean 0, standard deviation 1.
        latent_noise: Standard deviation of noise added to the latents, so that near latents mean near pictures.
        precision: Lightning's name of the arithmetic, or ``auto``: see :func:`lcmem.training.start.precision_for`.
        seed: Of everything random.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    size: Annotated[int, Field(ge=32)] = 256
    crop: Annotated[int, Field(ge=16)] = 128
    steps: Count = 2600
    batch_size: Count = 64
    lr: Positive = 2e-3
    gradient_weight: float = 0.25
    latent_weight: float = 1e-3
    latent_noise: float = 0.03
    precision: Precision = "auto"
    seed: int = 0
