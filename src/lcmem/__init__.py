"""Find out whether a generative image model gives away real people, patients or pictures of its training set."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from lcmem.atlas import Atlas as Atlas
    from lcmem.detectors.base import Detector as Detector
    from lcmem.detectors.lcmem import LCMem as LCMem
    from lcmem.detectors.registry import load_detector as load_detector
    from lcmem.encoders import LatentEncoder as LatentEncoder
    from lcmem.encoders import load_encoder as load_encoder
    from lcmem.errors import CheckpointError as CheckpointError
    from lcmem.errors import LCMemError as LCMemError
    from lcmem.errors import PictureError as PictureError
    from lcmem.generation.filter import PrivacyFilter as PrivacyFilter
    from lcmem.generation.metric import MemorizationRate as MemorizationRate
    from lcmem.generation.pipelines import PipelineSampler as PipelineSampler
    from lcmem.generation.regenerate import generate_private as generate_private
    from lcmem.jobs.audit.result import AuditResult as AuditResult
    from lcmem.jobs.audit.run import audit as audit
    from lcmem.pictures.image import load_picture as load_picture
    from lcmem.pictures.manifest import Manifest as Manifest

    load = LCMem.load


_HOMES = {
    "Atlas": "lcmem.atlas",
    "AuditResult": "lcmem.jobs.audit.result",
    "CheckpointError": "lcmem.errors",
    "Detector": "lcmem.detectors.base",
    "LCMem": "lcmem.detectors.lcmem",
    "LCMemError": "lcmem.errors",
    "LatentEncoder": "lcmem.encoders",
    "Manifest": "lcmem.pictures.manifest",
    "MemorizationRate": "lcmem.generation.metric",
    "PictureError": "lcmem.errors",
    "PipelineSampler": "lcmem.generation.pipelines",
    "PrivacyFilter": "lcmem.generation.filter",
    "audit": "lcmem.jobs.audit.run",
    "generate_private": "lcmem.generation.regenerate",
    "load_detector": "lcmem.detectors.registry",
    "load_encoder": "lcmem.encoders",
    "load_picture": "lcmem.pictures.image",
}

__all__ = [*_HOMES, "load"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import lcmem`` and ``lcmem --help`` are quick (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("lcmem")
    if name == "load":
        return __getattr__("LCMem").load
    if name not in _HOMES:
        raise AttributeError(f"module 'lcmem' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
