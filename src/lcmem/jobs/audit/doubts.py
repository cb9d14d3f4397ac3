"""Inputs of an audit that are hardly what was meant: the same twice, the wrong way round, or sheets of samples."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcmem.atlas.atlas import Atlas
from lcmem.errors import LCMemWarning
from lcmem.jobs.output import input_name
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.sheets import sheet_of

REAL = re.compile(r"(?<![a-z])(real|train|training|original)(?![a-z])", re.IGNORECASE)
SYNTHETIC = re.compile(r"(?<![a-z])(synthetic|synth|generated|fake|samples?)(?![a-z])", re.IGNORECASE)


def doubtful_sheets(real: Manifest | Atlas, synthetic: Manifest | Atlas) -> list[str]:
    """Whether generated pictures are sheets of several, as trainings write them; real ones may be forms like that."""
    sheet = sheet_of(list(synthetic.paths))
    if sheet is None or sheet == sheet_of(list(real.paths)):
        return []
    text = (
        f"synthetic: most pictures are sheets of {sheet[0]} × {sheet[1]} samples; each is compared as one picture, and "
        "what it shows is missed: cut them into single ones"
    )
    warnings.warn(text, LCMemWarning, stacklevel=3)
    return [text]


def doubtful_names(inputs: Mapping[str, Any]) -> list[str]:
    """What the inputs' names give away before anything is read.

    Args:
        inputs: ``real``, ``synthetic`` and ``holdout``: paths or sets; None where there is none.
    """
    names = {name: input_name(source) for name, source in inputs.items() if source is not None}
    places = {name: place for name, place in names.items() if os.path.isabs(place)}  # others are in memory
    pairs = [(one, two) for one in places for two in places if one < two and places[one] == places[two]]
    doubts = [f"{two} and {one} are the same pictures" for one, two in pairs]
    doubts += [
        f"{one} lies inside {two}, so its pictures are among the {two} ones as well"
        for one in places
        for two in places
        if Path(places[two]) in Path(places[one]).parents
    ]
    real, synthetic = (Path(places.get(name, "")).stem for name in ("real", "synthetic"))
    if SYNTHETIC.search(real) and REAL.search(synthetic):
        doubts.append(
            f"the real pictures are in {real!r} and the synthetic ones in {synthetic!r}: the wrong way round?"
        )
    return doubts
