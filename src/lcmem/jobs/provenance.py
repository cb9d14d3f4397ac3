"""Where an audit comes from: when, by which versions, of which data."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

import lcmem
from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.matching.features import FeatureSet, data_fingerprint


def provenance(detector: Detector, sets: Mapping[str, FeatureSet]) -> dict[str, Any]:
    """Date, versions, and hashes of data and encoder, JSON-ready.

    Args:
        detector: The model.
        sets: The pictures by the name of their set.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"lcmem": lcmem.__version__, "python": platform.python_version(), "torch": torch.__version__},
        "fingerprints": {name: data_fingerprint(found.keys) for name, found in sets.items()},
        "encoder_sha256": detector.encoder.card.sha256 if isinstance(detector, LCMem) else None,
    }
