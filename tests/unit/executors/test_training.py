"""From a spec to the events of its job: every epoch is told once, and the end says how it came about."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain import resolved, table
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.executors import training
from gradstream_server.executors.training import Environment, Training
from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import Completed, EpochUpdates, Event, Started, StateChange
from gradstream_server.trainers.registry import TRAINERS, Entry

HERE = Environment(1, {"gradstream": "test"})


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedTrainer]:
    """The scripted trainer, in the registry for as long as the test."""
    monkeypatch.setitem(TRAINERS, "scripted", Entry("tests.unit.executors.scripted:ScriptedTrainer", ""))
    ScriptedTrainer.loss = staticmethod(lambda epoch: 1 / epoch)
    ScriptedTrainer.asked = 0
    return ScriptedTrainer


@pytest.fixture(params=["each epoch leaves", "all leave together"])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How soon epochs leave: the two ends of what a clock can do."""
    set_pace(monkeypatch, first_s=0 if "each" in request.param else math.inf)
    return str(request.param)


def set_pace(monkeypatch: pytest.MonkeyPatch, first_s: float, gather_s: float | None = None) -> None:
    monkeypatch.setattr(training, "FIRST_S", first_s)
    monkeypatch.setattr(training, "GATHER_S", first_s if gather_s is None else gather_s)


def run(stop: Callable[[], bool] = lambda: False, trainer: str = "scripted", **fields: Any) -> list[Event]:
    """All events of a training."""
    with np.errstate(all="ignore"):  # As in a worker.
        return [event for events in runner(trainer, **fields).run(stop) for event in events]


def runner(trainer: str = "scripted", **fields: Any) -> Training:
    data = fields.get("data") or reference.DATA
    fields = {
        "device": "cpu",
        "intercept": False,
        "predict_rows": np.zeros((0, data.features.shape[1])),
    } | fields
    return Training(resolved(trainer, **fields), data, HERE)


def curve(events: list[Event]) -> list[tuple[int, float]]:
    updates = [event for event in events if isinstance(event, EpochUpdates)]
    return [(int(n), float(loss)) for u in updates for n, loss in zip(u.epochs, u.losses, strict=True)]


def expected(epochs: int, report_every: int, until: int | None = None) -> Iterator[tuple[int, float]]:
    for epoch in range(1, (epochs if until is None else until) + 1):
        if (epoch - 1) % report_every == 0 or epoch == epochs:
            yield epoch, 1 / epoch


@given(epochs=st.integers(1, 40), report_every=st.integers(1, 50), together=st.booleans())
def test_every_epoch_due_is_told_once(epochs: int, report_every: int, together: bool) -> None:
    """A user's curve would have gaps or repeats, or miss its end."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(TRAINERS, "scripted", Entry("tests.unit.executors.scripted:ScriptedTrainer", ""))
        ScriptedTrainer.loss = staticmethod(lambda epoch: 1 / epoch)
        set_pace(monkeypatch, first_s=math.inf if together else 0)
        events = run(epochs=epochs, report_every=report_every)
    assert isinstance(events[0], Started)
    assert curve(events) == list(expected(epochs, report_every))
    assert isinstance(events[-1], Completed)
    assert (events[-1].epochs, events[-1].final_loss) == (epochs, 1 / epochs)
    for update in events[1:-1]:
        assert isinstance(update, EpochUpdates)
        assert update.parameters["weight"].shape == (len(update.epochs), 1, 1)
        assert update.parameters["weight"].ravel().tolist() == update.epochs.tolist()


def test_the_first_epoch_leaves_before_the_others_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a long training would look at nothing for as long as epochs gather."""
    set_pace(monkeypatch, first_s=0, gather_s=math.inf)
    told = []
    for events in runner(epochs=50).run(lambda: False):
        told += [event for event in events if isinstance(event, EpochUpdates)]
        if len(told) == 1:
            assert told[0].epochs.tolist() == [1]
            assert ScriptedTrainer.asked == 1
    assert [len(update.epochs) for update in told] == [1, 49]


def test_a_slow_training_says_at_once_that_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose first epoch takes minutes would not know whether anything happens."""
    monkeypatch.setattr(training, "QUICK_NUMBERS", 0)
    events = next(runner(epochs=50).run(lambda: False))
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
    events = run(epochs=10, report_every=report_every)
    assert curve(events) == list(expected(10, report_every, until=epoch - 1))
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
    events = run(trainer=trainer, epochs=1, learning_rate=1e38, reduction="sum", dtype="float32")
    assert curve(events)[0][0] == 1
    assert isinstance(events[-1], StateChange)
    assert events[-1].fault
    assert events[-1].fault.reason is FaultReason.DIVERGED


def test_predictions_past_all_numbers_are_no_success() -> None:
    """A user would get infinity as an answer."""
    rows = np.array([[1e308]])
    data = table(features=1)
    events = run(trainer="manual", data=data, predict_rows=rows, initial_parameters={"weight": np.array(1e9)})
    assert isinstance(events[-1], StateChange)
    assert events[-1].state == "FAILED"
    assert events[-1].fault
    assert events[-1].fault.reason is FaultReason.PREDICTIONS_NOT_FINITE


def test_a_stop_ends_the_training_and_keeps_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who cancels would wait to the end, or lose the curve until then."""
    set_pace(monkeypatch, first_s=0)
    events = run(stop=lambda: ScriptedTrainer.asked >= 3, epochs=10)
    assert events[-1] == StateChange("CANCELLED")
    assert curve(events) == list(expected(10, 1, until=3))


@pytest.mark.parametrize(("features", "streamed"), [(64, True), (65, False)])
@pytest.mark.usefixtures("pace")
def test_a_large_model_leaves_its_parameters_to_the_end(features: int, streamed: bool) -> None:
    """A user's stream would carry a model of millions of numbers every epoch."""
    events = run(data=table(rows=2, features=features), epochs=5)
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
    events = run(
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


def test_the_receipt_is_enough_to_compare_two_trainings() -> None:
    """A user could not tell whether two models are the same."""
    same, again = (run(trainer="module", epochs=5)[-1] for _ in range(2))
    other = run(trainer="module", epochs=5, seed=1)[-1]
    assert isinstance(same, Completed)
    assert isinstance(again, Completed)
    assert isinstance(other, Completed)
    assert same.receipt == again.receipt
    assert same.receipt.data_digest == reference.SUMMARY.digest
    assert (same.receipt.device, same.receipt.threads, same.receipt.versions) == ("cpu", 1, HERE.versions)
    assert other.receipt.parameter_digest != same.receipt.parameter_digest
