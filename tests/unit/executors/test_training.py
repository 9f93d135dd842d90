"""From a spec to the events of its job: every epoch is told once, and the end says how it came about."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain import table
from tests.unit.executors.driving import HERE, attempt, curve, expected, run, set_pace, small_spec, train
from tests.unit.executors.memory import MemoryCheckpoints
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.executors import training
from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import Checkpointed, Completed, EpochUpdates, Started, StateChange
from gradstream_server.jobs.executor import Task
from gradstream_server.trainers.registry import TRAINERS


@given(epochs=st.integers(1, 40), report_every=st.integers(1, 50), together=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_epoch_due_is_told_once(
    monkeypatch: pytest.MonkeyPatch, epochs: int, report_every: int, together: bool
) -> None:
    """A user's curve would have gaps or repeats, or miss its end."""
    set_pace(monkeypatch, first_s=math.inf if together else 0)
    events = train(epochs=epochs, report_every=report_every)
    assert isinstance(events[0], Started)
    assert curve(events) == expected(epochs, report_every)
    assert isinstance(events[-1], Completed)
    assert (events[-1].epochs, events[-1].final_loss) == (epochs, 1 / epochs)
    for update in events[1:-1]:
        assert isinstance(update, EpochUpdates)
        assert update.parameters["weight"].shape == (len(update.epochs), 1, 1)
        assert update.parameters["weight"].ravel().tolist() == update.epochs.tolist()


def test_the_first_epoch_leaves_before_the_others_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a long training would look at nothing for as long as epochs gather."""
    set_pace(monkeypatch, first_s=0, gather_s=math.inf)
    told: list[EpochUpdates] = []
    for said in attempt(Task("job", small_spec(epochs=50))):
        assert isinstance(said, list)
        told += [event for event in said if isinstance(event, EpochUpdates)]
        if len(told) == 1:
            assert told[0].epochs.tolist() == [1]
            assert ScriptedTrainer.asked == 1
    assert [len(update.epochs) for update in told] == [1, 49]


def test_a_slow_training_says_at_once_that_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose first epoch takes minutes would not know whether anything happens."""
    monkeypatch.setattr(training, "QUICK_NUMBERS", 0)
    events = next(attempt(Task("job", small_spec(epochs=50))))
    assert isinstance(events, list)
    assert [type(event) for event in events] == [Started]
    assert ScriptedTrainer.asked == 0


@pytest.mark.parametrize("report_every", [1, 3])
@pytest.mark.parametrize("epoch", [1, 2, 3, 9, 10])
@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.usefixtures("pace")
def test_divergence_keeps_the_curve_until_then_and_names_the_epoch(
    epoch: int, report_every: int, value: float
) -> None:
    """A user would lose the curve that shows what went wrong, or not learn when it did."""
    ScriptedTrainer.loss = staticmethod(lambda n: value if n == epoch else 1 / n)
    events = train(epochs=10, report_every=report_every)
    assert curve(events) == expected(10, report_every, until=epoch - 1)
    end = events[-1]
    assert isinstance(end, StateChange)
    assert end.fault
    assert (end.state, end.fault.reason, end.fault.facts["epoch"]) == (
        "FAILED",
        FaultReason.DIVERGED,
        str(epoch),
    )
    assert f"epoch {epoch}" in end.reason
    assert "learning_rate" in end.reason


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
@pytest.mark.usefixtures("pace")
def test_divergence_in_the_very_last_update(trainer: str) -> None:
    """A user would get a model of NaN that is said to have succeeded: the last loss was still finite."""
    events = train(trainer=trainer, epochs=1, learning_rate=1e38, reduction="sum", dtype="float32")
    assert curve(events)[0][0] == 1
    assert isinstance(events[-1], StateChange)
    assert events[-1].fault
    assert events[-1].fault.reason is FaultReason.DIVERGED


def test_predictions_past_all_numbers_are_no_success() -> None:
    """A user would get infinity as an answer."""
    rows = np.array([[1e308]])
    data = table(features=1)
    events = train("manual", data=data, predict_rows=rows, initial_parameters={"weight": np.array(1e9)})
    assert isinstance(events[-1], StateChange)
    assert events[-1].state == "FAILED"
    assert events[-1].fault
    assert events[-1].fault.reason is FaultReason.PREDICTIONS_NOT_FINITE


