"""Where jobs run; `executors/` implements it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gradstream_server.jobs.errors import Fault
from gradstream_server.jobs.events import Completed, Event
from gradstream_server.jobs.spec import Spec


@dataclass(frozen=True)
class Device:
    """Something to train on: the name that a spec uses, and what it is."""

    name: str
    description: str


@dataclass(frozen=True)
class Task:
    """What a worker needs for an attempt at a job."""

    job: str
    spec: Spec
    attempt: int = 1
    has_started: bool = False
    """Whether an earlier attempt has told `Started`."""
    reported_epochs: int = 0
    """The last epoch that earlier attempts have told of: those up to it are not told again."""
    checkpoints: tuple[str, ...] = ()
    """Names of those that earlier attempts have left, the best first."""
    earlier_attempts_s: float = 0.0
    """How long earlier attempts have run."""


@dataclass(frozen=True)
class Interrupted:
    """An attempt is over before the job is; said by the executor, not part of the log."""

    died: Fault | None = None
    """What the worker died of; None when it was told to stop."""
    killed: bool = False
    """Whether it did not stop in time."""
    result_so_far: Completed | None = None
    """What it has reached, where it could tell."""


class Executor(Protocol):
    """Runs tasks, at most `slots` at once."""

    slots: int

    async def devices(self) -> Sequence[Device]:
        """The devices of the workers, the preferred one first; waits until the first worker has told."""
        ...

    def run(
        self, task: Task, begins: Callable[[], None]
    ) -> AsyncGenerator[Sequence[Event] | Interrupted, None]:
        """Run a task and yield what happens, to the event that ends the job, or to `Interrupted`.

        It never raises for the job's sake: a job that fails ends with a `StateChange` to FAILED. What was
        yielded before `Interrupted` counts: the next attempt goes on from the last `Checkpointed`.

        Args:
            begins: called when a worker is given the task, for which it may have to be started first.
        """
        ...

    def stop(self, job: str) -> None:
        """Interrupt a task that runs, with a checkpoint at the end of its epoch, or by force when that takes
        too long. Idempotent; nothing happens when the task is over."""
        ...
