"""Which checkpoint a training goes on from, and when it leaves another."""

import math
import time

from gradstream_server.executors.model import Environment
from gradstream_server.jobs.checkpoint import Checkpoint, CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.events import Checkpointed, Completed, Event, Receipt, Warned, WarningReason
from gradstream_server.jobs.executor import Task
from gradstream_server.trainers.problem import Trainer

CHECKPOINT_SHARE = 0.02
"""Of the time at most, where a slow disk, or what they hold, makes checkpoints expensive."""


class Checkpointing:
    """The checkpoints of one attempt at a job."""

    def __init__(
        self,
        task: Task,
        trainer: Trainer,
        environment: Environment,
        store: CheckpointStore,
        interval_s: float,
    ) -> None:
        self._task = task
        self._trainer = trainer
        self._environment = environment
        self._store = store
        self._interval_s = interval_s
        self._told_not_written = False
        self.due_at = time.monotonic() + interval_s
        """When the next one is to be written, by time.monotonic(). A short training never pays for one."""

    def resume(self) -> tuple[Checkpoint | None, list[Event]]:
        """Put the trainer where the best checkpoint was: that one, and what has to be told."""
        warnings: list[Event] = []
        for name in self._task.checkpoints:
            try:
                checkpoint = self._read(name)
                self._trainer.resume(checkpoint.epoch, checkpoint.state)
            except (CheckpointUnusable, ValueError) as error:
                message = f"{error}; training goes on from an earlier point"
                warnings.append(Warned(WarningReason.CHECKPOINT_DAMAGED, message, name))
                continue
            if changes := self._changes(checkpoint.result.receipt):
                message = f"goes on with {changes}: the last bits may differ from those of one run"
                warnings.append(Warned(WarningReason.ENVIRONMENT_CHANGED, message))
            return checkpoint, warnings
        return None, warnings

    def write(self, begin: float, reached: Completed | None, best_value: float = math.nan) -> list[Event]:
        """Write a checkpoint of what has been reached, and what is monitored: what has to be told of it.

        Args:
            begin: when it was begun to find out what has been reached, by time.monotonic(): the predictions
                in it may take longer than the disk.
            reached: None when it is of no use, and there is nothing to write.
        """
        told = self._write(reached, best_value) if reached else []
        end = time.monotonic()
        self.due_at = end + max(self._interval_s, (end - begin) / CHECKPOINT_SHARE)
        return told

    def _write(self, reached: Completed, best_value: float) -> list[Event]:
        name = f"{self._task.attempt}-{reached.epochs}"
        checkpoint = Checkpoint(self._task.spec.seed, self._trainer.state(), reached, best_value)
        told: list[Event] = []
        try:
            self._store.prepare(self._task.job)
            self._store.write(self._task.job, name, checkpoint)
            told.append(Checkpointed(reached.epochs, name))
        except OSError as error:
            # Training goes on: only a crash would make the checkpoint missed.
            if not self._told_not_written:
                self._told_not_written = True
                message = (
                    f"the checkpoint after epoch {reached.epochs} could not be written: {error.strerror}"
                )
                told.append(Warned(WarningReason.CHECKPOINT_NOT_WRITTEN, message))
        return told

    def _read(self, name: str) -> Checkpoint:
        spec = self._task.spec
        checkpoint = self._store.read(self._task.job, name)
        if (checkpoint.result.receipt.data_digest, checkpoint.seed) != (spec.data.digest, spec.seed):
            raise CheckpointUnusable(f"checkpoint {name} is of another job")
        return checkpoint

    def _changes(self, receipt: Receipt) -> str:
        """How the environment differs from that of a receipt, for people."""
        before = {"threads": str(receipt.threads), **receipt.versions}
        after = {"threads": str(self._environment.threads), **self._environment.versions}
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name} {after.get(name)} instead of {before.get(name)}" for name in names)
