"""Trainings without a worker: what they are given, and what they tell."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from tests.domain import resolved
from tests.unit.executors.memory import MemoryCheckpoints

from gradstream_server.executors import training
from gradstream_server.executors.model import Environment
from gradstream_server.executors.training import Training
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs import reference
from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.events import Completed, EpochUpdates, Event
from gradstream_server.jobs.executor import Interrupted, Task
from gradstream_server.jobs.spec import InlineData, Spec

HERE = Environment(1, {"gradstream": "test"})


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def set_pace(monkeypatch: pytest.MonkeyPatch, first_s: float, gather_s: float | None = None) -> None:
    monkeypatch.setattr(training, "FIRST_S", first_s)
    monkeypatch.setattr(training, "GATHER_S", first_s if gather_s is None else gather_s)


def small_spec(trainer: str = "scripted", **fields: Any) -> Spec:
    """A spec of the CPU; without rows to predict and without an intercept, unless the test gives them."""
    features = fields["data"].features.shape[1] if fields.get("data") else 1
    return resolved(
        trainer, **{"device": "cpu", "intercept": False, "predict_rows": np.zeros((0, features))} | fields
    )


def attempt(
    task: Task,
    data: InlineData | None = None,
    checkpoints: CheckpointStore | None = None,
    interval_s: float = math.inf,
    stop: Callable[[], bool] = lambda: False,
    environment: Environment = HERE,
) -> Iterator[Sequence[Event] | Interrupted]:
    """What an attempt at a job tells, as it comes."""
    with np.errstate(all="ignore"):  # As in a worker.
        training_data = TrainingData.of_inline(task.spec, data or reference.DATA)
        yield from Training(
            task, training_data, environment, checkpoints or MemoryCheckpoints(), interval_s
        ).run(stop)


def run(task: Task, data: InlineData | None = None, **how: Any) -> tuple[list[Event], Interrupted | None]:
    """All events of an attempt, and what has come between, if anything."""
    events: list[Event] = []
    for said in attempt(task, data, **how):
        if isinstance(said, Interrupted):
            return events, said
        events += said
    return events, None


def train(trainer: str = "scripted", **fields: Any) -> list[Event]:
    """All events of a training that nothing disturbs."""
    events, interrupted = run(Task("job", small_spec(trainer, **fields)), fields.get("data"))
    assert interrupted is None
    return events


def curve(events: Sequence[Event]) -> list[tuple[int, float]]:
    """Epochs and their losses."""
    updates = [event for event in events if isinstance(event, EpochUpdates)]
    return [(int(n), float(loss)) for u in updates for n, loss in zip(u.epochs, u.losses, strict=True)]


def expected(
    epochs: int, report_every: int, until: int | None = None, after: int = 0
) -> list[tuple[int, float]]:
    """The curve of the scripted trainer."""
    return [
        (epoch, 1 / epoch)
        for epoch in range(after + 1, (epochs if until is None else until) + 1)
        if (epoch - 1) % report_every == 0 or epoch == epochs
    ]


def columns(events: Sequence[Event]) -> dict[str, bytes]:
    """What the log tells epoch by epoch, bit for bit."""
    updates = [event for event in events if isinstance(event, EpochUpdates)]
    bits = {"epochs": b"".join(u.epochs.tobytes() for u in updates)}
    bits["losses"] = b"".join(u.losses.tobytes() for u in updates)
    for name in updates[0].parameters if updates else ():
        bits[name] = b"".join(u.parameters[name].tobytes() for u in updates)
    for u in updates:
        for name, values in {"validation": u.validation_losses, **u.metrics}.items():
            if values is not None:
                assert len(values) == len(u.epochs)
                bits[name] = bits.get(name, b"") + values.tobytes()
    return bits


def outcome(event: Event) -> tuple[Any, ...]:
    """All of a result but the time that it took, bit for bit."""
    assert isinstance(event, Completed), event
    arrays = {**event.parameters, "predictions": event.predictions}
    arrays |= {f"unscaled {name}": array for name, array in (event.unscaled_parameters or {}).items()}
    bits = {name: None if a is None else (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
    measured = (event.validation_loss, event.metrics, event.best_epoch, event.restored, event.end)
    return event.epochs, event.final_loss, event.receipt, bits, measured
