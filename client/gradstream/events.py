"""What happens to a job, as values. Arrays in them are read-only: `.copy()` gives one to change."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from gradstream.errors import Fault
from gradstream.job import JobState, ModelVersion
from gradstream.spec import Spec

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """What happens to a job: an entry of its log, but for `Heartbeat`."""

    job: str
    """The job."""
    sequence: int
    """Position in the job's log, from 1."""
    attempt: int
    """Which try at running the job this is: 0 while it has never run, 1 for the first."""
    time: datetime
    """When the server recorded it, in UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class StateChange(Event):
    """The job went into another state."""

    state: JobState
    reason: str
    """Why, in a sentence for people; empty where the state says it all."""
    jobs_ahead: int
    """For QUEUED: how many jobs are ahead of this one."""
    fault: Fault | None
    """For FAILED: what went wrong."""
    result_so_far: "Completed | None"
    """For CANCELLED and most that FAILED: what training had reached, a usable model. None before the first
    epoch, and where nothing can be relied on, as when the loss was no longer finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """The scaling of the features: scaled = (feature - mean) / scale. Both of shape (features,)."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Started(Event):
    """Training is about to begin."""

    spec: Spec
    """The spec with every field set."""
    rows: int
    """Rows that are learnt from."""
    features: int
    targets: int
    predictions: FloatArray | None
    """What the untrained model predicts for `spec.predict_rows`, shape (rows, targets)."""
    parameters: dict[str, FloatArray]
    """Where training starts: weight (targets, features) and, with an intercept, bias (targets)."""
    scaling: Scaling | None
    """How the features were scaled; None when they were not."""
    validation_rows: int = 0
    """Rows that the model is measured on beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochUpdate(Event):
    """One epoch has passed."""

    epoch: int
    """From 1."""
    loss: float
    """Mean squared error of the epoch's forward pass, before its update."""
    parameters: dict[str, NDArray[np.float64]] | None
    """The parameters after the update, as trained; None for a model of more than 64 numbers."""
    validation_loss: float | None = None
    """The loss of the validation rows after the update; None without validation."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What else is measured of these rows, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochUpdates(Event):
    """Several epochs have passed, as columns: entry i of each belongs to the same epoch."""

    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    parameters: dict[str, NDArray[np.float64]] | None
    """Shapes (epochs, targets, features) for the weight and (epochs, targets) for the bias."""
    validation_losses: NDArray[np.float64] | None = None
    """None without validation."""
    metrics: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.epochs)

    def updates(self, first: int = 0) -> Iterator[EpochUpdate]:
        """One update for each epoch, from position `first` on."""
        numbers, losses = self.epochs[first:].tolist(), self.losses[first:].tolist()
        head = (self.job, self.sequence, self.attempt, self.time)
        parameters = repeat(None) if self.parameters is None else _by_epoch(self.parameters, first)
        if self.validation_losses is None:
            for epoch, loss, values in zip(numbers, losses, parameters, strict=False):
                yield EpochUpdate(*head, epoch, loss, values)
            return
        measured = self.validation_losses[first:].tolist()
        metrics = {name: column[first:].tolist() for name, column in self.metrics.items()}
        for i, (epoch, loss, values) in enumerate(zip(numbers, losses, parameters, strict=False)):
            here = {name: column[i] for name, column in metrics.items()}
            yield EpochUpdate(*head, epoch, loss, values, measured[i], here)

    def after(self, count: int) -> "EpochUpdates":
        """The same without the first `count` epochs."""
        parameters = self.parameters and {name: column[count:] for name, column in self.parameters.items()}
        head = (self.job, self.sequence, self.attempt, self.time)
        return EpochUpdates(
            *head,
            self.epochs[count:],
            self.losses[count:],
            parameters,
            None if self.validation_losses is None else self.validation_losses[count:],
            {name: column[count:] for name, column in self.metrics.items()},
        )


def _by_epoch(
    columns: dict[str, NDArray[np.float64]], first: int
) -> Iterator[dict[str, NDArray[np.float64]]]:
    names = tuple(columns)
    for values in zip(*(column[first:] for column in columns.values()), strict=True):
        yield dict(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint(Event):
    """What has been trained so far is safe: a job whose worker or server dies goes on from here."""

    epoch: int
    """The last epoch in it."""


@dataclass(frozen=True, slots=True, eq=False)
class JobWarning(Event):
    """Something that the job goes on in spite of."""

    reason: str
    """What programs can rely on: CHECKPOINT_DAMAGED, CHECKPOINT_NOT_WRITTEN, ENVIRONMENT_CHANGED,
    METRIC_LEFT_OUT."""
    message: str
    """What it is, in a sentence for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Heartbeat(Event):
    """Nothing has happened for a while, and the connection is there. No entry of the log: it comes only to
    who asks for it, and its `sequence` is that of another event."""

    state: JobState
    """Where the job stands."""
    jobs_ahead: int
    """For QUEUED: how many jobs are ahead of this one now."""


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """What is needed to train a model again and compare, beside the resolved spec."""

    data_digest: str
    """SHA-256 of the data in hexadecimal."""
    parameter_digest: str
    """SHA-256 of the parameters as trained, in hexadecimal."""
    device: str
    threads: int
    """Threads that the arithmetic on the CPU was allowed."""
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Completed(Event):
    """What training has led to: the last event of a job that succeeds, or `result_so_far` of another."""

    epochs: int
    """Epochs trained."""
    final_loss: float
    """Loss of the last epoch; when `restored`, of the best. So are predictions, parameters and validation."""
    predictions: FloatArray | None
    """What the trained model predicts for `spec.predict_rows`, shape (rows, targets)."""
    parameters: dict[str, FloatArray]
    """The parameters as trained: weight (targets, features) and, with an intercept, bias (targets)."""
    unscaled_parameters: dict[str, FloatArray] | None
    """The same in the data's own units; None unless features were scaled, and for an installed module."""
    receipt: Receipt
    training_seconds: float
    """From the first epoch to the last, without loading."""
    scaling: Scaling | None = None
    """How features are scaled before `parameters` apply to them; None when they are not."""
    validation_loss: float | None = None
    """Loss of the validation rows; None without any."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What else is measured of these rows, by name."""
    best_epoch: int | None = None
    """The epoch in which what is monitored was best; None where nothing is."""
    restored: bool = False
    """Whether the parameters are those of the best epoch, instead of the last."""
    end: str = ""
    """What has ended training: EPOCHS (all were trained), NO_IMPROVEMENT (for `patience` epochs) or TIME
    (`stop_after_seconds`). Empty where nothing has, and where the server did not tell."""
    model: ModelVersion | None = None
    """The model that is kept of it: `client.model(result.model)`. None where an older server told it."""

    @property
    def parameters_in_own_units(self) -> dict[str, FloatArray]:
        """The parameters in the data's own units, scaled or not: what `initial_parameters` takes.

        Those of an installed module are as it has trained with them."""
        return self.unscaled_parameters or self.parameters

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import completed_html

        return completed_html(self)
