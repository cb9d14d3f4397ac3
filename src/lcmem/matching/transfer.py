"""A calibration that was made before, carried over to a search among the pictures of a real set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.chance import distinct_pictures
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.kinds import split_kinds
from lcmem.matching.look_levels import Look
from lcmem.matching.thumbnails import Thumbnails
from lcmem.stats.calibration import Calibration, calibrate
from lcmem.stats.chance import Chance
from lcmem.store import Store


@dataclass(frozen=True)
class Transfer:
    """A calibration, carried over to a search among so many real pictures.

    Among more pictures than were calibrated on, a match by chance is more probable, at most in proportion.

    Attributes:
        file: The calibration.
        pictures: How many it is held against.
        notes: What a user should know who applies it there.
    """

    file: CalibrationFile
    pictures: int
    notes: list[str]

    @classmethod
    def of(cls, file: CalibrationFile, real: FeatureSet, finder: CopyFinder) -> "Transfer":
        """A calibration among a real set.

        Args:
            file: The calibration.
            real: The real set, and what knows what copies reach, as of :func:`with_finder`.
            finder: The latter.
        """
        return cls(file, _counted(file, real, finder), _remarks(file, real))

    @property
    def times(self) -> float:
        """So many pictures for each that it was made on."""
        return self.pictures / self.file.pictures

    @property
    def chance(self) -> Chance:
        """Chance matches of a picture that is compared with all of them."""
        return self.file.chance.against(self.times)

    @property
    def look(self) -> Look:
        """When pictures match by their looks."""
        times, look = max(self.times, 1.0), self.file.look
        chance = tuple((score, times * share, kind) for score, share, kind in look.chance)
        return replace(
            look, expected=min(times * look.expected, 1.0), bound=min(times * look.bound, 1.0), chance=chance
        )

    def calibration(self, sure: float | None = None, shares: Mapping[str, float] | None = None) -> Calibration:
        """The threshold of the same identity, for a rate that is smaller by as much as the pictures are more.

        Args:
            sure: Score from which a pair is a copy without a look at the pictures; None takes the file's.
            shares: As of :func:`lcmem.stats.calibration.calibrate`.
        """
        file, levels = self.file, self.file.copy_levels
        least = levels.sure if sure is None else sure
        found = calibrate(self.chance, file.rate, file.method, levels.typical, least, shares)
        return replace(found, explanation=f"Calibration {file.citation}. {found.explanation}")

    def noted(self, found: Calibration) -> Calibration:
        """A threshold whose explanation ends with the :attr:`notes`, where these have no other place."""
        return replace(found, explanation=" ".join([found.explanation, *self.notes]))


def with_finder(
    real: FeatureSet,
    detector: Detector,
    file: CalibrationFile | None,
    *,
    others: Sequence[FeatureSet] = (),
    store: Store | None = None,
    workers: int | None = None,
) -> tuple[FeatureSet, CopyFinder]:
    """A real set with the kinds that its thresholds know, and what finds copies of its pictures.

    Args:
        real: The real set.
        detector: The model.
        file: A calibration that was made before; those of other sets call their kinds otherwise. None: what copies
            reach is measured on the set itself.
        others: Sets to copy pictures of where the real ones cannot be opened.
        store: Where features of copies are kept.
        workers: Decoding processes.
    """
    if file is None:
        real = split_kinds(real, detector)
        return real, CopyFinder.of(real, detector, others=others, store=store, workers=workers)
    finder = file.finder(detector, Thumbnails(workers))
    return split_kinds(real, detector) if file.made_on(real.fingerprint) else real, finder


def _counted(file: CalibrationFile, real: FeatureSet, finder: CopyFinder) -> int:
    """How many pictures a real set has for a calibration, as many more as there are more files or distinct pictures.

    Where kinds have thresholds of their own, as many more as of the kind that has grown most.
    """
    files = _growth(file, real) * file.pictures
    if file.made_on(real.fingerprint) or file.pictures == file.about["real"]["pictures"]:
        return round(files)  # where all were distinct, no set has more distinct pictures than it has files
    return max(round(files), len(np.unique(distinct_pictures(real, real.manifest.known_numbers, finder))))


def _growth(file: CalibrationFile, real: FeatureSet) -> float:
    made_on = file.about["real"]
    growth = len(real.keys) / made_on["pictures"]
    if not file.chance.parts:
        return growth
    counts, before = pd.Series(real.kinds).value_counts(), made_on.get("datasets", {})
    return max([growth, *(counts[kind] / before[kind] for kind in counts.index if kind in before)])


def _remarks(file: CalibrationFile, real: FeatureSet) -> list[str]:
    """What a user should know who applies a calibration to these real pictures."""
    remarks, kinds = [], len(set(real.kinds))
    if file.chance.parts:
        others = int((~np.isin(real.kinds.astype(str), [*file.chance.parts])).sum())
        if others:
            remarks.append(
                f"{others} of {len(real.kinds)} real pictures are of datasets that the calibration does not name: "
                "pictures that are most like one of these match from its highest threshold on, so fewer are found. "
                "Name datasets as the pictures that were calibrated on do, or calibrate on this real set."
            )
    if file.made_on(real.fingerprint):
        return remarks
    remarks.append(
        f"The calibration {file.citation} was made on other real pictures than these. What it promises holds if both "
        "come from one source."
    )
    if not file.chance.parts and kinds > 1:
        remarks.append(
            f"The calibration knows one kind of pictures, the real set has {kinds} datasets: for others than its own "
            "it does not hold. Calibrate on this real set."
        )
    return remarks
