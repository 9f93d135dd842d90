"""When training ends before its last epoch, with which epoch's model, and that nothing disturbs that."""

import math
from typing import Any

import numpy as np
import pytest
from tests.unit.executors.driving import Clock, columns, curve, outcome, run, small_spec, train
from tests.unit.executors.memory import MemoryCheckpoints
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    TrainingEnd,
    Warned,
    WarningReason,
)
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.spec import InlineData, StoppingRequest, ValidationRequest
from gradstream_server.trainers.errors import CannotTrain

VALIDATION = ValidationRequest(fraction=0.5)
VALLEY = [9.0, 5, 3, 4, 2.9, 6, 7, 8, 1, 0]
"""Validation losses of epochs 1 to 10."""


@pytest.fixture
def valley(scripted: type[ScriptedTrainer]) -> None:
    scripted.validation = staticmethod(lambda epoch: VALLEY[epoch - 1])


def ending(validation: ValidationRequest | None = VALIDATION, **stopping: Any) -> Completed:
    """The end of ten epochs of the scripted trainer."""
    end = train(epochs=10, validation=validation, stopping=StoppingRequest(**stopping))[-1]
    assert isinstance(end, Completed)
    return end


@pytest.mark.usefixtures("valley", "pace")
@pytest.mark.parametrize(
    ("stopping", "end", "epochs", "best"),
    [
        ({"patience": 1}, TrainingEnd.NO_IMPROVEMENT, 4, 3),
        ({"patience": 2}, TrainingEnd.NO_IMPROVEMENT, 7, 5),
        ({"patience": 2, "min_delta": 0.2}, TrainingEnd.NO_IMPROVEMENT, 5, 3),
        ({"patience": 4}, TrainingEnd.EPOCHS, 10, 10),
        ({"restore_best": True, "min_delta": 1.5}, TrainingEnd.EPOCHS, 10, 9),
        ({"patience": 3, "monitor": "loss"}, TrainingEnd.EPOCHS, 10, 10),
        ({"patience": 1, "monitor": "r2"}, TrainingEnd.NO_IMPROVEMENT, 3, 2),
        ({"patience": 3, "monitor": "mae"}, TrainingEnd.NO_IMPROVEMENT, 5, 2),
    ],
)
def test_it_ends_when_nothing_improves(
    stopping: dict[str, Any], end: TrainingEnd, epochs: int, best: int
) -> None:
    """A user would pay for epochs that make his model worse, or would be given a worse one."""
    completed = ending(**stopping)
    assert (completed.end, completed.epochs, completed.best_epoch) == (end, epochs, best)
    assert completed.restored
    # All that is told is of one epoch.
    assert completed.parameters["weight"].item() == best
    assert completed.validation_loss == VALLEY[best - 1]
    assert completed.final_loss == 1 / best


@pytest.mark.usefixtures("valley")
def test_the_last_epoch_is_kept_where_that_is_asked_for() -> None:
    """A user who wants the last epoch would get another."""
    completed = ending(patience=2, restore_best=False)
    assert (completed.epochs, completed.best_epoch, completed.restored) == (7, 5, False)
    assert completed.parameters["weight"].item() == 7
    assert (completed.validation_loss, completed.final_loss) == (VALLEY[6], 1 / 7)


@pytest.mark.usefixtures("pace")
@pytest.mark.parametrize("report_every", [1, 4])
def test_the_epoch_that_ends_it_is_told(scripted: type[ScriptedTrainer], report_every: int) -> None:
    """The curve of a user would break off before its end."""
    scripted.loss = staticmethod(lambda epoch: max(1 / epoch, 0.2))
    events = train(epochs=100, report_every=report_every, stopping=StoppingRequest(patience=2))
    assert [epoch for epoch, _ in curve(events)] == ([1, 5, 7] if report_every == 4 else [*range(1, 8)])
    assert scripted.asked == 7


def test_what_is_no_number_is_no_improvement(scripted: type[ScriptedTrainer]) -> None:
    """A model whose validation loss is past all numbers would pass for the best one."""
    scripted.validation = staticmethod(lambda epoch: math.nan if epoch % 2 else math.inf)
    completed = ending(patience=3)
    assert (completed.end, completed.epochs) == (TrainingEnd.NO_IMPROVEMENT, 3)
    assert (completed.best_epoch, completed.restored) == (0, False)
    assert completed.parameters["weight"].item() == 3


def test_metrics_that_these_rows_do_not_have() -> None:
    """A user would be shown a number that means nothing."""
    events = train(epochs=2, validation=ValidationRequest(last_rows=1))
    (warning,) = (event for event in events if isinstance(event, Warned))
    assert warning.reason == WarningReason.METRIC_LEFT_OUT
    assert warning.message.startswith("r2 is left out, for it is not defined for the validation rows: ")
    assert isinstance(events[-1], Completed)
    assert set(events[-1].metrics) == {"mae", "rmse"}
    with pytest.raises(CannotTrain, match="r2 is monitored, but it is not defined"):
        train(validation=ValidationRequest(last_rows=1), stopping=StoppingRequest(patience=1, monitor="r2"))


