"""A training that goes on from a checkpoint is, bit for bit, the one that nothing has disturbed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain import begun, told
from tests.unit.executors.driving import (
    HERE,
    Clock,
    attempt,
    columns,
    curve,
    expected,
    outcome,
    run,
    set_pace,
    small_spec,
    train,
)
from tests.unit.executors.memory import MemoryCheckpoints
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    Started,
    StateChange,
    Warned,
    WarningReason,
)
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.run import next_attempt
from gradstream_server.jobs.spec import InlineData, Spec, StoppingRequest, ValidationRequest
from gradstream_server.trainers.registry import TRAINERS


def noisy(rows: int, features: int, targets: int) -> InlineData:
    """Data whose every number is used to its last bit."""
    random = np.random.default_rng(7)
    x = random.normal(3, 2, (rows, features))
    noise = random.normal(0, 0.1, (rows, targets))
    return InlineData(x, x @ random.normal(size=(features, targets)) + noise)


SMALL, LARGE = noisy(30, 3, 2), noisy(4096, 4, 1)
CASES: dict[str, dict[str, Any]] = {
    "reference experiment": {"epochs": 8},
    "full batch": {"data": SMALL, "epochs": 8},
    "mini-batches in a random order": {"data": SMALL, "epochs": 8, "batch_size": 7, "shuffle": True},
    "mini-batches in order": {"data": SMALL, "epochs": 8, "batch_size": 7, "shuffle": False},
    "everything at once": {
        "data": SMALL,
        "epochs": 9,
        "batch_size": 4,
        "shuffle": True,
        "standardize": True,
        "l2": 0.01,
        "report_every": 3,
        "intercept": True,
        "seed": 42,
        "predict_rows": SMALL.features[:2],
    },
    "validation, and the best epoch": {
        "data": SMALL,
        "epochs": 9,
        "batch_size": 4,
        "learning_rate": 0.08,  # It goes up and down.
        "standardize": True,
        "predict_rows": SMALL.features[:2],
        "validation": ValidationRequest(fraction=0.3),
        "stopping": StoppingRequest(restore_best=True),
    },
    # So large that the manual trainer condenses its rows.
    "large full batch": {"data": LARGE, "epochs": 25, "intercept": True, "standardize": True},
}


def first_attempt(spec: Spec, data: InlineData | None = None) -> tuple[list[Event], MemoryCheckpoints]:
    """A training with a checkpoint after each epoch."""
    checkpoints = MemoryCheckpoints()
    return run(Task("job", spec), data, checkpoints=checkpoints, interval_s=0)[0], checkpoints


@pytest.mark.usefixtures("checkpoint_each_epoch")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_from_every_checkpoint_all_is_as_if_nothing_had_happened(trainer: str, dtype: str, case: str) -> None:
    """A crash would change a user's model, or leave a gap or a repeat in the curve."""
    fields = {"learning_rate": 0.02, **CASES[case], "dtype": dtype}
    data, spec = fields.get("data"), small_spec(trainer, **fields)
    undisturbed = train(trainer, **fields)
    first, checkpoints = first_attempt(spec, data)
    assert columns(first) == columns(undisturbed)
    assert outcome(first[-1]) == outcome(undisturbed[-1])
    names = [event for event in first if isinstance(event, Checkpointed)]
    assert [event.epoch for event in names] == list(range(1, spec.epochs + 1))
    every = max(1, spec.epochs // 4)
    for checkpoint in names[::every] + names[-1:]:
        for lost in {0, 3, spec.epochs}:
            # What the log told when the worker died: a checkpoint, and perhaps more epochs.
            until = min(checkpoint.epoch + lost, spec.epochs)
            log = [event for event in first if not _is_after(event, until)]
            reported = max(int(e.epochs[-1]) for e in log if isinstance(e, EpochUpdates))
            task = Task("job", spec, 2, True, reported, (checkpoint.name,))
            second, _ = run(task, data, checkpoints=checkpoints)
            assert {type(event) for event in second[:-1]} <= {EpochUpdates}
            assert columns([*log, *second]) == columns(undisturbed)
            assert outcome(second[-1]) == outcome(undisturbed[-1])


def _is_after(event: Event, epoch: int) -> bool:
    return isinstance(event, EpochUpdates) and bool(event.epochs[-1] > epoch)


@pytest.mark.usefixtures("checkpoint_each_epoch")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    epochs=st.integers(1, 25),
    report_every=st.integers(1, 30),
    crashes=st.lists(st.integers(0, 12), max_size=6),
    interval_s=st.sampled_from([0, 0, math.inf]),
)
def test_whatever_the_crashes_the_log_tells_every_epoch_once(
    epochs: int, report_every: int, crashes: list[int], interval_s: float
) -> None:
    """A user's curve would have a gap or a repeat after some unlucky series of crashes."""
    spec, checkpoints = small_spec(epochs=epochs, report_every=report_every), MemoryCheckpoints()
    job, log = begun(spec), list[Event]()
    for kept in [*crashes, None]:
        # The worker dies after so many of its messages have been kept.
        messages = list(attempt(next_attempt(job, spec), checkpoints=checkpoints, interval_s=interval_s))
        events = [event for message in messages[:kept] for event in message]
        job, log = told(job, events), log + events
        if job.ended:
            break
        job = told(job, [StateChange("RUNNING")])
    assert sum(isinstance(event, Started) for event in log) == 1
    assert curve(log) == expected(epochs, report_every)
    assert isinstance(log[-1], Completed)
    assert (log[-1].epochs, log[-1].final_loss) == (epochs, 1 / epochs)
    assert not any(isinstance(event, Warned) for event in log)


