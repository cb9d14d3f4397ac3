"""Recipes: all settings of a training, in one place, saved with the run."""

from math import isclose
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lcmem.model import NetworkSettings
from lcmem.training.settings import Count, Positive, Seed, Settings, Share
from lcmem.training.stage import Stage

Arithmetic = Literal["bf16-mixed", "16-mixed", "32-true"]
Weight = Annotated[float, Field(ge=0)]
Precision = Arithmetic | Literal["auto"]


class Network(Settings):
    """The Siamese network.

    Attributes:
        backbone: timm's name of an architecture.
        options: Further keyword arguments for ``timm.create_model``.
        pretrained: ``timm`` starts from timm's weights of that name, the name of a detector (``lcmem detectors``) from
            its weights, a path from a safetensors file; "" from random ones.
        frozen_norm: Whether batch norm keeps the statistics of the weights that it starts from.
        unshuffle: Space-to-depth factor before the backbone.
        features: Number of features u.
        head: ``metric`` (weights not negative) or ``linear`` (the paper's).
        parts: Sizes of the parts of the features that are each of one length before the sigmoid, see
            :class:`lcmem.model.NetworkSettings`. NT-Xent shapes the first part, teachers the one that they name.
        gain: See there; it is not trained with the rest.
    """

    backbone: str = "convnext_tiny"
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained: str = ""
    frozen_norm: bool = False
    unshuffle: Count = 1
    features: Count = 512
    head: Literal["metric", "linear"] = "metric"
    parts: list[Count] = Field(default_factory=list)
    gain: bool = False

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.parts and sum(self.parts) != self.features:
            raise ValueError(f"parts {self.parts} do not add up to {self.features} features")
        return self

    def settings(self, channels: int) -> NetworkSettings:
        """What the network is built from, for latents with this many channels."""
        return NetworkSettings(channels=channels, **self.model_dump(exclude={"pretrained", "frozen_norm"}))

    def part(self, number: int) -> slice:
        """Where a part of the features is; without parts, all of them are one."""
        sizes = self.parts or [self.features]
        return slice(sum(sizes[:number]), sum(sizes[: number + 1]))


class Teacher(Settings):
    """A detector whose features the network learns from, on training pictures only; nothing of it is needed later.

    Attributes:
        detector: Its name (see ``lcmem detectors``), or a checkpoint's folder.
        datasets: Those that it knows about; none names all.
        whole: Whether it sees whole pictures, although its own preprocessing cuts out their centre.
        part: Number of the part of the features that learns from it, from 0.
        compress: Whether the part shall be the teacher's features along their main directions. Otherwise a linear
            layer on top of the part shall predict them.
        own: Whether the teacher has the same parts, and the part shall be what its own says: what a network that is
            trained on shall not forget.
        cosine: Weight of one minus the cosine to that aim.
        similarity: Weight of the squared difference between the cosines of the pictures in a batch and the teacher's.
        nt_xent: By this factor NT-Xent counts less for pictures that the teacher knows.
    """

    detector: str
    datasets: list[str] = Field(default_factory=list)
    whole: bool = False
    part: Annotated[int, Field(ge=0)] = 0
    compress: bool = False
    own: bool = False
    cosine: Weight = 1.0
    similarity: Weight = 0.0
    nt_xent: Share = 1.0


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
            (the official code; a detector, and so validation, takes the mix: nobody knows a picture's dataset then).
            ``backbone``: by what the pretrained weights of the backbone expect; for pixels.
        validation_negatives: Negative validation pairs have ``any`` picture of the other identity, or always its
            ``first`` (the official code).
        size: Side in pixels that pictures are squeezed into.
        network: The Siamese network.
        teachers: Detectors that the network learns from, by a name of your own; ``teachers.NAME=none`` leaves one out.
        domains: Datasets that are one domain, by a name of your own: their pictures are contrasted with one another.
            Datasets that share identities are one domain anyhow; any other is a domain by its own name.
        head_shares: Of each part of the features in the distance, when the head and the gain are fitted on the split
            ``val`` at the end of a stage (:func:`lcmem.training.head.fit_head`); none leaves it as trained.
        start_from: A detector to start from (a bundled name or a folder); "" starts from scratch.
        stage1: The first stage.
        stage2: The second stage, if there is one; it starts from the best epoch of the first.
        precision: Lightning's name of the arithmetic, or ``auto``: see :func:`lcmem.training.start.precision_for`.
        seed: Random seed of everything random.
    """

    kind: Literal["detector"] = "detector"
    encoder: str = "compact-autoencoder"
    encoder_range: Literal["symmetric", "unit"] = "symmetric"
    latents: Literal["mode", "sample"] = "mode"
    normalise: Literal["mix", "dataset", "backbone"] = "mix"
    validation_negatives: Literal["any", "first"] = "any"
    size: Annotated[int, Field(ge=32)] = 256
    network: Network
    teachers: dict[str, Teacher] = Field(default_factory=dict)
    domains: dict[str, list[str]] = Field(default_factory=dict)
    head_shares: list[Share] = Field(default_factory=list)
    start_from: str = ""
    stage1: Stage
    stage2: Stage | None = None
    precision: Precision = "auto"
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start_from and self.network.pretrained:
            raise ValueError("start_from and network.pretrained exclude each other")
        if self.normalise == "backbone" and self.encoder != "pixels":
            raise ValueError("normalise=backbone is for encoder=pixels: pretrained weights know no latents")
        if self.head_shares and (self.network.head != "metric" or len(self.head_shares) != len(self.network.parts)):
            raise ValueError("head_shares needs a metric head, and a number for each of network.parts")
        if self.head_shares and (min(self.head_shares) <= 0 or not isclose(sum(self.head_shares), 1, abs_tol=1e-6)):
            raise ValueError(f"head_shares={self.head_shares}: shares above 0 that add up to 1 are needed")
        if self.network.gain and not self.head_shares:
            raise ValueError("network.gain is fitted with the head: give head_shares")
        for name, teacher in self.teachers.items():
            if teacher.part >= max(1, len(self.network.parts)):
                raise ValueError(f"teachers.{name}.part={teacher.part}, but network.parts={self.network.parts}")
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
        seed: Random seed of everything random.
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
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop > self.size or self.crop % 8 or self.size % 8:
            raise ValueError(f"crop={self.crop}, size={self.size}: multiples of 8 are needed, the crop the smaller")
        return self