def noisy() -> InlineData:
    random = np.random.default_rng(5)
    x = random.normal(size=(40, 3))
    return InlineData(x, x @ random.normal(size=(3, 1)) + random.normal(size=(40, 1)))


@pytest.mark.usefixtures("checkpoint_each_epoch")
@pytest.mark.parametrize("restore_best", [True, False])
@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_a_crash_changes_nothing_of_how_it_ends(trainer: str, restore_best: bool) -> None:
    """After a crash training would end with another epoch, and another model."""
    fields = {
        "data": noisy(),
        "epochs": 200,
        "batch_size": 5,
        "learning_rate": 0.05,
        "validation": VALIDATION,
        "stopping": StoppingRequest(patience=4, restore_best=restore_best),
    }
    spec, checkpoints = small_spec(trainer, **fields), MemoryCheckpoints()
    first, _ = run(Task("job", spec), noisy(), checkpoints=checkpoints, interval_s=0)
    undisturbed = train(trainer, **fields)
    assert outcome(first[-1]) == outcome(undisturbed[-1])
    assert isinstance(first[-1], Completed)
    assert first[-1].end is TrainingEnd.NO_IMPROVEMENT
    checkpoints_told = [event for event in first if isinstance(event, Checkpointed)]
    for checkpoint in checkpoints_told[::3] + checkpoints_told[-2:]:
        for lost in (0, 2):
            until = checkpoint.epoch + lost
            log = [event for event in first[:-1] if not _is_after(event, until)]
            reported = max(int(e.epochs[-1]) for e in log if isinstance(e, EpochUpdates))
            second, _ = run(
                Task("job", spec, 2, True, reported, (checkpoint.name,)), noisy(), checkpoints=checkpoints
            )
            assert columns([*log, *second]) == columns(undisturbed)
            assert outcome(second[-1]) == outcome(undisturbed[-1])


def _is_after(event: Event, epoch: int) -> bool:
    return isinstance(event, EpochUpdates) and int(event.epochs[-1]) > epoch


def slow(clock: Clock, scripted: type[ScriptedTrainer], epoch_s: float = 1.0) -> None:
    """Each epoch takes so long."""

    def loss(epoch: int) -> float:
        clock.advance(epoch_s)
        return 1 / epoch

    scripted.loss = staticmethod(loss)


def test_it_ends_when_its_time_is_up(clock: Clock, scripted: type[ScriptedTrainer]) -> None:
    """A user with an hour to spare would wait for longer, or be left without a model."""
    slow(clock, scripted)
    events = train(epochs=1000, stopping=StoppingRequest(after_seconds=3.5))
    end = events[-1]
    assert isinstance(end, Completed)
    assert (end.end, end.epochs, end.training_s) == (TrainingEnd.TIME, 4, 4.0)
    assert [epoch for epoch, _ in curve(events)] == [1, 2, 3, 4]


def test_time_between_attempts_does_not_count(clock: Clock, scripted: type[ScriptedTrainer]) -> None:
    """A pause would end the training."""
    slow(clock, scripted)
    spec = small_spec(epochs=1000, stopping=StoppingRequest(after_seconds=5.5))
    checkpoints = MemoryCheckpoints()
    first, interrupted = run(
        Task("job", spec), checkpoints=checkpoints, stop=lambda: clock.now >= 3, interval_s=0
    )
    assert interrupted is not None
    clock.advance(1000)
    name = next(event.name for event in reversed(first) if isinstance(event, Checkpointed))
    second, _ = run(Task("job", spec, 2, True, 3, (name,)), checkpoints=checkpoints)
    assert isinstance(second[-1], Completed)
    assert (second[-1].end, second[-1].epochs) == (TrainingEnd.TIME, 6)


def test_what_was_told_is_trained_again_whatever_the_time(
    clock: Clock, scripted: type[ScriptedTrainer]
) -> None:
    """After a crash the log would tell of epochs that the model has not seen."""
    slow(clock, scripted)
    spec = small_spec(epochs=1000, stopping=StoppingRequest(after_seconds=2))
    events, _ = run(Task("job", spec, attempt=2, has_started=True, reported_epochs=9))
    assert isinstance(events[-1], Completed)
    assert (events[-1].end, events[-1].epochs) == (TrainingEnd.TIME, 9)


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_fewer_epochs_are_the_first_of_all(trainer: str) -> None:
    """What time has ended could not be trained again, where a schedule reckons with all epochs."""
    fields = {"data": noisy(), "epochs": 50, "parts": {}}
    some = train(trainer, **fields, stopping=StoppingRequest(after_epochs=7))
    assert curve(some) == curve(train(trainer, **fields))[:7]
    assert isinstance(some[-1], Completed)
    assert (some[-1].epochs, some[-1].end) == (7, TrainingEnd.EPOCHS)
