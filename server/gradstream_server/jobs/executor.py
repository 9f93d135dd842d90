"""Where jobs run; `executors/` implements it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gradstream_server.jobs.events import Event
from gradstream_server.jobs.spec import Spec


@dataclass(frozen=True)
class Device:
    """Something to train on: the name that a spec uses, and what it is."""

    name: str
    description: str


@dataclass(frozen=True)
class Task:
    """What a worker needs to run a job."""

    job: str
    spec: Spec


class Executor(Protocol):
    """Runs tasks, at most `slots` at once."""

    slots: int

    async def devices(self) -> Sequence[Device]:
        """The devices of the workers, the preferred one first; waits until the first worker has told."""
        ...

    def run(self, task: Task) -> AsyncGenerator[Sequence[Event], None]:
        """Run a task and yield what happens, from `Started` to the event that ends the job.

        It never raises for the job's sake: a job that fails ends with a `StateChange` to FAILED, and one
        that was stopped with one to CANCELLED.
        """
        ...

    def stop(self, job: str) -> None:
        """Stop a task that runs, at the end of its epoch or by force when that takes too long. Idempotent."""
        ...
