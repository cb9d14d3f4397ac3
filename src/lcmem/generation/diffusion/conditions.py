"""What a pseudo-conditional generator is told of each training picture: five strategies (paper, section 4.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
import torch.nn.functional as F
from scipy.stats import chi2
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from torch import Tensor, nn

from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.generation.diffusion.settings import Classifier
from lcmem.latents import LatentStore
from lcmem.progress import progress_bar

FOLDS = 5
VALIDATION = 0.1
"""Share of the identities of a classifier's training folds that it is validated on."""


@dataclass(frozen=True)
class Knowledge:
    """What is known of N pictures with L labels.

    Attributes:
        labels: ``[N, L]`` 0 or 1.
        names: Of the labels.
        predictions: Probabilities of the five classifiers ``[5, N, L]``.
        fold: The one classifier that did not train on the picture, ``[N]``.
    """

    labels: np.ndarray
    names: list[str]
    predictions: np.ndarray
    fold: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """``[N, L]``: predictions of the classifier that did not train on the picture."""
        found: np.ndarray = self.predictions[self.fold, np.arange(len(self.fold))]
        return found


def label_noise(known: Knowledge) -> np.ndarray:
    """Label + noise drawn once: as far from the label as predictions are, in the median."""
    count = known.labels.shape[1]
    distance = np.median(np.linalg.norm(known.own - known.labels, axis=1))
    scale = distance / np.sqrt(chi2.ppf(0.5, count))
    noisy: np.ndarray = known.labels + scale * np.random.default_rng(0).standard_normal(known.labels.shape)
    return noisy


STRATEGIES: dict[str, Callable[[Knowledge], np.ndarray]] = {
    "Label + Noise": label_noise,
    "Prediction": lambda known: known.own,
    "Prediction + Label": lambda known: np.hstack((known.own, known.labels)),
    "Ensemble": lambda known: known.predictions.mean(0),
    "Ensemble + Label": lambda known: np.hstack((known.predictions.mean(0), known.labels)),
}
"""In the order of table 3; the prediction is that of the classifier that did not train on the picture, the ensemble the
mean of all five."""


def conditions(strategy: str, known: Knowledge) -> np.ndarray:
    """Conditions ``[N, K]`` float32 of a strategy, each scaled to the length √K."""
    values = STRATEGIES[strategy](known)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.maximum(length, 1e-12) * values.shape[1] ** 0.5).astype(np.float32)


def label_matrix(table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Labels ``[N, L]`` and their names, from the column ``label`` (several: ``a|b``), apart for each dataset.

    Raises:
        LCMemError: No such column, or fewer than two labels in it.
    """
    if "label" not in table:
        raise LCMemError("the manifest has no column 'label', which the conditionings are about")
    own = table["dataset"].astype(str) + ":"
    given = table["label"].fillna("").astype(str).str.split("|")
    sets = [{prefix + name for name in names if name} for prefix, names in zip(own, given, strict=True)]
    names = sorted(set().union(*sets))
    if len(names) < 2:
        raise LCMemError(f"{len(names)} labels are too few to condition on; the column 'label' needs at least 2")
    return np.array([[name in each for name in names] for each in sets], dtype=np.float32), names


def learn(store: LatentStore, settings: Classifier, folder: Path, device: str = "cpu") -> Knowledge:
    """Train the five classifiers; a fold that is done is not done again.

    Args:
        store: Latents of the labelled training pictures.
        settings: Of the classifiers.
        folder: Where predictions are kept.
        device: Where to train.

    Raises:
        LCMemError: No labels, or fewer than five identities.
    """
    labels, names = label_matrix(store.manifest.table)
    groups = np.array(store.manifest.identities, dtype=object)
    if len(set(groups)) < 2 * FOLDS:
        raise LCMemError(f"{len(set(groups))} identities are too few for {FOLDS} folds; at least {2 * FOLDS}")
    folder.mkdir(parents=True, exist_ok=True)
    fold, found = np.zeros(len(groups), dtype=np.int64), []
    for number, (train, out) in enumerate(GroupKFold(FOLDS).split(groups, groups=groups)):
        fold[out] = number
        target = folder / f"fold{number}.npy"
        if not target.is_file():
            predicted = _train(store, labels, train, groups, settings, number, device)
            with replacing(target) as partial, partial.open("wb") as file:
                np.save(file, predicted)
        found.append(np.load(target))
    return Knowledge(labels, names, np.stack(found), fold)


def _train(
    store: LatentStore,
    labels: np.ndarray,
    usable: np.ndarray,
    groups: np.ndarray,
    settings: Classifier,
    fold: int,
    device: str,
) -> np.ndarray:
    """Train one classifier, and let it predict all pictures ``[N, L]``."""
    split = GroupShuffleSplit(1, test_size=VALIDATION, random_state=fold)
    train, held_out = (usable[part] for part in next(split.split(usable, groups=groups[usable])))
    torch.manual_seed(fold)
    network = _network(store.shape[0], settings.width, labels.shape[1]).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=settings.patience)
    rng, best, kept = np.random.default_rng(fold), np.inf, network.state_dict()
    with progress_bar(f"classifier {fold + 1} of {FOLDS}", settings.epochs) as advance:
        for _ in range(settings.epochs):
            _epoch(network, optimizer, store, labels, rng.permutation(train), settings.batch_size, rng)
            predicted = torch.from_numpy(_predict(network, store, held_out))
            loss = float(F.binary_cross_entropy(predicted, torch.from_numpy(labels[held_out])))
            if not np.isfinite(loss):
                raise LCMemError(f"classifier {fold + 1}: the validation loss is {loss}; try a lower classifier.lr")
            if loss < best:
                best, kept = loss, {name: value.clone() for name, value in network.state_dict().items()}
            plateau.step(loss)
            advance(1)
    network.load_state_dict(kept)
    return _predict(network, store, np.arange(len(store)))


def _network(channels: int, width: int, labels: int) -> nn.Module:
    dims = [width, 2 * width, 2 * width, 4 * width]
    return timm.create_model(
        "convnext_atto", in_chans=channels, num_classes=labels, patch_size=1, dims=dims, depths=(1, 1, 2, 1)
    )


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    store: LatentStore,
    labels: np.ndarray,
    order: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> None:
    network.train()
    device = next(network.parameters()).device
    for start in range(0, len(order), size):
        at = order[start : start + size]
        latents = torch.stack([_cropped(each, rng) for each in store.read(at, normalise=True)]).to(device)
        loss = F.binary_cross_entropy_with_logits(network(latents), torch.from_numpy(labels[at]).to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _cropped(latent: Tensor, rng: np.random.Generator) -> Tensor:
    """A random resized crop of at least 60 % of each side, mirrored half of the time, ``[C, h, w]``."""
    height, width = latent.shape[1:]
    high, wide = (max(1, round(rng.uniform(0.6, 1) * side)) for side in (height, width))
    top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
    part = latent[:, top : top + high, left : left + wide]
    part = part.flip(-1) if rng.random() < 0.5 else part
    return F.interpolate(part[None], (height, width), mode="bilinear")[0]


@torch.inference_mode()
def _predict(network: nn.Module, store: LatentStore, at: np.ndarray) -> np.ndarray:
    network.eval()
    device = next(network.parameters()).device
    parts = [network(store.read(at[k : k + 256], normalise=True).to(device)) for k in range(0, len(at), 256)]
    return torch.cat(parts).sigmoid().float().cpu().numpy()
