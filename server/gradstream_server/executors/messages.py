"""What the server and a worker say to each other over their pipe; a worker sends lists of events too."""

from dataclasses import dataclass
from pathlib import Path

from gradstream_server.jobs.executor import Device, Task


@dataclass(frozen=True)
class Hello:
    """A worker is ready; these are its devices, the preferred one first."""

    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Assignment:
    """A task, and where its data lie; None for the reference experiment."""

    task: Task
    data: Path | None


@dataclass(frozen=True)
class Stop:
    """Stop the job, if it is the one that runs."""

    job: str
