"""``lcmem benchmark``: how well detectors separate identities and copies."""

from lcmem.cli.benchmark import ablation, autoencoder, copy, joint, one_vs_all, reid, speed
from lcmem.cli.benchmark.group import group

__all__ = ["ablation", "autoencoder", "copy", "group", "joint", "one_vs_all", "reid", "speed"]
