"""Two pictures: how alike they are, and what that means."""

import os
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pandas as pd
from scipy.special import expit
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.jobs.usual_scores import score_of_share, usual_share
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.compare import compare, given_score
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.kinds import split_kinds
from lcmem.matching.overview import turned_correlation
from lcmem.matching.thumbnails import SAME, Thumbnails
from lcmem.matching.transfer import Transfer
from lcmem.pictures.image import load_levels
from lcmem.pictures.information import shows_little
from lcmem.stats.calibration import DEFAULT_RATE


@dataclass(frozen=True)
class Scale:
    """How alike pictures of different identities are.

    Attributes:
        threshold: Score that a share of :data:`lcmem.stats.calibration.DEFAULT_RATE` of the pairs reaches.
        pairs: How many there are.
        above_half: Share of them above p = 0.5, by their histogram; NaN if scores are not logits.
        known: Whether their identities are known to differ; else all pairs of different pictures were taken.
        kinds: Of a set of several datasets, or kinds of pictures, those that were taken; else none.
    """

    threshold: float
    pairs: int
    above_half: float
    known: bool
    kinds: list[str]


@dataclass(frozen=True)
class Comparison:
    """A verdict and what it rests on.

    Attributes:
        verdict: ``identical``, ``match``, ``same picture`` (by its looks, mirrored or turned by quarters as it may be,
            whatever the score), ``no match``, ``undecided`` (no threshold is known) or ``shows nothing`` (one of them
            is of one colour).
        score: A logit, or a similarity if the detector has no head.
        threshold: From which score on pictures match; None if none is known.
        origin: Where that comes from, in a sentence.
        highest: What a picture reaches with itself.
        scale: Where strangers lie, if that was measured.
        usual: How many strangers lie above the score, in a sentence, on the data that the model was made with; "" if
            its card does not say.
    """

    verdict: str
    score: float
    threshold: float | None
    origin: str
    highest: float
    scale: Scale | None
    usual: str


def compare_pair(
    a: str,
    b: str,
    detector: Detector,
    *,
    threshold: float | None = None,
    against: FeatureSet | None = None,
    calibration: CalibrationFile | None = None,
) -> Comparison:
    """Compare two pictures.

    Args:
        a: A picture.
        b: Another one.
        detector: The model.
        threshold: As :func:`lcmem.matching.compare.given_score` takes it; None takes what is measured, or p = 0.5.
        against: Pictures like these, to measure on how alike strangers are.
        calibration: One that was made before, whose threshold is taken if none is given: it is one for a search among
            all pictures that it was made on.

    Raises:
        PictureError: One cannot be read.
        LCMemError: A threshold that is none, or a calibration of another model.
    """
    if calibration is not None:
        calibration.check(detector)
    both = detector.features([a, b])
    u, v = both[:, None]
    score, highest = (float(detector.similarity(u, other)[0]) for other in (v, u))
    scale = None if against is None else measure_scale(against, detector, both)
    if threshold is None and calibration is not None:
        level, origin = _calibrated(calibration)
    else:
        level, origin = _threshold(threshold, scale, detector)
    usual = usual_share(detector, score)
    return Comparison(_verdict(a, b, score, level), score, level, origin, highest, scale, usual)


def measure_scale(found: FeatureSet, detector: Detector, like: Tensor) -> Scale:
    """All pairs of different identities of a set, or all pairs if none is known.

    Args:
        found: N pictures.
        detector: The model.
        like: Features ``[n, D]`` of some pictures: where the set has several datasets, or kinds of pictures
            (:mod:`lcmem.matching.kinds`), only those of their best matches are taken.
    """
    found = split_kinds(found, detector)
    best = compare(like.numpy(), found, detector, title="comparing").best.positions[:, 0]
    kinds = sorted(set(found.kinds[best]))
    rows = np.flatnonzero(np.isin(found.kinds, kinds))
    numbers = None
    if found.manifest.labelled:
        numbers = pd.factorize(found.manifest.identity_numbers[rows])[0]
    # no threshold: the pairs above one would all be kept
    result = compare(found.blocks.take(rows), None, detector, query_identities=numbers, title="comparing")
    kind = "unknown" if numbers is None else "different"
    below = np.cumsum([0, *result.histogram.counts[kind]])
    pairs = int(below[-1])
    above = pairs - float(np.interp(0, result.histogram.edges, below))
    half = above / pairs if pairs and detector.head is not None else np.nan
    taken = kinds if len(rows) < len(found.kinds) else []
    return Scale(score_of_share(result.histogram, kind, DEFAULT_RATE), pairs, half, numbers is not None, taken)


def _threshold(given: float | None, scale: Scale | None, detector: Detector) -> tuple[float | None, str]:
    if given is not None:
        return given_score(given, detector), "as given"
    if scale is not None:
        who = "different identities" if scale.known else "different pictures (their identities are unknown)"
        some = f", of those that are like these ({', '.join(map(repr, scale.kinds))})" if scale.kinds else ""
        return scale.threshold, f"at most {DEFAULT_RATE:.0%} of {scale.pairs:,} pairs of {who} reach it{some}"
    if detector.head is None:
        return None, f"no threshold is known for {detector.name}; give --threshold, or pictures like these: --against"
    usual = usual_share(detector, 0.0)
    known = f": {usual}" if usual else ""
    return 0.0, (
        f"the paper's, for as many matching as unrelated pairs{known}; how many of pictures like yours do, "
        "--against SET measures"
    )


def _calibrated(file: CalibrationFile) -> tuple[float | None, str]:
    count = file.about["real"]["pictures"]
    found = Transfer(file, file.pictures, []).calibration()
    origin = (
        f"calibration {file.citation}: at most {found.rate:.2%} of searches among {count} pictures reach it by chance"
    )
    return (found.logit, origin) if isfinite(found.logit) else (None, f"calibration {file.citation} could set none")


def _verdict(a: str, b: str, score: float, level: float | None) -> str:
    if _equal(a, b):
        return "identical"
    if shows_little(load_levels(a)) or shows_little(load_levels(b)):
        return "shows nothing"
    if level is not None and score >= level:
        return "match"
    if Thumbnails(0).compared([a], [b], turned_correlation)[0] >= SAME:
        return "same picture"
    return "undecided" if level is None else "no match"


def _equal(a: str, b: str) -> bool:
    """Whether these are the same file, or hold the same pixels."""
    if os.path.realpath(a) == os.path.realpath(b):
        return True
    one, two = load_levels(a), load_levels(b)
    return one.shape == two.shape and bool((one == two).all())


def in_words(score: float, detector: Detector) -> str:
    """A score as a threshold can be given: a probability with its logit, or a similarity."""
    if detector.head is None:
        return f"similarity {score:z.4f}"
    return f"p {expit(score):.4f}, logit {score:.6f}" if isfinite(score) else f"p {expit(score):.4f}"
