"""What a model is measured by beside its loss.

Each takes predictions as `Trainer.predict` gives them and targets (n, t), and gives what scikit-learn has for
it, which tests compare it with, in less time than an epoch of a small problem takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Metric:
    """A measure of predictions."""

    of_classes: bool
    """Whether the targets are classes."""
    compute: Callable[[Floats, Floats], float]
    """From predictions and targets to a number; not finite where predictions are not."""
    undefined: Callable[[Floats, Sequence[str]], str] = lambda _targets, _classes: ""
    """Why it is not defined for targets, given the names of the classes; empty where it is."""
    greater_is_better: bool = False


def _mae(predictions: Floats, targets: Floats) -> float:
    return float(np.abs(predictions.astype(np.float64) - targets).mean())


def _rmse(predictions: Floats, targets: Floats) -> float:
    """Of several targets the mean of each one's, as scikit-learn has it."""
    return float(np.sqrt(((predictions.astype(np.float64) - targets) ** 2).mean(axis=0)).mean())


def _r2(predictions: Floats, targets: Floats) -> float:
    exact = targets.astype(np.float64)
    left = ((predictions - exact) ** 2).sum(axis=0)
    there = ((exact - exact.mean(axis=0)) ** 2).sum(axis=0)
    return float((1 - left / there).mean())


def _no_r2(targets: Floats, _classes: Sequence[str]) -> str:
    if len(targets) < 2:
        return "there is one row only, and it needs two"
    return "a target is the same in all of them" if (targets == targets[0]).all(axis=0).any() else ""


def _accuracy(predictions: Floats, targets: Floats) -> float:
    if not np.isfinite(predictions).all():
        return np.nan
    return float((_probabilities(predictions).argmax(axis=1) == _labels(targets)).mean())


def _log_loss(predictions: Floats, targets: Floats) -> float:
    labels = _labels(targets)
    own = _probabilities(predictions)[np.arange(len(labels)), labels]
    smallest = float(np.finfo(predictions.dtype).eps)  # what a probability of 0 counts as
    return float(-np.log(np.clip(own, smallest, 1 - smallest)).mean())


def _auc(predictions: Floats, targets: Floats) -> float:
    if not np.isfinite(predictions).all():
        return np.nan
    labels, probabilities = _labels(targets), _probabilities(predictions)
    if probabilities.shape[1] == 2:
        return _area(probabilities[:, 1], labels == 1)
    return float(np.mean([_area(each, labels == i) for i, each in enumerate(probabilities.T)]))


def _area(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """How often a positive row is above a negative one, ties by half: Mann and Whitney's U by its ranks."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2
    above = int(positive.sum())
    pairs = above * (len(scores) - above)
    return float((ranks[place][positive].sum() - above * (above + 1) / 2) / pairs)


def _no_auc(targets: Floats, classes: Sequence[str]) -> str:
    there = np.unique(_labels(targets)).tolist()
    if len(there) == 1:
        return f"they hold one class only, {classes[there[0]]!r}"
    missing = [name for i, name in enumerate(classes) if i not in there]
    return f"none of them is of class {missing[0]!r}" if missing else ""


def _labels(targets: Floats) -> Labels:
    return targets[:, 0].astype(np.intp)


def _probabilities(predictions: Floats) -> NDArray[np.float64]:
    """A probability for each class, (n, classes)."""
    exact = predictions.astype(np.float64)
    return np.hstack((1 - exact, exact)) if exact.shape[1] == 1 else exact


METRICS = {
    "mae": Metric(False, _mae),
    "rmse": Metric(False, _rmse),
    "r2": Metric(False, _r2, _no_r2, greater_is_better=True),
    "accuracy": Metric(True, _accuracy, greater_is_better=True),
    "log_loss": Metric(True, _log_loss),
    "auc": Metric(True, _auc, _no_auc, greater_is_better=True),
}
"""All there are, by name."""
