"""``lcmem benchmark``: how well detectors separate identities and copies."""

from lcmem.cli.benchmark import ablation, audit, autoencoder, copy, joint, one_vs_all, reid, speed
from lcmem.cli.benchmark.group import group

__all__ = ["ablation", "audit", "autoencoder", "copy", "group", "joint", "one_vs_all", "reid", "speed"]
