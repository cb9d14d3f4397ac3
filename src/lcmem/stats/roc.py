"""Numbers that say how well scores separate pairs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Roc:
    """How many pairs are at or above each threshold, from the highest score down.

    A pair at the threshold counts as a match, so ties speak against the detector, except in the AUC, where a tie counts
    half as usual. All values are NaN where one class is empty.

    Attributes:
        true: Weight of the positive pairs at or above each of the G distinct scores, ``[..., G]``.
        false: Weight of the negative pairs, ``[..., G]``.
    """

    true: np.ndarray
    false: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> "Roc":
        """Scores ``[P]`` (higher: more alike), same ``[P]`` and how much each pair counts, ``[..., P]`` (default 1)."""
        if not len(scores):
            return cls(np.zeros(1), np.zeros(1))
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        weights = np.ones(len(scores)) if weights is None else weights
        sorted_weights = weights[..., order].astype(np.float64)
        both = sorted_weights.cumsum(-1)[..., ends]
        sorted_weights *= same[order]
        true = sorted_weights.cumsum(-1)[..., ends]
        return cls(true, both - true)

    def auc(self) -> np.ndarray:
        """Area under the ROC curve, ``[...]``."""
        steps = np.diff(self.false, axis=-1, prepend=0)
        middles = self.true - np.diff(self.true, axis=-1, prepend=0) / 2
        return _ratio((steps * middles).sum(-1), self.true[..., -1] * self.false[..., -1])

    def specificity(self, sensitivity: float = 0.99) -> np.ndarray:
        """Share of negatives below the highest threshold that keeps this share of the positives, ``[...]``.

        The paper's table 2: "how many truly negative pairs are removed under strict sensitivity requirements".
        """
        _, false = self._at(sensitivity)
        total = self.false[..., -1]
        return np.where(self.true[..., -1] > 0, _ratio(total - false, total), np.nan)

    def precision(self, recall: float = 0.99) -> np.ndarray:
        """Share of positives among the pairs at or above the same threshold, ``[...]``.

        The paper's section 4 fixes the false negative rate at 1 % and evaluates this. It depends on how many negatives
        there are: in the benchmark as many as positives, so that 0.5 is chance.
        """
        true, false = self._at(recall)
        complete = (self.true[..., -1] > 0) & (self.false[..., -1] > 0)
        return np.where(complete, _ratio(true, true + false), np.nan)

    def _at(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        reached = self.true >= share * self.true[..., -1:] - 1e-9
        at = reached.argmax(-1)[..., None]
        return tuple(np.take_along_axis(values, at, -1)[..., 0] for values in (self.true, self.false))  # type: ignore


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) != 0)


def auc(scores: np.ndarray, same: np.ndarray) -> float:
    """Area under the ROC curve; NaN where one class is empty. Scores ``[P]`` (higher: more alike), same ``[P]``."""
    return float(Roc.of(scores, same).auc())


def fnmr_at_fmr(genuine: np.ndarray, impostors: np.ndarray, n_impostor: int, fmr: float) -> float:
    """False non-match rate at the lowest threshold whose false match rate is not above ``fmr`` (ISO/IEC 19795-1).

    Args:
        genuine: Scores of pairs of one identity, ``[G]``.
        impostors: The highest scores of pairs of different identities, at least ``fmr · n_impostor + 1`` (or all).
        n_impostor: How many pairs of different identities there are.
        fmr: Such as 1e-3.

    Returns:
        NaN with fewer than 1/fmr impostor pairs (not one false match would be allowed, the threshold lies where nothing
        was seen) and without a genuine pair.
    """
    allowed = int(np.floor(fmr * n_impostor + 1e-9))
    if not allowed or not len(genuine):
        return float("nan")
    first_refused = -np.partition(-impostors, allowed)[allowed]
    return float((genuine <= first_refused).mean())


def fold_accuracies(scores: np.ndarray, same: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Share of right answers in each fold ``[F]``, with the threshold that is best on all the others.

    LFW's official protocol (Huang et al. 2007, view 2). Of equally good thresholds the highest is taken, in the middle
    between two scores.
    """
    found = []
    for name in np.unique(fold):
        test = fold == name
        roc = Roc.of(scores[~test], same[~test])
        levels = np.unique(scores[~test])[::-1]
        thresholds = np.concatenate(([np.inf], (levels[:-1] + levels[1:]) / 2, [-np.inf]))
        threshold = thresholds[np.argmax(np.append(0, roc.true - roc.false))]
        found.append(((scores[test] > threshold) == same[test]).mean())
    return np.array(found)
