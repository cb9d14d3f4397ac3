"""One detector after the other: one that fails is reported, the others finish."""

from collections.abc import Callable, Sequence
from typing import Any

from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector, named
from lcmem.errors import LCMemError, first_line

OK = "ok"


def label(detector: str | Detector) -> str:
    """What a detector is called in tables: ``NAME`` of ``NAME=FOLDER``, what else was given, or its own name."""
    return (named(detector)[0] or detector) if isinstance(detector, str) else detector.name


def reason(error: Exception) -> str:
    """One line for the row of a detector that failed."""
    kind = "" if isinstance(error, LCMemError) else f"{type(error).__name__}: "
    return kind + first_line(error)


def measure_each(
    names: Sequence[str | Detector],
    datasets: Sequence[str],
    measure: Callable[[Detector], list[dict[str, Any]]],
    options: Options | None = None,
) -> list[dict[str, Any]]:
    """Rows of a table for each detector.

    Missing weights, NaN, too little memory, a detector's own defect: none stops the others.

    Args:
        names: As :func:`lcmem.detectors.registry.load_detector` takes them.
        datasets: Each gets a row of a detector that fails.
        measure: The rows of one detector, without its name.
        options: How to load the detectors.

    Returns:
        The rows of ``measure`` with ``detector`` and ``status``: ``ok``, or why there is nothing but a name.

    Raises:
        LCMemError: Two detectors have the same name.
    """
    labels = [label(name) for name in names]
    repeated = [name for name in labels if labels.count(name) > 1]
    if repeated:
        raise LCMemError(f"two detectors are called {repeated[0]!r}; give one another name, NAME=FOLDER")
    rows: list[dict[str, Any]] = []
    for name, title in zip(names, labels, strict=True):
        try:
            found = [row | {"detector": title, "status": OK} for row in measure(load_detector(name, options))]
        except Exception as error:  # whatever a detector or its library raises is its own row's business
            found = [{"dataset": dataset, "detector": title, "status": reason(error)} for dataset in datasets]
        rows += found
    return rows
