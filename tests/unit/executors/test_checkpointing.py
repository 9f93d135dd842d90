"""When checkpoints are written, and what happens when they cannot be."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.executors.driving import Clock, curve, expected, run, set_pace, small_spec
from tests.unit.executors.memory import MemoryCheckpoints
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.executors.checkpointing import CHECKPOINT_SHARE
from gradstream_server.jobs.checkpoint import Checkpoint
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Started,
    Warned,
    WarningReason,
)
from gradstream_server.jobs.executor import Task

EPOCH_S = 0.125


@pytest.fixture(autouse=True)
def epochs_take_time(clock: Clock) -> None:
    """An epoch of the scripted trainer takes an eighth of a second."""

    def loss(epoch: int) -> float:
        clock.advance(EPOCH_S)
        return 1 / epoch

    ScriptedTrainer.loss = staticmethod(loss)


def failing(times: float) -> Callable[[Checkpoint], None]:
    """A disk that is full for so many times."""
    tries = iter(range(10**6))

    def fail(_: Checkpoint) -> None:
        if next(tries) < times:
            raise OSError(28, "No space left on device")

    return fail


def test_a_training_that_ends_within_the_interval_writes_none() -> None:
    """A user of small jobs would pay for checkpoints that nobody ever reads."""
    checkpoints = MemoryCheckpoints()
    events, _ = run(Task("job", small_spec(epochs=7)), checkpoints=checkpoints, interval_s=1)
    assert {type(event) for event in events} == {Started, EpochUpdates, Completed}
    assert not checkpoints.jobs()


def test_a_checkpoint_every_interval() -> None:
    """A user would lose more than the last second of a long training to a crash."""
    checkpoints = MemoryCheckpoints()
    events, _ = run(Task("job", small_spec(epochs=30), attempt=4), checkpoints=checkpoints, interval_s=1)
    told = [event for event in events if isinstance(event, Checkpointed)]
    assert told == [Checkpointed(8, "4-8"), Checkpointed(16, "4-16"), Checkpointed(24, "4-24")]
    for event in told:
        # Told once the epochs up to it are, and not before it is there.
        assert curve(events[: events.index(event)])[-1][0] == event.epoch
        assert checkpoints.read("job", event.name).epoch == event.epoch


def test_slow_checkpoints_are_few(clock: Clock) -> None:
    """A user with a slow disk would wait for the disk instead of the training."""
    checkpoints = MemoryCheckpoints()
    checkpoints.on_write = lambda _: clock.advance(3)
    events, _ = run(Task("job", small_spec(epochs=4000)), checkpoints=checkpoints, interval_s=1)
    written = sum(isinstance(event, Checkpointed) for event in events)
    assert written > 1
    # The first is due before anybody knows how slow they are.
    assert (written - 1) * 3 <= CHECKPOINT_SHARE * clock.now


def test_checkpoints_that_take_long_to_compute_are_few(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who asks a large model for many predictions would wait for them again every second."""

    def predict(_: ScriptedTrainer, features: NDArray[np.floating]) -> NDArray[np.floating]:
        clock.advance(3)
        return features

    monkeypatch.setattr(ScriptedTrainer, "predict", predict)
    what = Task("job", small_spec(epochs=4000, predict_rows=np.ones((1, 1))))
    events, _ = run(what, interval_s=1)
    written = sum(isinstance(event, Checkpointed) for event in events)
    assert written > 1
    assert (written - 1) * 3 <= CHECKPOINT_SHARE * clock.now


@pytest.mark.parametrize("times", [2, math.inf])
def test_training_goes_on_when_no_checkpoint_can_be_written(times: float) -> None:
    """A full disk would end a training that does not need it, or fill the log with warnings."""
    checkpoints = MemoryCheckpoints()
    checkpoints.on_write = failing(times)
    events, _ = run(Task("job", small_spec(epochs=30)), checkpoints=checkpoints, interval_s=1)
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert warning.reason is WarningReason.CHECKPOINT_NOT_WRITTEN
    assert "epoch 8" in warning.message
    assert "No space left" in warning.message
    assert curve(events) == expected(30, 1)
    # It is tried again: the disk may have room by then.
    told = [event.epoch for event in events if isinstance(event, Checkpointed)]
    assert told == ([24] if times == 2 else [])
    assert isinstance(events[-1], Completed)


def test_a_stop_is_no_less_a_stop_when_no_checkpoint_can_be_written() -> None:
    """A user could not pause or cancel while the disk is full."""
    checkpoints = MemoryCheckpoints()
    checkpoints.on_write = failing(math.inf)
    events, interrupted = run(
        Task("job", small_spec(epochs=30)), checkpoints=checkpoints, stop=lambda: ScriptedTrainer.asked == 5
    )
    assert isinstance(events[-1], Warned)
    assert interrupted
    assert interrupted.result_so_far
    assert interrupted.result_so_far.epochs == 5


def test_no_checkpoint_of_what_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job would go on from parameters that no training comes back from."""
    set_pace(monkeypatch, first_s=0)
    ScriptedTrainer.loss = staticmethod(lambda epoch: 1.0 if epoch < 5 else math.nan)
    checkpoints = MemoryCheckpoints()
    run(Task("job", small_spec(epochs=9)), checkpoints=checkpoints, interval_s=0)
    assert checkpoints.kept["job"]
    assert max(kept.epoch for kept in checkpoints.kept["job"].values()) < 5
    for kept in checkpoints.kept["job"].values():
        assert np.isfinite(kept.state["weight"]).all()
