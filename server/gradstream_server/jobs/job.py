"""A job is the fold of its log: `advance` takes one event further."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.access.principal import model_key
from gradstream_server.jobs.errors import Fault
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    Started,
    StateChange,
    Warned,
)


class JobState(StrEnum):
    """Where a job stands; the contract, `event.proto`, draws the transitions."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

_NEXT = {
    None: {JobState.QUEUED},
    JobState.QUEUED: {JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED, JobState.FAILED},
    # RUNNING again: its worker died, and this is the next attempt.
    JobState.RUNNING: set(JobState) - {JobState.CANCELLED},
    JobState.PAUSED: {JobState.QUEUED, JobState.CANCELLED},
    JobState.CANCELLING: {JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED},
}

KEPT_CHECKPOINTS = 2


class IllegalTransition(ValueError):
    """A job cannot go from its state to another."""


@dataclass(frozen=True)
class Job:
    """One training run of a spec, as it stands."""

    id: str
    request_id: str
    spec: bytes
    """The resolved spec, as the contract encodes it."""
    create_time: datetime
    owner: str = ""
    """Whose it is; empty for nobody's."""
    data_digest: str = ""
    """Of the inline data; empty for the reference experiment."""
    validation_digest: str = ""
    """Of the data set that it is measured on; empty for none."""
    priority: int = 0
    cancel_on_disconnect: bool = False
    group: str = ""
    """What it has in common with the jobs that belong to it; empty for none."""
    model_name: str = ""
    """A name for the model that it leaves when it succeeds; empty for the job's own."""
    model_version: int = 0
    """Of the model that it has left; 0 while there is none."""
    state: JobState | None = None
    """None only before the first event."""
    update_time: datetime | None = None
    """Of the last event."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    attempt: int = 0
    attempt_time: datetime | None = None
    """When the latest attempt began."""
    restarts: int = 0
    """Attempts that began because the worker of the one before had died."""
    earlier_attempts_s: float = 0.0
    """Seconds that attempts have run, but for the one that runs now."""
    last_sequence: int = 0
    has_started: bool = False
    """Whether `Started` is in the log; it is there once, whatever the attempts."""
    epochs_done: int = 0
    last_loss: float | None = None
    last_validation_loss: float | None = None
    checkpoints: tuple[Checkpointed, ...] = ()
    """Those that another attempt may go on from, the newest first."""
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED

    @property
    def left_as(self) -> str:
        """The name of the model that it has left, or would leave if it ended now as it stands."""
        # What was not trained to its end is never the latest version of a name that somebody relies on.
        return (self.state is JobState.SUCCEEDED and self.model_name) or self.id

    @property
    def model_key(self) -> str:
        """What that model is kept as."""
        return model_key(self.owner, self.left_as)

    @property
    def checkpoint_names(self) -> tuple[str, ...]:
        """The names of its checkpoints, the newest first."""
        return tuple(kept.name for kept in self.checkpoints)


def advance(job: Job, event: Event, time: datetime) -> Job:
    """The job after an event of its log.

    Raises:
        IllegalTransition: the job's state does not allow the event.
    """
    # Gathered first: to copy a job costs more than all the rest.
    changes: dict[str, Any] = {"last_sequence": job.last_sequence + 1, "update_time": time}
    match event:
        case StateChange(state=name):
            changes |= _transition(job, JobState(name), time)
            changes |= {"fault": event.fault} if event.fault else {}
            changes |= {"model_version": 1} if event.result_so_far else {}
        case Completed():
            changes |= _transition(job, JobState.SUCCEEDED, time)
            changes["model_version"] = 1
        case _ if job.state not in (JobState.RUNNING, JobState.CANCELLING):
            raise IllegalTransition(f"job {job.id} is not trained while it is {job.state}")
        case EpochUpdates():
            changes |= {"epochs_done": int(event.epochs[-1]), "last_loss": float(event.losses[-1])}
            changes["last_validation_loss"] = _last(event.validation_losses)
        case Checkpointed():
            changes["checkpoints"] = (event, *job.checkpoints)[:KEPT_CHECKPOINTS]
        case Started():
            changes["has_started"] = True
        case Warned(checkpoint=unusable):
            changes["checkpoints"] = tuple(kept for kept in job.checkpoints if kept.name != unusable)
    return replace(job, **changes)


def _transition(job: Job, state: JobState, time: datetime) -> dict[str, Any]:
    """What going into a state changes of a job."""
    if state not in _NEXT.get(job.state, ()):
        raise IllegalTransition(f"job {job.id} cannot go from {job.state} to {state}")
    changes: dict[str, Any] = {"state": state}
    if job.state is JobState.RUNNING and job.update_time and job.attempt_time:
        # Up to the last that was heard of the attempt: nobody knows when it died.
        ran_s = (job.update_time - job.attempt_time).total_seconds()
        changes["earlier_attempts_s"] = job.earlier_attempts_s + ran_s
    if state is JobState.RUNNING:
        changes["attempt"] = job.attempt + 1
        changes["start_time"] = job.start_time or time
        changes["attempt_time"] = time
        changes["restarts"] = job.restarts + (job.state is JobState.RUNNING)
    if state in ENDED:
        changes["end_time"] = time
    return changes


def _last(losses: NDArray[np.float64] | None) -> float | None:
    """The last one, if it is a number: databases keep no others."""
    return float(losses[-1]) if losses is not None and np.isfinite(losses[-1]) else None
