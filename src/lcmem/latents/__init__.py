"""The LatentStore: pictures are encoded once, so that training never waits for the autoencoder (paper, section 3.1)."""

from lcmem.latents.build import build_store, encode_pictures
from lcmem.latents.statistics import ChannelStatistics
from lcmem.latents.store import LatentStore

__all__ = ["ChannelStatistics", "LatentStore", "build_store", "encode_pictures"]