def second_attempt(checkpoints: MemoryCheckpoints, *names: str, reported: int = 6, **how: Any) -> list[Event]:
    """What is told by an attempt after the first, at ten epochs of the scripted trainer."""
    ScriptedTrainer.asked = 0
    task = Task("job", small_spec(epochs=10), 2, True, reported, names)
    return run(task, checkpoints=checkpoints, **how)[0]


def trained_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that the scripted trainer is asked for, from now on."""
    asked: list[int] = []
    monkeypatch.setattr(ScriptedTrainer, "loss", staticmethod(lambda n: asked.append(n) or 1 / n))
    return asked


@pytest.fixture
def checkpoints(checkpoint_each_epoch: None) -> MemoryCheckpoints:  # noqa: ARG001
    """Those that a first attempt at ten epochs has left."""
    return first_attempt(small_spec(epochs=10))[1]


def test_the_epochs_of_a_checkpoint_are_not_trained_again(
    checkpoints: MemoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user would wait for all of a training again after a crash at its end."""
    asked = trained_epochs(monkeypatch)
    second_attempt(checkpoints, "1-4", "1-3")
    assert asked == [5, 6, 7, 8, 9, 10]


def damage(checkpoints: MemoryCheckpoints, how: str) -> None:
    """Make the checkpoint after epoch 4 one that this job cannot use."""
    kept = checkpoints.read("job", "1-4")
    other = replace(kept.result.receipt, data_digest="another")
    if how == "gone":
        checkpoints.discard("job", "1-4")
    else:
        checkpoints.kept["job"]["1-4"] = {
            "other data": replace(kept, result=replace(kept.result, receipt=other)),
            "other seed": replace(kept, seed=kept.seed + 1),
        }[how]


