"""What the server and a worker say to each other over their pipe; a worker sends lists of events and
`Interrupted` too."""

from collections.abc import Callable
from dataclasses import dataclass

from gradstream_server.data.store import DatasetFiles
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.executor import Device, Task
from gradstream_server.jobs.store import DataStore


@dataclass(frozen=True)
class Equipment:
    """What a worker is given for all its life."""

    threads: int
    """That its arithmetic may use."""
    data: DataStore
    datasets: DatasetFiles
    matrices: MatrixCache
    checkpoints: CheckpointStore
    checkpoint_interval_s: float
    max_parameters: int
    """Numbers that a model may have; for those that only a worker can count."""
    configure_logging: Callable[[], None]


@dataclass(frozen=True)
class Hello:
    """A worker is ready; these are its devices, the preferred one first."""

    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Assignment:
    """A task to run."""

    task: Task


@dataclass(frozen=True)
class Stop:
    """Stop the job at the end of its epoch, with a checkpoint, if it is the one that runs."""

    job: str
