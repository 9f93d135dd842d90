"""A job is the fold of its log: `advance` takes one event further."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

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
    data_digest: str = ""
    """Of the inline data; empty for the reference experiment."""
    priority: int = 0
    cancel_on_disconnect: bool = False
    group: str = ""
    """What it has in common with the jobs that belong to it; empty for none."""
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
    checkpoints: tuple[Checkpointed, ...] = ()
    """Those that another attempt may go on from, the newest first."""
    fault: Fault | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED

    @property
    def checkpoint_names(self) -> tuple[str, ...]:
        """The names of its checkpoints, the newest first."""
        return tuple(kept.name for kept in self.checkpoints)


def advance(job: Job, event: Event, time: datetime) -> Job:
    """The job after an event of its log.

    Raises:
        IllegalTransition: the job's state does not allow the event.
    """
    earlier = job
    job = replace(job, last_sequence=job.last_sequence + 1, update_time=time)
    match event:
        case StateChange(state=name):
            state = JobState(name)
        case Completed():
            state = JobState.SUCCEEDED
        case _ if job.state not in (JobState.RUNNING, JobState.CANCELLING):
            raise IllegalTransition(f"job {job.id} is not trained while it is {job.state}")
        case EpochUpdates():
            return replace(job, epochs_done=int(event.epochs[-1]), last_loss=float(event.losses[-1]))
        case Checkpointed():
            return replace(job, checkpoints=(event, *job.checkpoints)[:KEPT_CHECKPOINTS])
        case Started():
            return replace(job, has_started=True)
        case Warned(checkpoint=unusable):
            left = tuple(kept for kept in job.checkpoints if kept.name != unusable)
            return replace(job, checkpoints=left)
    if state not in _NEXT.get(job.state, ()):
        raise IllegalTransition(f"job {job.id} cannot go from {job.state} to {state}")
    if earlier.state is JobState.RUNNING and earlier.update_time and earlier.attempt_time:
        # Up to the last that was heard of the attempt: nobody knows when it died.
        ran_s = (earlier.update_time - earlier.attempt_time).total_seconds()
        job = replace(job, earlier_attempts_s=job.earlier_attempts_s + ran_s)
    job = replace(job, state=state)
    if state is JobState.RUNNING:
        return replace(
            job,
            attempt=job.attempt + 1,
            start_time=job.start_time or time,
            attempt_time=time,
            restarts=job.restarts + (earlier.state is JobState.RUNNING),
        )
    if state in ENDED:
        return replace(job, end_time=time, fault=event.fault if isinstance(event, StateChange) else None)
    return job
