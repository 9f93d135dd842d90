"""What happens to a job: the payloads of its log. Their meaning stands in the contract, `event.proto`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gradstream_server.jobs.errors import Fault
from gradstream_server.jobs.spec import FloatArray

Parameters = Mapping[str, FloatArray]
Scaling = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean and scale of each feature."""


@dataclass(frozen=True)
class StateChange:
    """The job went into another state; SUCCEEDED is said by `Completed` alone."""

    state: str
    reason: str = ""
    jobs_ahead: int = 0
    fault: Fault | None = None
    result_so_far: "Completed | None" = None


@dataclass(frozen=True)
class Started:
    """Training is about to begin."""

    rows: int
    features: int
    targets: int
    parameters: Parameters
    predictions: FloatArray | None = None
    """(rows, targets), what the untrained model says."""
    scaling: Scaling | None = None
    validation_rows: int = 0


@dataclass(frozen=True)
class EpochUpdates:
    """Epochs that have passed, as columns of the same length, at least 1."""

    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    parameters: Mapping[str, FloatArray]
    """(epochs, *shape) for each parameter; empty for a large model."""
    validation_losses: NDArray[np.float64] | None = None
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What is needed to train again and compare, beside the spec."""

    data_digest: str
    parameter_digest: str
    device: str
    threads: int
    versions: Mapping[str, str]


class TrainingEnd(StrEnum):
    """What ends a training that succeeds."""

    EPOCHS = "EPOCHS"
    NO_IMPROVEMENT = "NO_IMPROVEMENT"
    TIME = "TIME"


@dataclass(frozen=True)
class Completed:
    """Training has succeeded: the last event of its log."""

    epochs: int
    final_loss: float
    parameters: Parameters
    receipt: Receipt
    training_s: float
    predictions: FloatArray | None = None
    unscaled_parameters: Parameters | None = None
    scaling: Scaling | None = None
    validation_loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    """0 when nothing is monitored, or it never was a number."""
    restored: bool = False
    """Whether all that is told, but `epochs`, is of the best epoch."""
    end: TrainingEnd | None = None
    """What has ended training; None of what was reached on the way."""


@dataclass(frozen=True)
class Checkpointed:
    """What has been trained so far is safe in a checkpoint."""

    epoch: int
    """The last epoch in it."""
    name: str
    """By which the checkpoint store finds it."""


class WarningReason(StrEnum):
    """What a job goes on in spite of; programs can rely on it."""

    CHECKPOINT_DAMAGED = "CHECKPOINT_DAMAGED"
    CHECKPOINT_NOT_WRITTEN = "CHECKPOINT_NOT_WRITTEN"
    ENVIRONMENT_CHANGED = "ENVIRONMENT_CHANGED"
    METRIC_LEFT_OUT = "METRIC_LEFT_OUT"


@dataclass(frozen=True)
class Warned:
    """Something that the job goes on in spite of, with a sentence for people."""

    reason: WarningReason
    message: str
    checkpoint: str = ""
    """The name of one that cannot be used, and is not kept any longer."""


Event = StateChange | Started | EpochUpdates | Checkpointed | Warned | Completed


def result_of(event: Event) -> Completed | None:
    """What an event that ends a job tells that it has led to, or had reached; None when it tells nothing."""
    match event:
        case Completed():
            return event
        case StateChange(result_so_far=result):
            return result
    return None
