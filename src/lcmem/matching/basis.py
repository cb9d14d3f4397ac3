"""From which pictures a threshold is taken, and which control it: never the same."""

from dataclasses import dataclass

import numpy as np

from lcmem.matching.control import FEWEST, Control
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.own_chance import OwnChance, real_chance
from lcmem.stats.chance import Chance


@dataclass(frozen=True)
class Basis:
    """What calibrates and what controls.

    Attributes:
        chance: Chance matches that a threshold is taken from.
        method: What they were measured on, a key of :data:`lcmem.stats.calibration.ORIGINS`.
        control: Holdout pictures that the threshold is not taken from; None without a holdout.
        own: Chance matches of the real set's own pictures.
        notes: What the user should know about it.
    """

    chance: Chance
    method: str
    control: Control | None
    own: OwnChance
    notes: list[str]


def calibration_basis(
    real: FeatureSet, control: Control | None, finder: CopyFinder, listed: np.ndarray | None = None
) -> Basis:
    """Identities of the real set calibrate where there are any, and then the whole holdout controls; without
    identities one half of the holdout calibrates and the other controls; without a holdout groups of copies calibrate.

    Args:
        real: The real set.
        control: The holdout; None without one.
        finder: Tells copies from look-alikes.
        listed: Positions of real pictures that are files of the synthetic set.
    """
    own = real_chance(real, finder, listed)
    if control is None or own.method == "identities":
        return Basis(own.chance, own.method, control, own, [])
    identities = len(np.unique(control.marks))
    if identities < 2 * FEWEST:
        note = (
            f"The holdout's {identities} identities are too few to set the threshold and to control it (2 × {FEWEST} "
            "are needed), so they only control it."
        )
        return Basis(own.chance, own.method, control, own, [note])
    chance, half = control.divided()
    note = (
        f"{chance.identities} of {identities} identities of the holdout set the threshold, the other "
        f"{identities - chance.identities} control it. With identities of the real set all would control."
    )
    return Basis(chance, "holdout", half, own, [note])
