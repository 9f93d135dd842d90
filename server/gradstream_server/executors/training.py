"""Trains one task: from a spec and its data, or a checkpoint, to the events of the job.

Epochs gather and leave in batches, the first at once and then every few tens of milliseconds: no epoch is
dropped, and an epoch costs little more than its arithmetic.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from gradstream_server.executors.checkpointing import Checkpointing
from gradstream_server.executors.faults import diverged, predictions_not_finite
from gradstream_server.executors.gathering import Diverged, EpochGathering
from gradstream_server.executors.measuring import Epoch, Measuring
from gradstream_server.executors.model import (
    Environment,
    Model,
    has_finite_parameters,
    has_finite_predictions,
)
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.events import Completed, Event, StateChange, TrainingEnd
from gradstream_server.jobs.executor import Interrupted, Task
from gradstream_server.jobs.validation import VALIDATION_LOSS

GATHER_S = 0.05
FIRST_S = 0.005
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
        measured = data.validation.targets if data.validation else None
        self._measuring = Measuring(task.spec, self._model, measured)
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
            gathered = [started, *self._measuring.left_out]
        earlier, warnings = checkpointing.resume()
        gathered += warnings
        measuring, after = self._measuring, 0
        if earlier:
            after = earlier.epoch
            measuring.resume(earlier)
        if gathered and not self._begins_quickly():
            yield gathered
            gathered = []
        gathering = EpochGathering(
            spec.report_every,
            spec.last_epoch,
            after=after,
            last_loss=earlier.result.final_loss if earlier else math.nan,
            reported=self._task.reported_epochs,
            measured=measuring.columns,
        )
        streams_parameters = self._model.parameter_count <= MAX_STREAMED_NUMBERS
        # Bound once: where an epoch takes five microseconds, every look-up is felt.
        add_loss, add_parameters = gathering.add_loss, gathering.add_parameters
        parameters, now = trainer.parameters, time.monotonic
        measures = measuring.needed
        epoch, epochs = after, trainer.train()
        if spec.last_epoch < spec.epochs:
            epochs = islice(epochs, spec.last_epoch - after)
        self._begin = now() - (earlier.result.training_s if earlier else 0)
        end_at = self._begin + (spec.stopping.after_seconds or math.inf)
        leave_at = min(now() + FIRST_S, end_at)
        end = TrainingEnd.EPOCHS
        try:
            for loss in epochs:
                add_loss(loss)
                if streams_parameters:
                    add_parameters(parameters())
                if measures:
                    epoch += 1
                    is_over = measuring.after_epoch(epoch, loss)
                    gathering.add_measures(measuring.measures)
                    if is_over:
                        end = TrainingEnd.NO_IMPROVEMENT
                        break
                if now() < leave_at:
                    continue
                # What earlier attempts have told of stays true, however fast they were.
                if now() >= end_at and gathering.newest_epoch >= self._task.reported_epochs:
                    end = TrainingEnd.TIME
                    break
                gathered += gathering.take()
                stopping, begin = stop_requested(), now()
                reached = None
                if stopping or begin >= checkpointing.due_at:
                    reached = self._reached(gathering)
                    # In one message with the epochs up to it: what the log tells is never behind it.
                    gathered += checkpointing.write(begin, reached, measuring.best_value)
                if gathered:
                    yield gathered
                    gathered = []
                if stopping:
                    yield Interrupted(result_so_far=reached)
                    return
                leave_at = now() + GATHER_S
                if now() < end_at < leave_at:
                    leave_at = end_at
            gathered += gathering.take(ended=True)
            yield [*gathered, self._end(gathering, end)]
        except Diverged as reason:
            yield [*gathered, *reason.updates, diverged(reason.epoch, spec.standardize)]

    def _begins_quickly(self) -> bool:
        """Whether the first epoch is over before anybody could see that training has started."""
        data = self._spec.data
        numbers = data.rows * (len(data.feature_names) + len(data.target_names))
        is_short = self._spec.batch_size == data.rows and numbers <= QUICK_NUMBERS
        return is_short and not self._measuring.needed

    def _end(self, gathering: EpochGathering, end: TrainingEnd) -> Completed | StateChange:
        """The last event of a training whose losses were finite."""
        result = replace(self._result(gathering), end=end)
        # The last loss is of the parameters before the last update: these may be past all numbers too.
        if not has_finite_parameters(result):
            return diverged(gathering.last_epoch, self._spec.standardize)
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
        """The model of the last epoch, or of the best where that is to be restored."""
        measuring, training_s = self._measuring, time.monotonic() - self._begin
        best = measuring.best
        told = best or Epoch(gathering.last_loss, measuring.measures, self._model.reached())
        result = self._model.result(told.reached, gathering.last_epoch, told.loss, training_s)
        measured = dict(zip(measuring.columns, told.measures, strict=True))
        return replace(
            result,
            validation_loss=measured.pop(VALIDATION_LOSS, None),
            metrics=measured,
            best_epoch=measuring.best_epoch,
            restored=best is not None,
        )
