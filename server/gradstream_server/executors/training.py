"""Trains one task: from a spec and its data, or a checkpoint, to the events of the job.

Epochs gather and leave in batches, the first at once and then every few tens of milliseconds: no epoch is
dropped, and an epoch costs little more than its arithmetic.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gradstream_server.executors.checkpointing import Checkpointing
from gradstream_server.executors.faults import diverged, predictions_not_finite
from gradstream_server.executors.gathering import Diverged, EpochGathering
from gradstream_server.executors.model import (
    Environment,
    Model,
    has_finite_parameters,
    has_finite_predictions,
)
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.events import Completed, Event, StateChange
from gradstream_server.jobs.executor import Interrupted, Task

GATHER_S = 0.05
FIRST_S = 0.002
"""The first epochs leave as good as at once; a short training is over by then, and leaves in one message."""
QUICK_NUMBERS = 50_000
"""An epoch of one update over as many numbers is over in less than that."""
MAX_STREAMED_NUMBERS = 64
"""Models of more numbers than this do not report their parameters every epoch."""


class Training:
    """One attempt at a job, from its data to its last event."""

    def __init__(
        self,
        task: Task,
        data: TrainingData,
        environment: Environment,
        checkpoints: CheckpointStore,
        checkpoint_interval_s: float,
    ) -> None:
        self._task = task
        self._spec = task.spec
        self._model = Model(task.spec, data, environment)
        self._trainer = self._model.trainer
        self._checkpointing = Checkpointing(
            task, self._trainer, environment, checkpoints, checkpoint_interval_s
        )
        self._begin = 0.0
        """Now, less the time that earlier attempts have spent on the epochs up to the checkpoint."""

    def run(self, stop_requested: Callable[[], bool]) -> Iterator[Sequence[Event] | Interrupted]:
        """Train, yielding events as they are due; the last ends the job, or `Interrupted` the attempt.

        Args:
            stop_requested: asked whenever epochs leave; training then stops at the end of that epoch.
        """
        spec, trainer, checkpointing = self._spec, self._trainer, self._checkpointing
        gathered: list[Event] = []
        if not self._task.has_started:
            started = self._model.started()
            if not has_finite_predictions(started):
                yield [predictions_not_finite("before")]
                return
            gathered = [started]
        earlier, warnings = checkpointing.resume()
        gathered += warnings
        if gathered and not self._begins_quickly():
            yield gathered
            gathered = []
        gathering = EpochGathering(
            spec.report_every,
            spec.epochs,
            after=earlier.epochs if earlier else 0,
            last_loss=earlier.final_loss if earlier else math.nan,
            reported=self._task.reported_epochs,
        )
        streams_parameters = spec.parameter_count <= MAX_STREAMED_NUMBERS
        # Bound once: where an epoch takes five microseconds, every look-up is felt.
        add_loss, add_parameters = gathering.add_loss, gathering.add_parameters
        parameters, now = trainer.parameters, time.monotonic
        self._begin = now() - (earlier.training_s if earlier else 0)
        leave_at = now() + FIRST_S
        try:
            for loss in trainer.train():
                add_loss(loss)
                if streams_parameters:
                    add_parameters(parameters())
                if now() < leave_at:
                    continue
                gathered += gathering.take()
                stopping = stop_requested()
                reached = None
                if stopping or now() >= checkpointing.due_at:
                    reached = self._reached(gathering)
                    # In one message with the epochs up to it: what the log tells is never behind it.
                    gathered += checkpointing.write(reached) if reached else []
                if gathered:
                    yield gathered
                    gathered = []
                if stopping:
                    yield Interrupted(result_so_far=reached)
                    return
                leave_at = now() + GATHER_S
            gathered += gathering.take()
            yield [*gathered, self._end(gathering)]
        except Diverged as reason:
            yield [*gathered, *reason.updates, diverged(reason.epoch, spec.standardize)]

    def _begins_quickly(self) -> bool:
        """Whether the first epoch is over before anybody could see that training has started."""
        data = self._spec.data
        numbers = data.rows * (len(data.feature_names) + len(data.target_names))
        return self._spec.batch_size == data.rows and numbers <= QUICK_NUMBERS

    def _end(self, gathering: EpochGathering) -> Completed | StateChange:
        """The last event of a training whose losses were finite."""
        result = self._result(gathering)
        # The last loss is of the parameters before the last update: these may be past all numbers too.
        if not has_finite_parameters(result):
            return diverged(self._spec.epochs, self._spec.standardize)
        if not has_finite_predictions(result):
            return predictions_not_finite("after")
        return result

    def _reached(self, gathering: EpochGathering) -> Completed | None:
        """What has been reached on the way, as far as it is of use."""
        result = self._result(gathering)
        if not has_finite_predictions(result):
            result = replace(result, predictions=None)
        return result if has_finite_parameters(result) else None

    def _result(self, gathering: EpochGathering) -> Completed:
        return self._model.result(
            gathering.last_epoch, gathering.last_loss, training_s=time.monotonic() - self._begin
        )
