"""The losses of a run so far."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int64, np.float64)
_NOTHING = np.empty(0, np.float64)


class Curve:
    """Epoch numbers, losses and perhaps more columns that grow at the end."""

    def __init__(self) -> None:
        self._epochs = np.empty(64, np.int64)
        self._columns = {"loss": np.empty(64, np.float64)}
        self._size = 0

    def extend(
        self,
        epochs: NDArray[np.int64],
        losses: NDArray[np.float64],
        more: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Add epochs that come after those there are; `more` has the same columns each time."""
        end = self._size + len(epochs)
        columns = {"loss": losses, **(more or {})}
        if not self._size:
            self._columns |= {name: np.empty(64, np.float64) for name in columns if name not in self._columns}
        if end > len(self._epochs):
            # Doubling keeps the cost of growing proportional to the length.
            room = max(end, 2 * len(self._epochs))
            self._epochs = _grown(self._epochs, self._size, room)
            self._columns = {name: _grown(each, self._size, room) for name, each in self._columns.items()}
        self._epochs[self._size : end] = epochs
        for name, values in columns.items():
            self._columns[name][self._size : end] = values
        self._size = end

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Numbers of the epochs, rising; read-only."""
        return _read_only(self._epochs[: self._size])

    @property
    def losses(self) -> NDArray[np.float64]:
        """Loss of each of them; read-only."""
        return self.column("loss")

    def column(self, name: str) -> NDArray[np.float64]:
        """A column by its name; read-only, and empty when there is none."""
        return _read_only(self._columns.get(name, _NOTHING)[: self._size])


def _grown(array: NDArray[Number], size: int, room: int) -> NDArray[Number]:
    return np.resize(array[:size], room)


def _read_only(view: NDArray[Number]) -> NDArray[Number]:
    view.flags.writeable = False
    return view
