"""A calibration as a file of its own: thresholds, what they promise and on what they rest, named by its hash."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import finite, write_json
from lcmem.matching.copy_levels import CopyLevels
from lcmem.matching.correlations import WAYS
from lcmem.matching.finder import CopyFinder
from lcmem.matching.look_levels import Look
from lcmem.matching.thumbnails import Thumbnails
from lcmem.stats.calibration import ORIGINS
from lcmem.stats.chance import Chance

FORMAT = "lcmem-calibration/3"


@dataclass(frozen=True)
class CalibrationFile:
    """What ``lcmem calibrate`` found, for the commands that are given it with ``--calibration``.

    Attributes:
        about: What the file says: the model, the data, both thresholds with what they promise, the calibration of
            probabilities; JSON-ready.
        chance: Chance matches.
        copy_levels: What copies reach.
        look: When pictures match by their looks.
        place: Where it was read from or is to be written.
    """

    about: dict[str, Any]
    chance: Chance
    copy_levels: CopyLevels
    look: Look
    place: str

    @property
    def method(self) -> str:
        """What the chance matches were measured on, a key of :data:`lcmem.stats.calibration.ORIGINS`."""
        return str(self.about["same_identity"]["method"])

    @property
    def rate(self) -> float:
        """Share of pictures of unseen identities that may match, as asked for."""
        return float(self.about["asked"]["rate"])

    @property
    def pictures(self) -> int:
        """Real pictures that it was made on, those that are as alike as copies counted once."""
        real = self.about["real"]
        return int(real.get("distinct", real["pictures"]))

    @property
    def citation(self) -> str:
        """The file in a few words: its name and the beginning of its hash."""
        return f"{Path(self.place).name} (sha256 {self.about['sha256'][:16]})"

    def made_on(self, fingerprint: str) -> bool:
        """Whether it was made on real pictures of this :attr:`lcmem.matching.feature_set.FeatureSet.fingerprint`."""
        return bool(fingerprint == self.about["real"]["sha256"])

    def check(self, detector: Detector) -> None:
        """Whether it was made with this model.

        Raises:
            LCMemError: It was not.
        """
        made = self.about["model"]
        if (made["name"], made["fingerprint"]) != (detector.name, detector.fingerprint):
            theirs, ours = (str(mark)[:16] for mark in (made["fingerprint"], detector.fingerprint))
            raise LCMemError(
                f"{self.place}: a calibration of another model ({made['name']}, {theirs}), not of {detector.name}, "
                f"{ours}; run lcmem calibrate with this one"
            )

    def finder(self, detector: Detector, thumbnails: Thumbnails) -> CopyFinder:
        """What tells copies by what they reached when it was made.

        Raises:
            LCMemError: As of :meth:`check`.
        """
        self.check(detector)
        return CopyFinder(detector, self.copy_levels, thumbnails)

    def write(self) -> None:
        """Save it."""
        chance = _numbers(self.chance) | {"mutual": self.chance.mutual}
        write_json(self.about | {"chance": chance}, Path(self.place))

    @classmethod
    def make(
        cls, about: dict[str, Any], chance: Chance, levels: CopyLevels, look: Look, place: str | os.PathLike[str]
    ) -> "CalibrationFile":
        """A new one, with its hash."""
        bare = cls(about, chance, levels, look, os.fspath(place))
        return replace(bare, about={"format": FORMAT, "sha256": _hash(about, chance)} | about)

    @classmethod
    def read(cls, place: str | os.PathLike[str]) -> "CalibrationFile":
        """Read what :meth:`write` wrote.

        Raises:
            LCMemError: It is missing, damaged, altered, or something else.
        """
        name = os.fspath(place)
        try:
            content = json.loads(Path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LCMemError(f"{name}: not a readable calibration ({error}); lcmem calibrate writes one") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise LCMemError(f"{name}: not a calibration of the format {FORMAT}; lcmem calibrate writes one")
        try:
            kept = content.pop("chance")
            chance = _chance(kept, bool(kept["mutual"]))
            found = cls(content, chance, _levels(content["copy"]), _look(content["look"]), name)
            if found.method not in ORIGINS:
                raise ValueError(f"unknown method {found.method}")
            whole = content["sha256"] == _hash({k: v for k, v in content.items() if k not in KEYS}, chance)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LCMemError(f"{name}: a damaged calibration ({error!r}); run lcmem calibrate again") from error
        if not whole:
            raise LCMemError(f"{name}: altered or damaged, its sha256 does not fit; run lcmem calibrate again")
        return found


KEYS = ("format", "sha256")
"""What is said of the file itself."""


def _hash(about: dict[str, Any], chance: Chance) -> str:
    numbers = [chance.scores.tolist(), chance.clusters.tolist(), chance.mutual, chance.growth]
    if chance.parts:
        numbers.append(_numbers(chance)["parts"])
    text = json.dumps([about, numbers], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _numbers(chance: Chance) -> dict[str, Any]:
    parts = [{"kinds": kinds} | _numbers(part) for kinds, part in chance.distinct()]
    numbers = {"scores": chance.scores.tolist(), "clusters": chance.clusters.tolist(), "growth": chance.growth}
    return numbers | ({"parts": parts} if parts else {})


def _chance(kept: dict[str, Any], mutual: bool) -> Chance:
    scores, clusters = np.array(kept["scores"], dtype=np.float64), np.array(kept["clusters"], dtype=np.int64)
    if scores.ndim != 1 or scores.shape != clusters.shape or not len(scores):
        raise ValueError("scores and clusters do not fit")
    parts: dict[str, Chance] = {}
    for part in kept.get("parts", []):
        parts |= dict.fromkeys(map(str, part["kinds"]), _chance(part, mutual))
    return Chance(scores, clusters, mutual, float(kept["growth"]), parts)


def levels_as_json(levels: CopyLevels) -> dict[str, Any]:
    """What copies reach; JSON has no infinity."""
    numbers = {"candidate": levels.candidate, "sure": levels.sure, "typical": levels.typical}
    return {name: finite(value) for name, value in numbers.items()} | {"method": levels.method}


def look_as_json(look: Look) -> dict[str, Any]:
    """When pictures match by their looks; JSON has no infinity."""
    return {
        "thresholds": look.shown,
        "expected": look.expected,
        "bound": look.bound,
        "chance": [list(each) for each in look.chance],
    }


def _look(kept: dict[str, Any]) -> Look:
    levels = tuple(inf if level is None else float(level) for level in kept["thresholds"])
    if len(levels) != len(WAYS):
        raise ValueError("levels of other ways to look")
    chance = tuple((float(score), float(share), str(kind)) for score, share, kind in kept["chance"])
    return Look(levels, float(kept["expected"]), float(kept["bound"]), chance)


def _levels(kept: dict[str, Any]) -> CopyLevels:
    candidate, sure, typical = (
        inf if kept[name] is None else float(kept[name]) for name in ("candidate", "sure", "typical")
    )
    return CopyLevels(candidate, sure, typical, str(kept["method"]))
