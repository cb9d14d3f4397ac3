"""Backbone, head, loss and the Siamese network."""

from lcmem.model.head import HEADS, Head, LinearHead, MetricHead, pair_logits
from lcmem.model.loss import combined_loss, nt_xent, pair_bce
from lcmem.model.siamese import NetworkSettings, SiameseNetwork, normalise_samples

__all__ = [
    "HEADS",
    "Head",
    "LinearHead",
    "MetricHead",
    "NetworkSettings",
    "SiameseNetwork",
    "combined_loss",
    "normalise_samples",
    "nt_xent",
    "pair_bce",
    "pair_logits",
]
