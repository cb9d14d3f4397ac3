"""The filter: does a generated picture show a real one, or somebody of the real set? For use inside a sampling loop."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lcmem.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.detectors.registry import load_detector
from lcmem.devices import full_precision
from lcmem.encoders import LatentEncoder
from lcmem.errors import LCMemError
from lcmem.generation.latent_filter import LatentFilter
from lcmem.generation.thresholds import Thresholds, calibrate_thresholds, read_thresholds
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.compare import compare, given_score, probabilities
from lcmem.matching.correlations import RANKS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features, read_source
from lcmem.matching.kinds import split_kinds
from lcmem.matching.looker import Looker
from lcmem.matching.overview import Nearest
from lcmem.matching.thumbnails import Thumbnails
from lcmem.matching.transfer import with_finder
from lcmem.matching.verdicts import COPY, NO_MATCH, NOTHING, SAME_IDENTITY
from lcmem.pictures.batch import split_batch
from lcmem.pictures.image import PictureLike, load_levels
from lcmem.pictures.information import shows_little
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.pictures.paths import split_bits
from lcmem.pictures.set_depth import says_nothing, with_bits
from lcmem.progress import silent
from lcmem.scan import Best
from lcmem.scan.resident import ResidentGallery
from lcmem.stats.calibration import DEFAULT_RATE, check_one_threshold, given_calibration

Against = Sequence[int] | Sequence[str] | np.ndarray | str
"""Which real picture each sample is compared with: positions, or paths."""
Real = Atlas | ManifestLike | FeatureSet | Sequence[str | os.PathLike[str]]
"""What the real pictures of a filter are given as."""
Calibrated = str | os.PathLike[str] | CalibrationFile | Thresholds
"""Thresholds, or the file that they are read from."""


@dataclass(frozen=True)
class Verdicts:
    """What became of some samples.

    Attributes:
        table: A row for each: ``verdict`` (``copy``, ``same identity``, ``no match``, or ``shows nothing`` of a picture
            in memory in which nearly all pixels have one colour), ``found_by`` (``score``, ``looks`` or nothing),
            ``logit``, ``probability`` and the real picture that decided it: ``real`` (path), ``identity`` ("" where
            unknown), ``dataset``. Of a detector without a head ``logit`` is its similarity and ``probability`` empty.
    """

    table: pd.DataFrame

    @property
    def novel(self) -> np.ndarray:
        """``[n]`` booleans: neither a copy of a real picture nor somebody of the real set, nor nothing at all."""
        return self.table["verdict"].to_numpy() == NO_MATCH

    @property
    def matched(self) -> np.ndarray:
        """``[n]`` booleans: a copy of a real picture, or somebody of the real set."""
        return self.table["verdict"].isin([COPY, SAME_IDENTITY]).to_numpy()

    def without(self, nothing: np.ndarray) -> "Verdicts":
        """The same, but of some ``[n]`` (booleans) that they show nothing."""
        found = self.table.assign(verdict=self.table["verdict"].mask(nothing, NOTHING))
        return Verdicts(found.assign(found_by=found["found_by"].mask(nothing, "")))


class PrivacyFilter:
    """Compares samples with real pictures: each with one of them (paper, equation 4), or with all.

    Attributes:
        thresholds: From which score on a sample is a match.
        looker: Looks at samples beside real pictures; None with a threshold that was given.
        source: Folder or file that the real pictures were read from; "" if there is none.

    Args:
        detector: The model, or its name.
        real: An atlas of the model, its features, or pictures, which are then encoded here: a folder, a zip file, a
            table, a manifest, or a list of paths.
        threshold: Probability from which a sample is a match, 0.5 in the paper (of a detector without a head: its
            similarity); all matches then count as the same identity.
        calibration: A file that ``lcmem calibrate`` wrote, or thresholds.
        false_positive_rate: With neither, thresholds are calibrated on the real pictures as an audit does it: at most
            this share of pictures of unseen identities matches one of them by chance.

    Raises:
        LCMemError: An atlas of another model, no usable picture, both thresholds, or one outside its range.

    Warns:
        LCMemWarning: Some of the real pictures cannot be read: copies of them pass.
    """

    def __init__(
        self,
        detector: Detector | str,
        real: Real,
        *,
        threshold: float | None = None,
        calibration: Calibrated | None = None,
        false_positive_rate: float = DEFAULT_RATE,
    ) -> None:
        check_one_threshold(threshold, calibration)
        self.detector = load_detector(detector)
        self.real, self.source = _encoded(real, self.detector)
        self.looker = None
        if threshold is not None:
            known = given_calibration(given_score(threshold, self.detector), threshold, None)
            self.thresholds = Thresholds(known, inf)
            return
        self.real, self.thresholds, thumbnails = _calibrated(self.real, self.detector, calibration, false_positive_rate)
        tells = self.thresholds.look.correlations[-1] < inf
        self.looker = Looker(self.real, thumbnails, all_real=tells)

    def __deepcopy__(self, memo: dict[int, Any]) -> "PrivacyFilter":
        """Itself: it never changes, and what it holds is large."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which makes threads of its own."""
        return {name: value for name, value in vars(self).items() if name != "_gallery"}

    def __call__(self, samples: Any, *, against: Against | None = None) -> Verdicts:
        """Judge pictures.

        Args:
            samples: A picture or several, as :func:`lcmem.pictures.batch.split_batch` takes them. Those in memory may
                show nothing; of files that is an error.
            against: Of each sample the real picture that it is compared with; None compares it with all.

        Raises:
            PictureError: One of them cannot be read.
            LCMemError: ``against`` does not fit.
        """
        pictures = self._scaled(split_batch(samples))
        with full_precision(torch.device("cpu")):
            found = self.judge(self.detector.features(pictures), against, pictures)
        return found.without(np.array([_shows_nothing(each) for each in pictures], dtype=bool))

    def pictures(self, samples: Any) -> list[np.ndarray]:
        """The samples as pictures ``[3, H, W]`` uint8.

        Raises:
            PictureError: One of them cannot be read.
        """
        return [load_levels(sample) for sample in self._scaled(split_batch(samples))]

    def _scaled(self, samples: list[Any]) -> list[Any]:
        """The samples, of which files of 16 bits that declare nothing are as deep as those of the real set.

        Raises:
            LCMemError: One in memory has 16 bits, and the real pictures fewer in files of 16.
        """
        files = [isinstance(each, str | os.PathLike) for each in samples]
        deep = [says_nothing(os.fspath(each)) if file else False for each, file in zip(samples, files, strict=True)]
        wide = any(map(_has_16_bits, samples))
        if not (any(deep) or wide) or self._bits == 16:
            return samples
        if wide:
            raise LCMemError(
                f"a sample in memory has 16 bits, and the real pictures use {self._bits} of theirs: nobody can know "
                "what is white in it; give samples as floats in [0, 1]"
            )
        return [f"{os.fspath(each)}#bits={self._bits}" if it else each for each, it in zip(samples, deep, strict=True)]

    def on_latents(self, autoencoder: "LatentEncoder | nn.Module") -> "LatentFilter":
        """A filter that is given the latents of a generator: nothing is decoded.

        Args:
            autoencoder: The generator's: one of :func:`lcmem.load_encoder`, or a diffusers autoencoder.

        Raises:
            LCMemError: The detector was not trained on its latents.
        """
        return LatentFilter(self, autoencoder)

    def judge(
        self, features: Tensor, against: Against | None = None, samples: Sequence[PictureLike] | None = None
    ) -> Verdicts:
        """As calling it, with features of the detector.

        Args:
            features: ``[n, D]``.
            against: As of calling it.
            samples: The pictures ``[n]``, or their paths. With calibrated thresholds each is looked at beside the real
                picture that it is most like, as an audit does it; None leaves that out.
        """
        if against is None:
            best = self._search(features.numpy())
        else:
            positions = self.positions(against, len(features))
            rows = torch.from_numpy(self.real.blocks.take(positions))
            best = Best(self.detector.similarity(features, rows).double().numpy()[:, None], positions[:, None])
        verdicts, at = self.verdicts(best.logits[:, 0], best.positions[:, 0]), np.zeros(len(features), dtype=np.int64)
        found_by = np.where(verdicts == NO_MATCH, "", "score").astype(object)
        if samples is not None and self.looker is not None:
            small = Nearest.none(len(samples))
            with silent():  # samples come a few at a time, a bar each would be a flicker
                if against is None:
                    small = self.looker.nearest(samples)
                    best = self._with_nearest(best, small.positions, features)
                try:
                    seen = self.looker.matches(self.thresholds.look, samples, best.positions, small)
                finally:
                    self.looker.thumbnails.forget(samples)  # samplers write the next ones under the same names
            verdicts, at, looked = _by_looks(verdicts, *seen)
            found_by[looked] = "looks"
        scores, positions = (np.take_along_axis(each, at[:, None], 1)[:, 0] for each in (best.logits, best.positions))
        found = self.real.manifest.table.iloc[positions]
        columns = {"verdict": verdicts, "found_by": found_by, "logit": scores}
        columns["probability"] = probabilities(scores, self.detector)
        names = {"real": "path", "identity": "identity", "dataset": "dataset"}
        return Verdicts(pd.DataFrame(columns | {name: found[column].array for name, column in names.items()}))

    def verdicts(self, scores: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The verdict of each score ``[n]`` with the real picture at a position ``[n]``."""
        identity = self.thresholds.calibration.thresholds(self.real.kinds[positions])
        known = [scores >= self.thresholds.copy, scores >= identity]
        return np.select(known, [COPY, SAME_IDENTITY], NO_MATCH).astype(object)

    def positions(self, against: Against, count: int) -> np.ndarray:
        """Positions ``[n]`` of real pictures.

        Raises:
            LCMemError: Another number than samples, a path that is not there, or a position outside.
        """
        if isinstance(against, str | os.PathLike):
            against = [os.fspath(against)]
        chosen: Any = against if isinstance(against, np.ndarray) else list(against)
        if len(chosen) != count:
            raise LCMemError(f"{len(chosen)} real pictures for {count} samples; give one for each")
        wanted = np.asarray(chosen)
        if wanted.dtype.kind in "iu":
            known = (wanted >= 0) & (wanted < len(self.real.manifest))
        else:
            # as manifests and atlases have them; of which depth their files are nobody need know
            paths = [split_bits(os.path.abspath(str(path)))[0] for path in chosen]
            wanted = np.array([self._by_path.get(path, -1) for path in paths])
            known = wanted >= 0
        if not known.all():
            raise LCMemError(f"{chosen[int(known.argmin())]}: not among the {len(self.real.manifest)} real pictures")
        return wanted.astype(np.int64)

    @cached_property
    def _bits(self) -> int:
        """Depth of the grey values of the real pictures, the smallest that their paths name."""
        return min((split_bits(path)[1] or 16 for path in self.real.manifest.paths), default=16)

    @cached_property
    def _by_path(self) -> dict[str, int]:
        """Position of each real picture, by its path without a depth."""
        return {split_bits(path)[0]: position for position, path in enumerate(self.real.manifest.paths)}

    def _with_nearest(self, best: Best, wanted: np.ndarray, features: Tensor) -> Best:
        """Best matches with one more, which looks most alike: ``[n, k + 1]``; the best one again where none does."""
        wanted = np.where(wanted < 0, best.positions[:, 0], wanted)
        rows = torch.from_numpy(self.real.blocks.take(wanted))
        scores = self.detector.similarity(features, rows).double().numpy()
        return Best(np.column_stack((best.logits, scores)), np.column_stack((best.positions, wanted)))

    def _search(self, features: np.ndarray) -> Best:
        k = min(RANKS, len(self.real.blocks)) if self.looker is not None else 1
        if self.detector.head is None:
            return compare(features, self.real, self.detector, k=k).best
        return self._gallery.best(features, k)

    @cached_property
    def _gallery(self) -> ResidentGallery:
        assert self.detector.head is not None
        return ResidentGallery(self.real.blocks, self.detector.head)


def _encoded(real: Real, detector: Detector) -> tuple[FeatureSet, str]:
    """Features of the real pictures, and the folder or file that these were read from."""
    if isinstance(real, FeatureSet):
        real.check_usable("real")
        return real, ""
    if isinstance(real, list | tuple) and all(isinstance(each, str | os.PathLike) for each in real):
        paths, guessed = with_bits([os.path.abspath(each) for each in real])
        real = replace(Manifest.of(paths), guessed=guessed)
    if not isinstance(real, str | os.PathLike | Atlas | Manifest):
        raise LCMemError(
            f"the real pictures of a filter are files, not {type(real).__name__}: paths, a folder, a zip file, a "
            "table, an atlas"
        )
    source = read_source(real)
    found = extract_features(source, detector, None, title="encoding real")
    found.remark_skipped("real")
    found.check_usable("real")
    return found, source.source if isinstance(source, Manifest) else ""


def _calibrated(
    real: FeatureSet, detector: Detector, calibration: Calibrated | None, rate: float
) -> tuple[FeatureSet, Thresholds, Thumbnails]:
    """The real set with the kinds that its thresholds know, the thresholds, and what pictures look like."""
    if isinstance(calibration, str | os.PathLike):
        calibration = CalibrationFile.read(calibration)
    if isinstance(calibration, CalibrationFile):
        real, finder = with_finder(real, detector, calibration)
        return real, read_thresholds(calibration, real, finder), finder.thumbnails
    if calibration is not None:
        # kinds of other real sets are not called the same
        known = bool(calibration.calibration.by_kind) and calibration.made_on == real.fingerprint
        return split_kinds(real, detector) if known else real, calibration, Thumbnails()
    real, finder = with_finder(real, detector, None)
    return real, calibrate_thresholds(real, finder, rate), finder.thumbnails


def _by_looks(verdicts: np.ndarray, hits: np.ndarray, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Verdicts by looks as well, which of the best matches each is about, and whether looks decided: ``[n]`` each.

    Args:
        verdicts: By the scores with the best match ``[n]``.
        hits: Which best matches look like the samples, ``[n, k]``.
        copies: Of which they are copies, ``[n, k]``.
    """
    known = verdicts != NO_MATCH
    cases = [copies.any(1), known, hits.any(1)]
    shown = np.select(cases, [copies.argmax(1), 0, hits.argmax(1)], 0)
    found = np.select(cases, [COPY, verdicts, SAME_IDENTITY], NO_MATCH)
    return found.astype(object), shown, (cases[0] & (verdicts != COPY)) | (cases[2] & ~known)


def _has_16_bits(sample: Any) -> bool:
    """Whether a picture in memory has whole numbers of 16 bits."""
    return getattr(sample, "dtype", None) == np.uint16 or str(getattr(sample, "mode", "")).startswith("I")


def _shows_nothing(sample: PictureLike) -> bool:
    """Whether a picture in memory does, such as what a safety checker blacks out; of files that was an error before."""
    return not isinstance(sample, str | os.PathLike) and shows_little(load_levels(sample))
