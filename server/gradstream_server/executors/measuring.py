"""What is measured after each epoch, which of them was the best, and whether it is time to stop."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstream_server.executors.model import Model, Reached
from gradstream_server.jobs.checkpoint import Checkpoint
from gradstream_server.jobs.events import Warned, WarningReason
from gradstream_server.jobs.spec import Spec
from gradstream_server.jobs.validation import LOSS, VALIDATION_LOSS
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.metrics import METRICS
from gradstream_server.trainers.problem import Array

Measures = tuple[float, ...]
"""The validation loss, and behind it each metric; empty without validation."""


@dataclass(frozen=True)
class Epoch:
    """An epoch, as it was measured, and the model after it."""

    loss: float
    measures: Measures
    reached: Reached


class Measuring:
    """Measures one attempt at a job."""

    def __init__(self, spec: Spec, model: Model, targets: NDArray[np.floating] | None) -> None:
        """
        Args:
            targets: those of the validation rows, (rows, targets); None without validation.

        Raises:
            CannotTrain: what is to be monitored is not defined for these rows.
        """
        self._model = model
        self._targets = targets
        self._stopping = spec.stopping
        self.left_out: list[Warned] = []
        """What is to be told of metrics that these rows do not have."""
        names: list[str] = []
        validation = spec.validation
        for name in validation.metrics if validation and targets is not None else ():
            assert targets is not None
            if why := METRICS[name].undefined(targets, spec.data.classes):
                if name == self._stopping.monitor:
                    raise CannotTrain(
                        f"{name} is monitored, but it is not defined for the validation rows: {why}; "
                        "monitor validation_loss, or give other rows"
                    )
                message = f"{name} is left out, for it is not defined for the validation rows: {why}"
                self.left_out.append(Warned(WarningReason.METRIC_LEFT_OUT, message))
            else:
                names.append(name)
        self.columns = (VALIDATION_LOSS, *names) if targets is not None else ()
        """What the measures are."""
        self._metrics = [METRICS[name].compute for name in names]
        self._value = _monitored(self._stopping.monitor, self.columns)
        metric = METRICS.get(self._stopping.monitor)
        self._sign = -1 if metric and metric.greater_is_better else 1
        self.measures: Measures = ()
        """Of the last epoch."""
        self.best_epoch = 0
        self.best_value = math.nan
        self.best: Epoch | None = None
        """The best epoch so far, where its parameters are to be restored."""

    @property
    def needed(self) -> bool:
        """Whether there is anything to do after an epoch."""
        return bool(self.columns or self._value)

    def resume(self, earlier: Checkpoint) -> None:
        """Be where the attempt was that left a checkpoint."""
        result = earlier.result
        told = {VALIDATION_LOSS: result.validation_loss, **result.metrics}
        self.measures = tuple(math.nan if (value := told[name]) is None else value for name in self.columns)
        self.best_epoch, self.best_value = result.best_epoch, earlier.best_value
        if result.restored:
            reached = Reached(result.parameters, result.predictions)
            self.best = Epoch(result.final_loss, self.measures, reached)

    def after_epoch(self, epoch: int, loss: Array) -> bool:
        """Measure what the model is after an epoch of a loss; whether that ends training."""
        if self._targets is not None:
            validation_loss, predictions = self._model.trainer.validate()
            with np.errstate(all="ignore"):
                metrics = (compute(predictions, self._targets) for compute in self._metrics)
                self.measures = (validation_loss, *metrics)
        if self._value is None:
            return False
        stopping = self._stopping
        value = self._value(loss, self.measures)
        if math.isfinite(value) and (
            not self.best_epoch or self._sign * (self.best_value - value) > stopping.min_delta
        ):
            self.best_epoch, self.best_value = epoch, value
            if stopping.restore_best:
                self.best = Epoch(float(loss), self.measures, self._model.reached())
        return 0 < stopping.patience <= epoch - self.best_epoch


def _monitored(name: str, columns: tuple[str, ...]) -> Callable[[Array, Measures], float] | None:
    """Takes what is monitored out of a loss and measures; None for nothing."""
    if not name:
        return None
    if name == LOSS:
        return lambda loss, _measures: float(loss)
    place = columns.index(name)
    return lambda _loss, measures: measures[place]


def by_column(rows: list[Measures], count: int) -> NDArray[np.float64]:
    """Measures of epochs as columns, (count, epochs)."""
    return np.array(rows, np.float64).reshape(len(rows), count).T
