"""Trains one task: from a spec and its data, or a checkpoint, to the events of the job.

Epochs gather and leave in batches, the first at once and then every few tens of milliseconds: no epoch is
dropped, and an epoch costs little more than its arithmetic.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradstream_server.executors.gathering import Diverged, EpochGathering
from gradstream_server.jobs.checkpoint import Checkpoint, CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    Event,
    Receipt,
    Started,
    StateChange,
    Warned,
    WarningReason,
)
from gradstream_server.jobs.executor import Interrupted, Task
from gradstream_server.jobs.spec import FloatArray, InlineData
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Parameters, Problem, Trainer
from gradstream_server.trainers.registry import load
from gradstream_server.trainers.scaling import Scaling

GATHER_S = 0.05
FIRST_S = 0.002
"""The first epochs leave as good as at once; a short training is over by then, and leaves in one message."""
QUICK_NUMBERS = 50_000
"""An epoch of one update over as many numbers is over in less than that."""
MAX_STREAMED_NUMBERS = 64
"""Models of more numbers than this do not report their parameters every epoch."""


CHECKPOINT_SHARE = 0.02
"""Of the time at most, where a slow disk makes checkpoints expensive."""


@dataclass(frozen=True)
class Environment:
    """Where a worker computes; for the receipt."""

    threads: int
    versions: Mapping[str, str]


class Training:
    """One attempt at a job, from its data to its last event."""

    def __init__(
        self,
        task: Task,
        data: InlineData,
        environment: Environment,
        checkpoints: CheckpointStore,
        checkpoint_interval_s: float,
    ) -> None:
        self._task = task
        self._spec = spec = task.spec
        self._environment = environment
        self._checkpoints = checkpoints
        self._checkpoint_interval_s = checkpoint_interval_s
        self._scaling = Scaling.learn(data.features, spec.intercept) if spec.standardize else None
        self._asked = None if spec.predict_rows is None else self._scaled(spec.predict_rows)
        initial = spec.initial_parameters
        if self._scaling:
            initial = self._scaling.to_scaled(initial)
        self._trainer: Trainer = load(spec.trainer)(
            Problem(
                features=self._scaled(data.features),
                targets=np.ascontiguousarray(data.targets, dtype=spec.dtype),
                epochs=spec.epochs,
                learning_rate=spec.learning_rate,
                batch_size=spec.batch_size,
                shuffle=spec.shuffle,
                reduction=spec.reduction,
                intercept=spec.intercept,
                l2=spec.l2,
                seed=spec.seed,
                device=spec.device,
                initial={name: value.astype(spec.dtype) for name, value in initial.items()},
            )
        )
        self._told_not_written = False
        self._begin = 0.0
        self._earlier_s = 0.0
        """Time that attempts before have spent on the epochs up to the checkpoint."""

    def run(self, stop_requested: Callable[[], bool]) -> Iterator[Sequence[Event] | Interrupted]:
        """Train, yielding events as they are due; the last ends the job, or `Interrupted` the attempt.

        Args:
            stop_requested: asked whenever epochs leave; training then stops at the end of that epoch.
        """
        spec, trainer = self._spec, self._trainer
        gathered: list[Event] = []
        if not self._task.has_started:
            started = self._started()
            if not _finite(started.predictions):
                yield [_predictions_not_finite("before")]
                return
            gathered = [started]
        reached, warnings = self._resume()
        gathered += warnings
        if gathered and not self._begins_quickly():
            yield gathered
            gathered = []
        gathering = EpochGathering(
            spec.report_every,
            spec.epochs,
            after=reached.epochs if reached else 0,
            last_loss=reached.final_loss if reached else math.nan,
            reported=self._task.reported_epochs,
        )
        streams_parameters = spec.parameter_count <= MAX_STREAMED_NUMBERS
        # Bound once: where an epoch takes five microseconds, every look-up is felt.
        add_loss, add_parameters = gathering.add_loss, gathering.add_parameters
        parameters, now = trainer.parameters, time.monotonic
        self._begin = now()
        leave_at = self._begin + FIRST_S
        checkpoint_at = self._begin + self._checkpoint_interval_s
        try:
            for loss in trainer.train():
                add_loss(loss)
                if streams_parameters:
                    add_parameters(parameters())
                if now() < leave_at:
                    continue
                gathered += gathering.take()
                stopping = stop_requested()
                if stopping or now() >= checkpoint_at:
                    before = now()
                    gathered += self._checkpoint(gathering)
                    checkpoint_at = now() + max(
                        self._checkpoint_interval_s, (now() - before) / CHECKPOINT_SHARE
                    )
                if gathered:
                    yield gathered
                    gathered = []
                if stopping:
                    yield Interrupted(result_so_far=self._usable(gathering))
                    return
                leave_at = now() + GATHER_S
            gathered += gathering.take()
            yield [*gathered, self._end(gathering)]
        except Diverged as reason:
            yield [*gathered, *reason.updates, diverged(reason.epoch, spec.standardize)]

    def _resume(self) -> tuple[Completed | None, list[Event]]:
        """Put the trainer where the best checkpoint was: what had been reached, and what has to be told."""
        warnings: list[Event] = []
        for name in self._task.checkpoints:
            try:
                checkpoint = self._checkpoints.read(self._task.job, name)
                receipt = checkpoint.result.receipt
                if (receipt.data_digest, checkpoint.seed) != (self._spec.data.digest, self._spec.seed):
                    raise CheckpointUnusable(f"checkpoint {name} is of another job")
                self._trainer.resume(checkpoint.epoch, checkpoint.state)
            except (CheckpointUnusable, ValueError) as error:
                message = f"{error}; training goes on from an earlier point"
                warnings.append(Warned(WarningReason.CHECKPOINT_DAMAGED, message))
                continue
            self._earlier_s = checkpoint.result.training_s
            if changes := self._changes(receipt):
                message = f"goes on with {changes}: the last bits may differ from those of one run"
                warnings.append(Warned(WarningReason.ENVIRONMENT_CHANGED, message))
            return checkpoint.result, warnings
        return None, warnings

    def _changes(self, receipt: Receipt) -> str:
        """How the environment differs from that of a receipt, for people."""
        versions = self._environment.versions
        before = {"threads": str(receipt.threads), **receipt.versions}
        after = {"threads": str(self._environment.threads), **versions}
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name} {after.get(name)} instead of {before.get(name)}" for name in names)

    def _checkpoint(self, gathering: EpochGathering) -> list[Event]:
        """Write a checkpoint: what has to be told of it."""
        if (result := self._usable(gathering)) is None:
            return []
        name = f"{self._task.attempt}-{result.epochs}"
        checkpoint = Checkpoint(self._spec.seed, self._trainer.state(), result)
        try:
            self._checkpoints.prepare(self._task.job)
            self._checkpoints.write(self._task.job, name, checkpoint)
        except OSError as error:
            if self._told_not_written:
                return []
            self._told_not_written = True
            message = f"the checkpoint after epoch {result.epochs} could not be written: {error.strerror}"
            return [Warned(WarningReason.CHECKPOINT_NOT_WRITTEN, message)]
        return [Checkpointed(result.epochs, name)]

    def _begins_quickly(self) -> bool:
        """Whether the first epoch is over before anybody could see that training has started."""
        data = self._spec.data
        numbers = data.rows * (len(data.feature_names) + len(data.target_names))
        return self._spec.batch_size == data.rows and numbers <= QUICK_NUMBERS

    def _started(self) -> Started:
        spec = self._spec
        return Started(
            rows=spec.data.rows,
            features=len(spec.data.feature_names),
            targets=len(spec.data.target_names),
            parameters=_on_host(self._trainer.parameters()),
            predictions=None if self._asked is None else self._trainer.predict(self._asked),
            scaling=(self._scaling.mean, self._scaling.scale) if self._scaling else None,
        )

    def _end(self, gathering: EpochGathering) -> Completed | StateChange:
        """The last event of a training whose losses were finite."""
        result = self._result(gathering)
        # The last loss is of the parameters before the last update: these may be past all numbers too.
        if not _has_finite_parameters(result):
            return diverged(self._spec.epochs, self._spec.standardize)
        if not _finite(result.predictions):
            return _predictions_not_finite("after")
        return result

    def _usable(self, gathering: EpochGathering) -> Completed | None:
        """What has been reached, as far as it is of use."""
        if not gathering.last_epoch:
            return None
        result = self._result(gathering)
        if not _finite(result.predictions):
            result = replace(result, predictions=None)
        return result if _has_finite_parameters(result) else None

    def _result(self, gathering: EpochGathering) -> Completed:
        parameters = _on_host(self._trainer.parameters())
        return Completed(
            epochs=gathering.last_epoch,
            final_loss=gathering.last_loss,
            parameters=parameters,
            predictions=None if self._asked is None else self._trainer.predict(self._asked),
            unscaled_parameters=self._scaling.to_own_units(parameters) if self._scaling else None,
            receipt=Receipt(
                data_digest=self._spec.data.digest,
                parameter_digest=_digest(parameters),
                device=self._spec.device,
                threads=self._environment.threads,
                versions=self._environment.versions,
            ),
            training_s=self._earlier_s + time.monotonic() - self._begin,
        )

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled = self._scaling.apply(features) if self._scaling else features
        return np.ascontiguousarray(scaled, dtype=self._spec.dtype)


def _finite(*arrays: FloatArray | None) -> bool:
    return all(np.isfinite(array).all() for array in arrays if array is not None)


def _has_finite_parameters(result: Completed) -> bool:
    return _finite(*result.parameters.values(), *(result.unscaled_parameters or {}).values())


def _predictions_not_finite(when: str) -> StateChange:
    message = (
        f"a prediction {when} training is past the largest number of its dtype: "
        "give smaller predict_rows, or use dtype float64"
    )
    fault = Fault(FaultReason.PREDICTIONS_NOT_FINITE, message)
    return StateChange("FAILED", message, fault=fault)


def diverged(epoch: int, standardized: bool) -> StateChange:
    """What ends a job whose loss is not a finite number any more."""
    hint = "a smaller learning_rate" + ("" if standardized else ", or standardize")
    message = f"the loss is not finite any more in epoch {epoch}: training has diverged; try {hint}"
    return StateChange("FAILED", message, fault=Fault(FaultReason.DIVERGED, message, {"epoch": str(epoch)}))


def _on_host(parameters: Parameters) -> dict[str, FloatArray]:
    return {name: np.array(to_numpy(value)) for name, value in parameters.items()}


def _digest(parameters: Mapping[str, FloatArray]) -> str:
    content = hashlib.sha256()
    for name in ("weight", "bias"):
        if name in parameters:
            array = parameters[name]
            content.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return content.hexdigest()
