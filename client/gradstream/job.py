"""A job as it stands, as a value."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gradstream.errors import Fault
from gradstream.spec import Spec


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Put aside until it is resumed."""
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    """One that this version of the client does not know: the server is newer."""

    @property
    def final(self) -> bool:
        """Whether a job stays in it for good."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Names a model: `Client.model` takes it."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One training run of a spec."""

    id: str
    state: JobState
    spec: Spec
    """The spec with every field set."""
    request_id: str
    create_time: datetime
    start_time: datetime | None
    """When a worker began with it; None while it is queued."""
    end_time: datetime | None
    """When it ended; None before."""
    attempt: int
    """Which try at running it is the latest; 0 while it has never run."""
    last_sequence: int
    """Sequence of the last event in its log."""
    epochs_done: int
    last_loss: float | None
    """Loss of the last epoch reported."""
    jobs_ahead: int | None
    """While QUEUED: how many jobs are ahead of this one."""
    fault: Fault | None
    """While FAILED: what went wrong."""
    priority: int
    """Jobs with a higher one run first."""
    cancel_on_disconnect: bool
    """Whether it is cancelled when nobody watches it any more."""
    restarts: int
    """How often it was started again because its worker had died."""
    checkpoint_epoch: int
    """Last epoch in its newest checkpoint, from which it would go on; 0 without one."""
    group: str
    """What it has in common with the jobs that belong to it; empty for none."""
    last_validation_loss: float | None = None
    """Validation loss of the last epoch reported; None without validation."""
    model_name: str = ""
    """The name that was asked for, for its model; empty for its own."""
    model: ModelVersion | None = None
    """The model that it has left, which may have been deleted since."""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import job_html

        return job_html(self)
