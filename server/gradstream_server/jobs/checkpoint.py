"""What a job leaves behind every now and then, so that another attempt can go on from there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from gradstream_server.jobs.events import Completed


@dataclass(frozen=True)
class Checkpoint:
    """Training after an epoch: all that the epochs to come depend on.

    The order of rows, and what dropout leaves out, depend on seed and epoch alone (`trainers/batches.py`,
    `trainers/module.py`), so there is no generator whose state would have to be kept.
    """

    seed: int
    state: Mapping[str, NDArray[Any]]
    """The trainer's own, in the precision it trains in: parameters, what optimizer and schedule keep."""
    result: Completed
    """What has been reached, for who stops here; its receipt says with what, and on which data."""
    best_value: float = math.nan
    """What is monitored, in `result.best_epoch`."""

    @property
    def epoch(self) -> int:
        """The last epoch in it."""
        return self.result.epochs


class CheckpointUnusable(Exception):
    """A checkpoint is damaged, gone, or of another version of the format; the text says which."""


class CheckpointStore(Protocol):
    """Keeps checkpoints by job. Methods block; any process may call, and an instance can be pickled."""

    def write(self, job: str, name: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint: once this returns it survives anything, and before that it is not there at all.

        Raises:
            OSError: there is no room, or no folder any more because the job has been removed.
        """
        ...

    def read(self, job: str, name: str) -> Checkpoint:
        """A checkpoint.

        Raises:
            CheckpointUnusable: it cannot be read as it was written.
        """
        ...

    def prepare(self, job: str) -> None:
        """Make room for a job's checkpoints; nothing happens when there is."""
        ...

    def discard(self, job: str, name: str) -> None:
        """Remove a checkpoint; nothing happens when it is gone already."""
        ...

    def remove(self, job: str) -> None:
        """Remove all that there is of a job; nothing happens when it is gone already."""
        ...

    def jobs(self) -> list[str]:
        """The jobs that have checkpoints, or room for them."""
        ...
