"""One run of a sweep, as a value."""

from dataclasses import dataclass

from gradstream.events import Completed
from gradstream.job import Job, JobState
from gradstream.space import Options


@dataclass(frozen=True, slots=True, eq=False)
class SweepRun:
    """One run of a sweep, as it stands."""

    number: int
    """From 1, in the order of their start."""
    options: Options
    """Those that are varied."""
    request_id: str
    job: Job | None = None
    """As last heard; None before the server has answered."""
    result: Completed | None = None
    """What it has led to; None before its end, and when it has failed or was cancelled."""
    value: float | None = None
    """What the sweep looks for, the final loss, with validation that of the validation rows: lower is better.
    None without a result that is a number."""

    @property
    def state(self) -> JobState:
        """Where its job stands."""
        return JobState.QUEUED if self.job is None else self.job.state

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state.final
