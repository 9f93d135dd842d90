"""The losses of a run so far."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int64, np.float64)


class Curve:
    """Epoch numbers and losses that grow at the end."""

    def __init__(self) -> None:
        self._epochs = np.empty(64, np.int64)
        self._losses = np.empty(64, np.float64)
        self._size = 0

    def extend(self, epochs: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Add epochs that come after those there are."""
        end = self._size + len(epochs)
        if end > len(self._epochs):
            # Doubling keeps the cost of growing proportional to the length.
            room = max(end, 2 * len(self._epochs))
            self._epochs = np.resize(self._epochs[: self._size], room)
            self._losses = np.resize(self._losses[: self._size], room)
        self._epochs[self._size : end] = epochs
        self._losses[self._size : end] = losses
        self._size = end

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Numbers of the epochs, rising; read-only."""
        return _read_only(self._epochs[: self._size])

    @property
    def losses(self) -> NDArray[np.float64]:
        """Loss of each of them; read-only."""
        return _read_only(self._losses[: self._size])


def _read_only(view: NDArray[Number]) -> NDArray[Number]:
    view.flags.writeable = False
    return view
