"""Teachers: detectors whose features the network learns from. They are asked once for each picture's content."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import ortho_group
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lcmem.atlas.card import FEATURES, feature_card
from lcmem.atlas.fill import encoded
from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.module import ModuleDetector
from lcmem.detectors.registry import load_detector
from lcmem.errors import LCMemError
from lcmem.latents import LatentStore
from lcmem.locks import alone_in
from lcmem.model import SiameseNetwork
from lcmem.pictures.manifest import Manifest
from lcmem.store import Store, fill
from lcmem.training.recipe import Recipe, Teacher

SAMPLE = 8000
"""Pictures that main directions are worked out from."""


def load_teachers(recipe: Recipe, manifest: Manifest, device: str, allow_download: bool) -> dict[str, Detector]:
    """The recipe's teachers, by their names there.

    Args:
        recipe: Its ``teachers``.
        manifest: The training pictures.
        device: Where teachers work.
        allow_download: Whether their weights may be downloaded.

    Raises:
        LCMemError: One is not available, or knows none of the datasets.
    """
    found = {}
    for name, teacher in recipe.teachers.items():
        if not known_rows(teacher, manifest).any():
            raise LCMemError(
                f"teachers.{name}: no training picture is of the datasets {', '.join(teacher.datasets)}; name yours, "
                f"--set 'teachers.{name}.datasets=[\"NAME\"]', or leave it out, --set teachers.{name}=none"
            )
        try:
            detector = load_detector(teacher.detector, Options(device, allow_download))
        except LCMemError as error:
            raise LCMemError(f"teachers.{name}: {error}; or leave it out, --set teachers.{name}=none") from error
        found[name] = _without_crop(detector, name) if teacher.whole else detector
    return found


def _without_crop(detector: Detector, name: str) -> Detector:
    """The same network on whole pictures."""
    if not isinstance(detector, ModuleDetector):
        raise LCMemError(f"teachers.{name}.whole=true, but {detector.name} does not cut out anything")
    whole = replace(detector.preprocessing, resize=detector.preprocessing.crop)
    return ModuleDetector(f"{detector.name}-whole", detector.module, whole, str(detector.device))


def known_rows(teacher: Teacher, manifest: Manifest) -> np.ndarray:
    """Which pictures a teacher knows about, ``[N]`` booleans."""
    datasets = manifest.table["dataset"]
    return (datasets.isin(teacher.datasets) if teacher.datasets else datasets.notna()).to_numpy()


def ask(detector: Detector, store: LatentStore, rows: np.ndarray, folder: Path, *, fresh: bool) -> np.ndarray:
    """A teacher's features of training pictures.

    Args:
        detector: The teacher.
        store: The training pictures.
        rows: Which of them, positions ``[n]``.
        folder: Where the answers of teachers are kept.
        fresh: Whether to ask about pictures that were not asked about yet; otherwise they are there already.

    Returns:
        ``[n, d]`` float32.

    Raises:
        LCMemError: A picture cannot be read any more.
    """
    place, keys = folder / f"{detector.name}-{detector.fingerprint[:16]}", store.keys[rows]
    if fresh:
        with alone_in(place):  # several runs may share it
            answers = Store.claim(place, feature_card(detector, FEATURES))
            paths = list(store.manifest.table["path"].iloc[rows])
            done = fill(answers, paths, encoded(detector), title=f"asking {detector.name}", keys=list(keys))
        if done.skipped:
            raise LCMemError(f"{done.skipped[0][1]}; run the same command again when the picture is back")
    else:
        answers = Store.open(place, FEATURES)
    return np.asarray(answers.of(keys)[:])


@dataclass(frozen=True)
class Aim:
    """What a part of the features shall be, or predict.

    Attributes:
        at: Row in ``values`` of each training picture, ``[N]``; −1 where the teacher does not know.
        values: ``[n, d]``, each of length 1.
        layer: Weight and bias that bring the teacher's features near to ``values``, where they are compressed.
    """

    at: Tensor
    values: Tensor
    layer: tuple[Tensor, Tensor] | None = None


def aim_of(teacher: Teacher, answers: np.ndarray, rows: np.ndarray, count: int, features: int) -> Aim:
    """What a teacher's answers ask of the features.

    Args:
        teacher: Its ``compress``.
        answers: ``[n, d]``.
        rows: Positions ``[n]`` of their pictures.
        count: Number of training pictures.
        features: Size of the part that learns from it.

    Raises:
        LCMemError: Fewer answers or features than main directions.
    """
    at = torch.full((count,), -1)
    at[torch.from_numpy(rows)] = torch.arange(len(rows))
    lengths = np.linalg.norm(answers, axis=1, keepdims=True).clip(1e-12)
    if not teacher.compress:
        return Aim(at, torch.from_numpy(answers / lengths))
    if features > min(answers.shape):
        raise LCMemError(
            f"{teacher.detector}: {answers.shape[0]} pictures with {answers.shape[1]} features have no {features} main "
            "directions; make that part of network.parts smaller, or set compress=false"
        )
    mean, directions = main_directions(answers / lengths, features)
    values = torch.from_numpy((answers / lengths - mean) @ directions.T)
    layer = torch.from_numpy(directions), torch.from_numpy(-lengths.mean() * directions @ mean)
    return Aim(at, F.normalize(values, dim=1), layer)


def _own_part(name: str, detector: Detector, recipe: Recipe, answers: np.ndarray, part: slice) -> np.ndarray:
    """What a detector with the same parts says in one of them, around 0."""
    if not isinstance(detector, LCMem) or list(detector.network.settings.parts) != list(recipe.network.parts):
        raise LCMemError(f"teachers.{name}.own=true, but {detector.name} has not the parts {recipe.network.parts}")
    return 2 * answers[:, part] - 1


def main_directions(answers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``[d]`` and main directions ``[count, d]`` of features ``[n, d]``.

    The directions are turned at random among themselves, which changes no cosine: each then has the same share of the
    variance, and the L1 distance along them follows the Euclidean one.
    """
    sample = np.random.default_rng(0).permutation(len(answers))[:SAMPLE]
    components = PCA(count, random_state=0).fit(answers[sample]).components_
    turn = ortho_group.rvs(count, random_state=0) if count > 1 else np.eye(1)
    return answers.mean(0), (turn @ components).astype(answers.dtype)