def test_a_stop_keeps_the_curve_and_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who cancels would wait to the end, or lose the curve, or the model, until then."""
    set_pace(monkeypatch, first_s=0)
    checkpoints = MemoryCheckpoints()
    events, interrupted = run(
        Task("job", small_spec(epochs=10, predict_rows=np.array([[2.0]]))),
        checkpoints=checkpoints,
        stop=lambda: ScriptedTrainer.asked >= 3,
    )
    assert curve(events) == expected(10, 1, until=3)
    assert events[-1] == Checkpointed(3, "1-3")
    assert interrupted
    assert (interrupted.died, interrupted.killed) == (None, False)
    result = interrupted.result_so_far
    assert result
    assert (result.epochs, result.final_loss) == (3, 1 / 3)
    assert result.parameters["weight"].tolist() == [[3.0]]
    assert result.predictions is not None
    assert result.predictions.tolist() == [[6.0]]
    assert checkpoints.read("job", "1-3").result is result


def test_a_stop_leaves_nothing_that_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user would go on from parameters past all numbers, or be handed them as a model."""
    set_pace(monkeypatch, first_s=0)
    checkpoints = MemoryCheckpoints()
    spec = small_spec("manual", epochs=5, learning_rate=1e38, reduction="sum", dtype="float32")
    events, interrupted = run(Task("job", spec), checkpoints=checkpoints, stop=lambda: True)
    assert [type(event) for event in events] == [Started, EpochUpdates]  # The loss was finite.
    assert interrupted
    assert interrupted.result_so_far is None
    assert not checkpoints.jobs()


def test_a_stop_leaves_out_predictions_past_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who pauses would lose a good model for the sake of rows that it is not used on."""
    set_pace(monkeypatch, first_s=0)
    spec = small_spec(epochs=5, dtype="float64", predict_rows=np.array([[1e308]]))
    events, interrupted = run(Task("job", spec), stop=lambda: ScriptedTrainer.asked == 2)
    assert isinstance(events[-1], Checkpointed)
    assert interrupted
    assert interrupted.result_so_far
    assert interrupted.result_so_far.predictions is None


@pytest.mark.parametrize(("features", "streamed"), [(64, True), (65, False)])
@pytest.mark.usefixtures("pace")
def test_a_large_model_leaves_its_parameters_to_the_end(features: int, streamed: bool) -> None:
    """A user's stream would carry a model of millions of numbers every epoch."""
    events = train(data=table(rows=2, features=features), epochs=5)
    updates = [event for event in events if isinstance(event, EpochUpdates)]
    assert all(bool(update.parameters) is streamed for update in updates)
    assert isinstance(events[-1], Completed)
    assert events[-1].parameters["weight"].tolist() == [[5.0] * features]


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
@pytest.mark.parametrize("intercept", [True, False])
def test_with_scaling_all_is_in_the_datas_own_units(trainer: str, intercept: bool) -> None:
    """A user who asks for scaling would get predictions or parameters for scaled features."""
    data, rows = table(rows=20, features=3, targets=2), np.array([[1.0, -2.0, 3.0], [0.5, 0.0, 9.0]])
    weight = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    initial = {"weight": weight} | ({"bias": np.array([1.0, -1.0])} if intercept else {})
    events = train(
        trainer=trainer,
        data=data,
        epochs=30,
        learning_rate=0.1,
        standardize=True,
        intercept=intercept,
        predict_rows=rows,
        initial_parameters=initial,
    )
    started, completed = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(completed, Completed)
    np.testing.assert_allclose(started.predictions, rows @ weight.T + initial.get("bias", 0), rtol=1e-12)
    own = completed.unscaled_parameters
    assert own
    assert set(own) == set(initial)
    np.testing.assert_allclose(completed.predictions, rows @ own["weight"].T + own.get("bias", 0), rtol=1e-9)
    assert started.scaling
    mean, scale = started.scaling
    np.testing.assert_allclose(scale, data.features.std(axis=0))
    np.testing.assert_allclose(mean, data.features.mean(axis=0) if intercept else np.zeros(3))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_what_waits_to_be_told_is_what_it_was(trainer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user would see the trained parameters as those before training, or as those of an earlier epoch."""
    set_pace(monkeypatch, first_s=0)
    checkpoints = MemoryCheckpoints()
    spec = small_spec(trainer, initial_parameters={"weight": np.array(0.5)}, epochs=3)
    events, _ = run(Task("job", spec), checkpoints=checkpoints, interval_s=0)
    assert isinstance(events[0], Started)
    assert events[0].parameters["weight"].tolist() == [[0.5]]
    after_first = next(event for event in events if isinstance(event, EpochUpdates)).parameters["weight"][0]
    kept = checkpoints.read("job", "1-1")
    assert kept.result.parameters["weight"].tolist() == kept.state["weight"].tolist() == after_first.tolist()


def test_the_receipt_is_enough_to_compare_two_trainings() -> None:
    """A user could not tell whether two models are the same."""
    same, again = (train(trainer="module", epochs=5)[-1] for _ in range(2))
    other = train(trainer="module", epochs=5, seed=1)[-1]
    assert isinstance(same, Completed)
    assert isinstance(again, Completed)
    assert isinstance(other, Completed)
    assert same.receipt == again.receipt
    assert same.receipt.data_digest == reference.SUMMARY.digest
    assert (same.receipt.device, same.receipt.threads, same.receipt.versions) == ("cpu", 1, HERE.versions)
    assert other.receipt.parameter_digest != same.receipt.parameter_digest
