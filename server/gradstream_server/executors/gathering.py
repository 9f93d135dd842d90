"""Epochs on their way out: gathered one by one, sent many at a time."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from gradstream_server.executors.measuring import Measures, by_column
from gradstream_server.jobs.events import EpochUpdates
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Array, Parameters


class Diverged(Exception):
    """The loss of an epoch is not finite. `updates` are the epochs before it, still to be reported."""

    def __init__(self, epoch: int, updates: list[EpochUpdates]) -> None:
        super().__init__(epoch)
        self.epoch = epoch
        self.updates = updates


class EpochGathering:
    """Collects what each epoch leaves, on the device, and brings it to the host all at once."""

    def __init__(
        self,
        report_every: int,
        epochs: int,
        after: int = 0,
        last_loss: float = math.nan,
        reported: int = 0,
        measured: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            report_every: of the epochs 1, 1 + n, 1 + 2n and so on, and of the last, it is told.
            epochs: the last epoch.
            after: the epoch that training goes on after.
            last_loss: the loss of that epoch.
            reported: up to this epoch all has been told before.
            measured: what the measures of each epoch are: the validation loss, and metrics by name.
        """
        self._report_every = report_every
        self._epochs = epochs
        self._reported = reported
        self.last_epoch = after
        """The last epoch taken."""
        self.last_loss = last_loss
        """The loss of the last epoch taken."""
        self._losses: list[Array] = []
        # A call more is felt where an epoch takes five microseconds: this is the list's own method.
        self.add_loss: Callable[[Array], None] = self._losses.append
        """Take the loss of the next epoch."""
        self._measured = measured
        self._measures: list[Measures] = []
        self.add_measures: Callable[[Measures], None] = self._measures.append
        """Take the measures of the next epoch."""
        self._parameters: Parameters = {}
        self._copies: list[Any] = []

    @property
    def newest_epoch(self) -> int:
        """The last epoch that has gathered."""
        return self.last_epoch + len(self._losses)

    def add_parameters(self, parameters: Parameters) -> None:
        """Take a copy of the parameters after the epoch: of every epoch, or of none."""
        self._parameters = parameters
        for value in parameters.values():
            # Bytes are the cheapest copy there is of a small array.
            self._copies.append(value.tobytes() if isinstance(value, np.ndarray) else value.clone())

    def take(self, ended: bool = False) -> list[EpochUpdates]:
        """What has gathered since the last time, as one update; none when nothing of it is to be reported.

        Args:
            ended: whether the newest epoch is the last.

        Raises:
            Diverged: a loss is not finite.
        """
        losses = _losses(self._losses)
        epochs = np.arange(self.last_epoch + 1, self.last_epoch + 1 + len(losses))
        finite = np.isfinite(losses)
        good = len(losses) if finite.all() else int(np.argmin(finite))
        kept = (epochs - 1) % self._report_every == 0
        kept |= epochs == (self.newest_epoch if ended else self._epochs)
        kept &= epochs > self._reported
        kept[good:] = False
        updates = []
        if kept.any():
            columns = {
                name: _column(value, self._copies[i :: len(self._parameters)])[kept]
                for i, (name, value) in enumerate(self._parameters.items())
            }
            validation_losses, metrics = self._measured_columns(kept)
            updates = [EpochUpdates(epochs[kept], losses[kept], columns, validation_losses, metrics)]
        self.last_epoch += good
        if good:
            self.last_loss = float(losses[good - 1])
        self._losses.clear()
        self._measures.clear()
        self._copies.clear()
        if good < len(losses):
            raise Diverged(self.last_epoch + 1, updates)
        return updates

    def _measured_columns(
        self, kept: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64] | None, dict[str, NDArray[np.float64]]]:
        """The validation losses of the epochs that are kept, and each metric."""
        if not self._measured:
            return None, {}
        losses, *metrics = by_column(self._measures, len(self._measured))[:, kept]
        return losses, dict(zip(self._measured[1:], metrics, strict=True))


def _losses(values: list[Array]) -> NDArray[np.float64]:
    """Numbers, or 0-d arrays of a device, on the host."""
    if values and not isinstance(values[0], float | np.generic):
        return to_numpy(array_namespace(values[0]).stack(values)).astype(np.float64)
    return np.array(values, dtype=np.float64)


def _column(like: Array, copies: list[Any]) -> NDArray[Any]:
    """Copies of arrays that were all like one, stacked on the host: (copies, *shape)."""
    if isinstance(like, np.ndarray):
        return np.frombuffer(b"".join(copies), like.dtype).reshape(len(copies), *like.shape)
    return to_numpy(array_namespace(like).stack(copies))
