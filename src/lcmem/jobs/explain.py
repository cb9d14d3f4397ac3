"""Why two pictures match: where in each of them the evidence lies."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.devices import batch_size
from lcmem.edits import smooth
from lcmem.errors import PictureError
from lcmem.matching.verdicts import COPY, SAME_IDENTITY
from lcmem.pictures.image import PictureLike, load_levels
from lcmem.progress import progress_bar
from lcmem.report.evidence import plot_evidence

CELLS, WINDOW = 8, 2
"""A window hides two by two of eight by eight cells; the next one begins a cell further."""
FINE = 4 * CELLS
"""Values along a side of a map that a report holds."""
BLUR = 0.3
"""Standard deviation, as a share of the side, of the blur that hides a window: shades stay, shapes do not."""
FAINT = 1.6
"""Logits whose loss is shown in full colour only if no place costs more, so that chance stays pale: between
what a place mostly costs two strangers and what it costs two pictures of one person."""
FAINT_SHARE = 0.05
"""The same for a score that is no logit, as a share of the detector's span."""


def explain(detector: Detector, a: PictureLike, b: PictureLike) -> tuple[np.ndarray, np.ndarray]:
    """Where in two pictures the evidence for their score lies (occlusion: Zeiler and Fergus 2014, section 4.2).

    Each window of a picture in turn is replaced by a blurred copy, with soft borders so that the change itself draws no
    edge, and compared with the whole other picture. A place's value is how much the score falls, as a mean over the
    windows that hide it: above 0 it speaks for the match, below 0 against it. The values do not add up to the score.

    Args:
        detector: Any one.
        a: A picture.
        b: Another one.

    Returns:
        For each picture a map ``[h, w]`` float32 that covers all of it, in logits or in the detector's similarity. Maps
        are as fine as the detector's pictures, which says nothing about places smaller than a cell.

    Raises:
        PictureError: One cannot be read.
    """
    squares = [detector.square(picture) for picture in (a, b)]
    windows = hiding_windows(detector.size)
    falls = [_falls(detector, one, other, windows) for one, other in (squares, squares[::-1])]
    maps = [(windows[:, 0] * fall[:, None, None]).sum(0) / windows[:, 0].sum(0) for fall in falls]
    one, two = (_without_margins(each.numpy(), picture, detector) for each, picture in zip(maps, (a, b), strict=True))
    return one, two


def hiding_windows(side: int) -> Tensor:
    """How much each window hides of each pixel, ``[N, 1, side, side]`` in [0, 1]; together they cover all of it."""
    edges = torch.linspace(0, side, CELLS + 1).round().long().tolist()
    places = list(product(range(CELLS - WINDOW + 1), repeat=2))
    windows = torch.zeros(len(places), 1, side, side)
    for window, (row, column) in zip(windows, places, strict=True):
        window[:, edges[row] : edges[row + WINDOW], edges[column] : edges[column + WINDOW]] = 1
    return smooth(windows, torch.full((len(places),), side / CELLS / 4))


def _falls(detector: Detector, square: Tensor, other: Tensor, windows: Tensor) -> Tensor:
    """How much the score with the other picture falls when each window is hidden, ``[N]`` float32."""
    whole, against = detector.embed(torch.stack([square, other]))[:, None]
    sharp = square.float()
    blurred = smooth(sharp[None], torch.tensor([BLUR * detector.size]))[0]
    scores = []
    for part in windows.split(batch_size(detector.device)):
        hidden = (sharp + (blurred - sharp) * part).round().clamp(0, 255).to(torch.uint8)
        scores.append(detector.similarity(detector.embed(hidden), against.expand(len(part), -1)))
    return (detector.similarity(whole, against) - torch.cat(scores)).float()


def _without_margins(values: np.ndarray, picture: PictureLike, detector: Detector) -> np.ndarray:
    """The part of a map of the detector's square that shows the picture, not the margins that keep its proportions."""
    if not detector.proportions:
        return values
    sides = np.array(load_levels(picture).shape[1:])
    begin = (sides.max() - sides) // 2
    first, end = (np.rint(at * detector.size / sides.max()).astype(int) for at in (begin, begin + sides))
    top, left = first
    bottom, right = np.maximum(end, first + 1)
    return values[top:bottom, left:right]


def explain_matches(detector: Detector, matches: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    """Maps of the strongest pairs of each verdict, JSON-ready; a pair whose pictures have gone has none.

    Args:
        detector: Any one.
        matches: As of :meth:`lcmem.jobs.audit.result.AuditResult.to_frame`.
        count: How many pairs of each verdict.

    Returns:
        For each pair ``synthetic`` and ``real`` (paths) and what :func:`explain_pair` returns.
    """
    strongest = matches[matches["match"]].sort_values("logit", ascending=False, kind="stable")
    parts = [strongest[strongest["verdict"] == verdict].head(count) for verdict in (COPY, SAME_IDENTITY)]
    pairs = pd.concat(parts)[["path", "real"]].itertuples(index=False, name=None)
    found = []
    with progress_bar("where the evidence lies", sum(map(len, parts))) as advance:
        for synthetic, real in pairs:
            with suppress(PictureError):  # the gallery says that it is not here any more
                found.append({"synthetic": synthetic, "real": real} | explain_pair(detector, synthetic, real))
            advance(1)
    return found


def explain_pair(detector: Detector, synthetic: str, real: str) -> dict[str, Any]:
    """Maps of one pair, JSON-ready.

    Args:
        detector: Any one.
        synthetic: A path.
        real: Another one.

    Returns:
        ``least`` (value that is shown in full colour unless another is larger) and ``maps``: of both pictures
        ``width``, ``height`` and ``values`` row by row.

    Raises:
        PictureError: A picture cannot be read.
    """
    return {"least": _least(detector), "maps": [_shrunk(values) for values in explain(detector, synthetic, real)]}


def _shrunk(values: np.ndarray) -> dict[str, Any]:
    """A map with about four values for each cell of a window, the finest that it tells anything about."""
    rows, columns = (np.linspace(0, side - 1, min(side, FINE)).round().astype(int) for side in values.shape)
    small = values[np.ix_(rows, columns)]
    return {"width": len(columns), "height": len(rows), "values": [round(float(value), 3) for value in small.ravel()]}


def _least(detector: Detector) -> float:
    return FAINT if detector.head is not None else FAINT_SHARE * (detector.span[1] - detector.span[0])


def draw_evidence(a: str, b: str, detector: Detector, heading: Sequence[str], target: Path) -> None:
    """Write a PNG with both pictures, both maps and what is known of the pair.

    Args:
        a: A picture.
        b: Another one.
        detector: Any one.
        heading: Lines above the pictures.
        target: The file.

    Raises:
        PictureError: A picture cannot be read.
    """
    maps = explain(detector, a, b)
    pictures = [load_levels(path).transpose(1, 2, 0) for path in (a, b)]
    plot_evidence(
        pictures,
        maps,
        names=[f"{letter}: {Path(path).name}" for letter, path in zip("AB", (a, b), strict=True)],
        heading=heading,
        least=_least(detector),
        unit=detector.unit,
        target=target,
    )
