"""The atlas: pictures and their features of one model, on disk."""

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.check import verify
from lcmem.atlas.fill import fill_atlas

__all__ = ["Atlas", "fill_atlas", "verify"]
