"""The atlas: pictures and their features of one model, on disk."""

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.check import verify
from lcmem.atlas.fill import Filling, fill_atlas

__all__ = ["Atlas", "Filling", "fill_atlas", "verify"]
