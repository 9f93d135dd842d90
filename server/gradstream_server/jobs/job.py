"""A job is the fold of its log: `advance` takes one event further."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from gradstream_server.jobs.errors import Fault
from gradstream_server.jobs.events import Completed, EpochUpdates, Event, Started, StateChange


class JobState(StrEnum):
    """Where a job stands; the contract, `event.proto`, draws the transitions."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

_NEXT = {
    None: {JobState.QUEUED},
    JobState.QUEUED: {JobState.RUNNING, JobState.CANCELLED, JobState.FAILED},
    JobState.RUNNING: {JobState.CANCELLING, JobState.SUCCEEDED, JobState.FAILED},
    JobState.CANCELLING: {JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED},
}


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
    state: JobState | None = None
    """None only before the first event."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    attempt: int = 0
    last_sequence: int = 0
    epochs_done: int = 0
    last_loss: float | None = None
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


def advance(job: Job, event: Event, time: datetime) -> Job:
    """The job after an event of its log.

    Raises:
        IllegalTransition: the job's state does not allow the event.
    """
    job = replace(job, last_sequence=job.last_sequence + 1)
    match event:
        case StateChange(state=name):
            state = JobState(name)
        case Completed():
            state = JobState.SUCCEEDED
        case Started() | EpochUpdates() if job.state not in (JobState.RUNNING, JobState.CANCELLING):
            raise IllegalTransition(f"job {job.id} is not trained while it is {job.state}")
        case EpochUpdates():
            return replace(job, epochs_done=int(event.epochs[-1]), last_loss=float(event.losses[-1]))
        case Started():
            return job
    if state not in _NEXT.get(job.state, ()):
        raise IllegalTransition(f"job {job.id} cannot go from {job.state} to {state}")
    job = replace(job, state=state)
    if state is JobState.RUNNING:
        return replace(job, attempt=job.attempt + 1, start_time=job.start_time or time)
    if state in ENDED:
        return replace(job, end_time=time, fault=event.fault if isinstance(event, StateChange) else None)
    return job