@pytest.mark.parametrize("how", ["gone", "other data", "other seed"])
def test_in_place_of_a_checkpoint_that_cannot_be_used_the_one_before_is(
    checkpoints: MemoryCheckpoints, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A damaged file would cost a user the job, or slip numbers of another job into it."""
    damage(checkpoints, how)
    asked = trained_epochs(monkeypatch)
    warning, *events = second_attempt(checkpoints, "1-4", "1-3")
    assert isinstance(warning, Warned)
    assert warning.reason is WarningReason.CHECKPOINT_DAMAGED
    assert "1-4" in warning.message
    assert warning.checkpoint == "1-4"
    assert asked[0] == 4
    assert curve(events) == expected(10, 1)[6:]
    assert isinstance(events[-1], Completed)


@pytest.mark.usefixtures("checkpoint_each_epoch")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_checkpoint_whose_state_does_not_fit_is_not_used(trainer: str) -> None:
    """A user's job would fail at each attempt because of a file that it could do without."""
    spec = small_spec(trainer, epochs=10)
    undisturbed, checkpoints = first_attempt(spec)
    kept = checkpoints.read("job", "1-4")
    checkpoints.kept["job"]["1-4"] = replace(kept, state={"weight": np.zeros((2, 2))})
    warning, *events = run(Task("job", spec, 2, True, 0, ("1-4",)), checkpoints=checkpoints)[0]
    assert isinstance(warning, Warned)
    assert warning.reason is WarningReason.CHECKPOINT_DAMAGED
    assert "weight" in warning.message
    assert columns(events) == columns(undisturbed)


def test_without_a_usable_checkpoint_training_begins_again(
    checkpoints: MemoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user would lose the job together with its checkpoints."""
    asked = trained_epochs(monkeypatch)
    checkpoints.remove("job")
    first, second, *events = second_attempt(checkpoints, "1-4", "1-3")
    for warning in (first, second):
        assert isinstance(warning, Warned)
        assert warning.reason is WarningReason.CHECKPOINT_DAMAGED
    assert asked == list(range(1, 11))
    assert curve(events) == expected(10, 1)[6:]  # What was told is not told again.
    assert isinstance(events[-1], Completed)


def test_a_changed_environment_is_told(checkpoints: MemoryCheckpoints) -> None:
    """A user would rely on equal bits where nobody can promise them."""
    there = replace(HERE, threads=3, versions={"gradstream": "test", "torch": "9"})
    warning, *events = second_attempt(checkpoints, "1-4", environment=there)
    assert isinstance(warning, Warned)
    assert warning.reason is WarningReason.ENVIRONMENT_CHANGED
    assert "threads 3 instead of 1, torch 9 instead of None" in warning.message
    assert curve(events) == expected(10, 1)[6:]


def test_after_the_last_epoch_only_the_result_is_left(checkpoints: MemoryCheckpoints) -> None:
    """A job that was stopped after its last epoch would never end, or end with another loss."""
    (end,) = second_attempt(checkpoints, "1-10", reported=10)
    assert isinstance(end, Completed)
    assert (end.epochs, end.final_loss, end.parameters["weight"].item()) == (10, 1 / 10, 10)


@pytest.mark.parametrize("reported", [5, 7, 8])
def test_divergence_after_going_on_names_the_right_epoch(
    checkpoints: MemoryCheckpoints, reported: int
) -> None:
    """A user would look for the mistake in the wrong place of the curve."""
    ScriptedTrainer.loss = staticmethod(lambda epoch: math.nan if epoch == 9 else 1 / epoch)
    *updates, end = second_attempt(checkpoints, "1-5", reported=reported)
    assert isinstance(end, StateChange)
    assert end.fault
    assert (end.fault.reason, end.fault.facts["epoch"]) == (FaultReason.DIVERGED, "9")
    assert curve(updates) == expected(10, 1, until=8)[reported:]


def test_training_time_is_that_of_all_attempts(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user would be told a training time without what came before the crash."""
    set_pace(monkeypatch, first_s=0)
    ScriptedTrainer.loss = staticmethod(lambda epoch: clock.advance(0.5) or 1 / epoch)
    checkpoints = MemoryCheckpoints()
    stops = {"checkpoints": checkpoints, "stop": lambda: True}
    spec = small_spec(epochs=4)
    run(Task("job", spec), **stops)
    clock.advance(100)
    run(Task("job", spec, 2, True, 1, ("1-1",)), **stops)
    events, _ = run(Task("job", spec, 3, True, 2, ("2-2",)), checkpoints=checkpoints)
    assert isinstance(events[-1], Completed)
    assert events[-1].training_s == 2.0
