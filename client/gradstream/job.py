"""A job as it stands, as a value."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradstream.errors import FailedPreconditionError, Fault
from gradstream.spec import Spec

if TYPE_CHECKING:
    from gradstream.bundle.table import Rows
    from gradstream.model_operations import ModelOperations


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
    _operations: "ModelOperations | None" = field(default=None, repr=False, compare=False)

    def predict(self, rows: "Rows") -> NDArray[np.floating[Any]]:
        """Ask the model of a result of `Run` for predictions, as `Model.predict` does.

        What names a model elsewhere has no connection to ask it by, and raises FailedPreconditionError.
        """
        from gradstream.transport import finish

        if self._operations is None:
            raise FailedPreconditionError(
                f"{self} is the name of a model, without a connection to it: ask client.model(...) of it",
                code="FAILED_PRECONDITION",
                reason="NO_CONNECTION",
            )
        return finish(self._operations.predict(self.name, self.version, rows))

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return ModelVersion, (self.name, self.version)  # connections stay where they are

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
