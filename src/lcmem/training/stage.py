"""Settings of one stage of a detector's training."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lcmem.augment import Augmentation, LatentAugmentation
from lcmem.training.settings import Count, Positive, Settings, Share

LeastArea = Annotated[float, Field(gt=0, le=1)]


class Views(Settings):
    """Both pictures of a pair, edited mildly or strongly and cut to a smaller side; see :mod:`lcmem.training.views`.

    The second picture of a pair is edited strongly four times as often as the first, which stands for a real one.

    Attributes:
        side: Of a view in pixels. A detector that sees whole pictures of ``size`` pixels is best trained on views of
            about three quarters of it, as crops enlarge what they show.
        strong: Share of the views that are edited strongly (about five edits at once).
        soft: Share of the second pictures' other views that are whole but without fine detail, as generators draw what
            they learnt by heart.
        plain: Share of the first pictures' other views that are not edited at all; the rest is edited mildly.
        least_area: The smallest share of the area that a crop keeps.
        strong_in: ``strong`` of single domains: where details are the identity, less.
        least_area_in: ``least_area`` of single domains.
    """

    side: Annotated[int, Field(ge=32)] = 96
    strong: Annotated[float, Field(ge=0, le=0.625)] = 0.5
    soft: Share = 0.0
    plain: Share = 0.3
    least_area: LeastArea = 0.2
    strong_in: dict[str, Annotated[float, Field(ge=0, le=0.625)]] = Field(default_factory=dict)
    least_area_in: dict[str, LeastArea] = Field(default_factory=dict)


class Stage(Settings):
    """One stage of a detector's training (paper, section 3.1 and appendix B).

    Attributes:
        epochs: Maximum number of epochs.
        steps_per_epoch: Optimiser steps between two validations; None goes once through the training pictures.
        batch_size: Positive pairs in a step, on all devices together; the other pairs of a batch are its negatives.
        chunk: So many of them at a time are drawn from one domain; see ``PairSampler``.
        quota: Pairs of a domain that are in every batch; chunks of the other domains fill the rest.
        frequency: How often a domain is drawn for a chunk, relative to the others; by default the square root of its
            number of identities.
        negatives: Whether all other pairs of a ``batch`` are negatives of a pair, or those of its own ``domain``.
        lr: Peak learning rate of AdamW.
        head_lr: By this factor the backbone's last layer, the head and the layers that read teachers learn faster.
        average: Weights are averaged over steps: the average keeps this share of itself at each step (less in the
            first ones), is what is judged, and becomes the detector. 0 takes the last weights.
        schedule: ``cosine``: warm-up over 3 % of the steps, then a cosine down to zero. ``constant``: what the official
            code's cosine from ``lr`` down to ``lr`` amounts to.
        weight_decay: Of AdamW, on matrices and kernels only.
        bce_weight: Weight of the BCE term; NT-Xent has the rest. With 0, only NT-Xent trains the features;
            the head is fitted on detached features.
        temperature: τ of NT-Xent.
        patience: Epochs without a better validation score after which the stage ends.
        positives: ``identity``: other pictures of the same identity. ``augmentation``: identities are not used, each
            picture is its own (the unsupervised mode).
        mirror: Whether either picture of a pair is its mirror image half of the time (its latent encoded, not flipped).
        samplewise: Probability that a step's latents are normalised by sample instead of by training mix.
        latent: What is done to normalised latents.
        singles: What is done besides to the second latent of a pair that shows one picture twice, because nothing
            else of its identity is known. Without ``pixels`` and ``views`` only.
        pixels: What is done to the second picture of a pair before it is encoded; None never decodes a picture, all
            latents come from the store.
        views: What is done to both pictures of a pair instead of ``pixels``.
        copies: With ``pixels`` or ``views``: share of pairs whose second picture is an edit of the first.
        edited: With ``pixels``: share of the other pairs whose second picture is edited.
        edit_both: With ``pixels``: the first picture of a pair is edited whenever the second is, as in the paper.
            Otherwise it stands for one of the real set: it is clean, and its latent comes from the store.
    """

    epochs: Count
    steps_per_epoch: Count | None = None
    batch_size: Annotated[int, Field(ge=2)]
    chunk: Count = 1
    quota: dict[str, Count] = Field(default_factory=dict)
    frequency: dict[str, Positive] = Field(default_factory=dict)
    negatives: Literal["batch", "domain"] = "batch"
    lr: Positive
    head_lr: Positive = 1.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
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
    views: Views | None = None
    copies: Share = 0.5
    edited: Share = 0.5
    edit_both: bool = False

    @property
    def changes_pictures(self) -> bool:
        """Whether a picture can be a positive of its own: two views of it differ."""
        return self.mirror or self.latent.changes or self.singles.changes or self.edits_pictures

    @property
    def edits_pictures(self) -> bool:
        """Whether pictures are decoded and edited, instead of taking latents from the store."""
        return self.pixels is not None or self.views is not None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pixels is not None and self.views is not None:
            raise ValueError("pixels and views exclude each other")
        if sum(self.quota.values()) > self.batch_size:
            pairs = sum(self.quota.values())
            raise ValueError(f"quota has {pairs} pairs, more than batch_size={self.batch_size}; quota=none empties it")
        return self
