"""Epochs on their way out: gathered one by one, sent many at a time."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_array
from numpy.typing import NDArray

from gradstream_server.jobs.events import EpochUpdates
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Array, Parameters


class Diverged(Exception):
    """The loss of an epoch is not finite. `updates` are the epochs before it, still to be reported."""

    def __init__(self, epoch: int, updates: EpochUpdates | None) -> None:
        super().__init__(epoch)
        self.epoch = epoch
        self.updates = updates


class EpochGathering:
    """Collects what each epoch leaves, on the device, and brings it to the host all at once."""

    def __init__(self, report_every: int, epochs: int, with_parameters: bool) -> None:
        self._report_every = report_every
        self._epochs = epochs
        self._with_parameters = with_parameters
        self._first = 1
        self._losses: list[Array] = []
        self._parameters: list[Parameters] = []

    def wants_parameters(self, epoch: int) -> bool:
        """Whether the parameters after an epoch are to be reported."""
        return self._with_parameters and self._reports(epoch)

    def add(self, loss: Array, parameters: Parameters | None) -> None:
        """Take the loss of the next epoch, and its parameters if they are wanted."""
        self._losses.append(loss)
        if parameters is not None:
            self._parameters.append(parameters)

    def take(self) -> EpochUpdates | None:
        """What has gathered since the last time; None when nothing of it is to be reported.

        Raises:
            Diverged: a loss is not finite.
        """
        losses = _column(self._losses).astype(np.float64)
        epochs = np.arange(self._first, self._first + len(losses))
        finite = np.isfinite(losses)
        good = len(losses) if finite.all() else int(np.argmin(finite))
        kept = (epochs[:good] - 1) % self._report_every == 0
        kept |= epochs[:good] == self._epochs
        updates = None
        if kept.any():
            snapshots = self._parameters[: int(kept.sum())]
            names = snapshots[0] if snapshots else ()
            updates = EpochUpdates(
                epochs=epochs[:good][kept],
                losses=losses[:good][kept],
                parameters={name: _column([snapshot[name] for snapshot in snapshots]) for name in names},
            )
        diverged = self._first + good
        self._first += len(losses)
        self._losses.clear()
        self._parameters.clear()
        if good < len(losses):
            raise Diverged(diverged, updates)
        return updates

    def _reports(self, epoch: int) -> bool:
        return (epoch - 1) % self._report_every == 0 or epoch == self._epochs


def _column(values: list[Array]) -> NDArray[Any]:
    """Arrays of one shape, stacked on the host."""
    first = values[0] if values else 0.0
    if isinstance(first, float | np.generic) or is_numpy_array(first) or not values:
        return np.array(values)
    return to_numpy(array_namespace(first).stack(values))