class Lesson(nn.Module):
    """What one teacher adds to the loss.

    Args:
        teacher: Its weights.
        part: Of the features.
        aim: What they shall be.
    """

    def __init__(self, teacher: Teacher, part: slice, aim: Aim) -> None:
        super().__init__()
        self.teacher, self.part, self.aim = teacher, part, aim
        size = part.stop - part.start
        predicts = teacher.cosine > 0 and not (teacher.compress or teacher.own)
        self.layer = nn.Linear(size, aim.values.shape[1], bias=False) if predicts else nn.Identity()

    def known(self, pictures: Tensor) -> Tensor:
        """Whether the teacher knows training pictures, positions ``[n]``."""
        return self.aim.at.to(pictures.device)[pictures] >= 0

    def forward(self, centred: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """The terms of the loss, each with its weight.

        Args:
            centred: Features ``[n, D]`` around 0.
            pictures: Positions ``[n]`` of the training pictures that they are of, however edited.
        """
        known = self.known(pictures)
        places = self.aim.at.to(pictures.device)[pictures[known]]
        aims = self.aim.values[places.to(self.aim.values.device)].to(centred)
        own = F.normalize(centred[known][:, self.part], dim=1)
        count = max(1, len(own))  # none may be known: the sums are 0 then, and so are the gradients
        terms = {}
        if self.teacher.cosine:
            reached = F.normalize(self.layer(own), dim=1)
            terms["cosine"] = self.teacher.cosine * (1 - (reached * aims).sum(1)).sum() / count
        if self.teacher.similarity:
            gap = own @ own.T - aims @ aims.T  # 0 on the diagonal
            terms["similarity"] = self.teacher.similarity * gap.square().sum() / max(1, count * (count - 1))
        return terms

    def begin(self, network: SiameseNetwork) -> None:
        """Let a new network, whose backbone is the teacher itself, begin near to the aim."""
        if self.aim.layer is not None:
            layer = network.last_layer
            with torch.no_grad():
                layer.weight[self.part], layer.bias[self.part] = self.aim.layer


def lessons_of(
    recipe: Recipe, teachers: Mapping[str, Detector], store: LatentStore, folder: Path, *, fresh: bool
) -> nn.ModuleDict:
    """A lesson of each teacher; it is asked about training pictures that it was not asked about yet.

    Args:
        recipe: Its ``teachers`` and ``network``.
        teachers: The detectors, by their names in the recipe.
        store: The training pictures.
        folder: Where the answers of teachers are kept.
        fresh: As of :func:`ask`.
    """
    lessons = nn.ModuleDict()
    for name, detector in teachers.items():
        teacher, network = recipe.teachers[name], recipe.network
        rows = np.flatnonzero(known_rows(teacher, store.manifest))
        answers = ask(detector, store, rows, folder, fresh=fresh)
        part = network.part(teacher.part)
        if teacher.own:
            answers = _own_part(name, detector, recipe, answers, part)
        aim = aim_of(teacher, answers, rows, len(store), part.stop - part.start)
        with torch.random.fork_rng([]):  # the same layer, whether or not decoding drew random numbers before
            torch.manual_seed(recipe.seed)
            lessons[name] = Lesson(teacher, part, aim)
    return lessons
