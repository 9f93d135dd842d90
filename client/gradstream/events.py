"""What happens to a job, as values. Arrays in them are read-only: `.copy()` gives one to change."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gradstream.errors import Fault
from gradstream.job import JobState
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
    features: int
    targets: int
    predictions: FloatArray | None
    """What the untrained model predicts for `spec.predict_rows`, shape (rows, targets)."""
    parameters: dict[str, FloatArray]
    """Where training starts: weight (targets, features) and, with an intercept, bias (targets)."""
    scaling: Scaling | None
    """How the features were scaled; None when they were not."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochUpdate(Event):
    """One epoch has passed."""

    epoch: int
    """From 1."""
    loss: float
    """Mean squared error of the epoch's forward pass, before its update."""
    parameters: dict[str, NDArray[np.float64]] | None
    """The parameters after the update, as trained; None for a model of more than 64 numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochUpdates(Event):
    """Several epochs have passed, as columns: entry i of each belongs to the same epoch."""

    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    parameters: dict[str, NDArray[np.float64]] | None
    """Shapes (epochs, targets, features) for the weight and (epochs, targets) for the bias."""

    def __len__(self) -> int:
        return len(self.epochs)

    def updates(self, first: int = 0) -> Iterator[EpochUpdate]:
        """One update for each epoch, from position `first` on."""
        numbers, losses = self.epochs[first:].tolist(), self.losses[first:].tolist()
        head = (self.job, self.sequence, self.attempt, self.time)
        if self.parameters is None:
            for epoch, loss in zip(numbers, losses, strict=True):
                yield EpochUpdate(*head, epoch, loss, None)
            return
        names = tuple(self.parameters)
        columns = [column[first:] for column in self.parameters.values()]
        for epoch, loss, *values in zip(numbers, losses, *columns, strict=True):
            yield EpochUpdate(*head, epoch, loss, dict(zip(names, values, strict=True)))

    def after(self, count: int) -> "EpochUpdates":
        """The same without the first `count` epochs."""
        parameters = self.parameters and {name: column[count:] for name, column in self.parameters.items()}
        head = (self.job, self.sequence, self.attempt, self.time)
        return EpochUpdates(*head, self.epochs[count:], self.losses[count:], parameters)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint(Event):
    """What has been trained so far is safe: a job whose worker or server dies goes on from here."""

    epoch: int
    """The last epoch in it."""


@dataclass(frozen=True, slots=True, eq=False)
class JobWarning(Event):
    """Something that the job goes on in spite of."""

    reason: str
    """What programs can rely on: CHECKPOINT_DAMAGED, CHECKPOINT_NOT_WRITTEN, ENVIRONMENT_CHANGED."""
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
    """Loss of the last epoch."""
    predictions: FloatArray | None
    """What the trained model predicts for `spec.predict_rows`, shape (rows, targets)."""
    parameters: dict[str, FloatArray]
    """The parameters as trained: weight (targets, features) and, with an intercept, bias (targets)."""
    unscaled_parameters: dict[str, FloatArray] | None
    """The same in the data's own units; None unless features were scaled."""
    receipt: Receipt
    training_seconds: float
    """From the first epoch to the last, without loading."""
    scaling: Scaling | None = None
    """How features are scaled before `parameters` apply to them; None when they are not."""

    @property
    def parameters_in_own_units(self) -> dict[str, FloatArray]:
        """The parameters in the data's own units, scaled or not: what `initial_parameters` takes."""
        return self.unscaled_parameters or self.parameters
