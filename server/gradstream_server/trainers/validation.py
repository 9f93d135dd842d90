"""Rows that nothing is learnt from: the same for every trainer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers import batches
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Array, Problem

Measure = Callable[[Array, Array], tuple[Array, Array]]
"""From features (b, d) and targets (b, t) to their loss, summed (0-d), and predictions (b, outputs)."""


class ValidationRows:
    """The validation rows of a problem, on the device of training."""

    def __init__(self, problem: Problem, to_device: Callable[[NDArray[np.generic], str], Array]) -> None:
        """
        Args:
            to_device: makes the trainer's kind of array.
        """
        rows = problem.validation
        self._arrays: tuple[Array, Array] | None = None
        if rows is not None:
            device = problem.device
            self._arrays = to_device(rows.features, device), to_device(rows.targets, device)

    def measured(self, measure: Measure) -> tuple[float, NDArray[np.floating]]:
        """The mean loss of the rows, and predictions (m, outputs) for them, from a block at a time.

        Raises:
            ValueError: the problem has none.
        """
        if self._arrays is None:
            raise ValueError("the problem has no validation rows")
        features, targets = self._arrays
        rows, columns = targets.shape
        total, predictions = 0.0, []
        for block in batches.blocks(rows, features.shape[1] + columns):
            loss, predicted = measure(features[block, :], targets[block, :])
            total += float(loss)
            predictions.append(to_numpy(predicted))
        return total / (rows * columns), np.concatenate(predictions)
