"""Trains one task: from a spec and its data to the events of the job.

Epochs gather and leave in batches, the first at once and then every few tens of milliseconds: no epoch is
dropped, and an epoch costs little more than its arithmetic.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradstream_server.executors.gathering import Diverged, EpochGathering
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Completed, Event, Receipt, Started, StateChange
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec
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


@dataclass(frozen=True)
class Environment:
    """Where a worker computes; for the receipt."""

    threads: int
    versions: Mapping[str, str]


class Training:
    """One task, from its data to its last event."""

    def __init__(self, spec: Spec, data: InlineData, environment: Environment) -> None:
        self._spec = spec
        self._environment = environment
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

    def run(self, stop_requested: Callable[[], bool]) -> Iterator[Sequence[Event]]:
        """Train, yielding events as they are due; the last of them ends the job.

        Args:
            stop_requested: asked whenever epochs leave; training then stops at the end of that epoch.
        """
        spec, trainer = self._spec, self._trainer
        started = self._started()
        if not _finite(started.predictions):
            yield [_predictions_not_finite("before")]
            return
        gathered: list[Event] = [started]
        if not self._begins_quickly():
            yield gathered
            gathered = []
        gathering = EpochGathering(spec.report_every, spec.epochs)
        streams_parameters = spec.parameter_count <= MAX_STREAMED_NUMBERS
        # Bound once: where an epoch takes five microseconds, every look-up is felt.
        add_loss, add_parameters = gathering.add_loss, gathering.add_parameters
        parameters, now = trainer.parameters, time.monotonic
        begin = now()
        leave_at = begin + FIRST_S
        try:
            for loss in trainer.train():
                add_loss(loss)
                if streams_parameters:
                    add_parameters(parameters())
                if now() < leave_at:
                    continue
                if gathered := [*gathered, *gathering.take()]:
                    yield gathered
                    gathered = []
                if stop_requested():
                    yield [StateChange("CANCELLED")]
                    return
                leave_at = now() + GATHER_S
            gathered += gathering.take()
            yield [*gathered, self._end(gathering.last_loss, training_s=now() - begin)]
        except Diverged as reason:
            yield [*gathered, *reason.updates, diverged(reason.epoch, spec.standardize)]

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

    def _end(self, final_loss: float, training_s: float) -> Completed | StateChange:
        """The last event of a training whose losses were finite."""
        parameters = _on_host(self._trainer.parameters())
        predictions = None if self._asked is None else self._trainer.predict(self._asked)
        unscaled = self._scaling.to_own_units(parameters) if self._scaling else None
        # The last loss is of the parameters before the last update: these may be past all numbers too.
        if not _finite(*parameters.values(), *(unscaled or {}).values()):
            return diverged(self._spec.epochs, self._spec.standardize)
        if not _finite(predictions):
            return _predictions_not_finite("after")
        return Completed(
            epochs=self._spec.epochs,
            final_loss=final_loss,
            parameters=parameters,
            predictions=predictions,
            unscaled_parameters=unscaled,
            receipt=Receipt(
                data_digest=self._spec.data.digest,
                parameter_digest=_digest(parameters),
                device=self._spec.device,
                threads=self._environment.threads,
                versions=self._environment.versions,
            ),
            training_s=training_s,
        )

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled = self._scaling.apply(features) if self._scaling else features
        return np.ascontiguousarray(scaled, dtype=self._spec.dtype)


def _finite(*arrays: FloatArray | None) -> bool:
    return all(np.isfinite(array).all() for array in arrays if array is not None)


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
