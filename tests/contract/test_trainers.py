"""What every trainer in the registry has to do: a further one is tested by being there."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain import resolved, table

from gradstream_server.executors.training import Environment, Training
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs import reference
from gradstream_server.jobs.events import Completed, EpochUpdates, Event, Started
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.spec import InlineData
from gradstream_server.trainers import batches, sufficient_statistics
from gradstream_server.trainers.catalogue import complete
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem, Rows, State, Trainer
from gradstream_server.trainers.registry import TRAINERS, load

pytestmark = pytest.mark.parametrize("trainer", TRAINERS)


def run(trainer: str, data: InlineData | None = None, **fields: object) -> list[Event]:
    spec = resolved(trainer, device="cpu", data=data, **fields)
    no_checkpoints = None
    training_data = TrainingData.of_inline(spec, data or reference.DATA)
    training = Training(Task("job", spec), training_data, Environment(1, {}), no_checkpoints, math.inf)
    return [event for events in training.run(lambda: False) for event in events]


def test_it_trains_its_reference_experiment(trainer: str) -> None:
    """A user who asks for nothing but the trainer would not learn that y is 2x."""
    started, *updates, completed = run(trainer)
    assert isinstance(started, Started)
    assert (started.rows, started.features, started.targets) == (4, 1, 1)
    assert started.predictions is not None
    assert started.predictions.shape == (1, 1)
    losses = np.concatenate([update.losses for update in updates if isinstance(update, EpochUpdates)])
    assert len(losses) == resolved(trainer).epochs
    assert losses[-1] < losses[0] / 10
    assert isinstance(completed, Completed)
    assert completed.predictions is not None
    np.testing.assert_allclose(completed.predictions, [[10]], atol=1)
    assert completed.final_loss == losses[-1]
    assert {value.dtype.name for value in completed.parameters.values()} == {"float32"}


@pytest.mark.parametrize("batch_size", [None, 7, 1])
def test_it_learns_a_linear_relation_of_several_targets(trainer: str, batch_size: int | None) -> None:
    """A user's own table, in mini-batches or not, would not be learnt."""
    noise = np.random.default_rng(0).normal(size=(20, 2))
    data = InlineData(noise, noise @ np.array([[1.0, 2, 3], [4, 5, 6]]) + 1)
    completed = run(trainer, data, batch_size=batch_size, learning_rate=0.15, epochs=500)[-1]
    assert isinstance(completed, Completed)
    np.testing.assert_allclose(completed.parameters["weight"], [[1, 4], [2, 5], [3, 6]], rtol=1e-4)
    np.testing.assert_allclose(completed.parameters["bias"], [1, 1, 1], rtol=1e-4)


def test_the_same_spec_gives_the_same_model(trainer: str) -> None:
    """A user could not repeat a training."""
    data = table(rows=10)
    first, second, other = (run(trainer, data, batch_size=3, seed=seed)[-1] for seed in (3, 3, 4))
    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert isinstance(other, Completed)
    assert first.receipt.parameter_digest == second.receipt.parameter_digest
    assert first.receipt.parameter_digest != other.receipt.parameter_digest


def a_problem(rows: int = 30, features: int = 3, targets: int = 2, dtype: str = "float64") -> Problem:
    generator = np.random.default_rng(rows)
    x = generator.normal(size=(rows, features)).astype(dtype)
    y = generator.normal(size=(rows, targets)).astype(dtype)
    return Problem(x, y, epochs=6, learning_rate=0.1, batch_size=rows)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_it_measures_rows_that_it_does_not_learn_from(
    trainer: str, rows: int, reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user would stop at the wrong epoch, or what he measures would be learnt."""
    monkeypatch.setattr(batches, "_TAKEN_NUMBERS", 50)  # Several blocks.
    problem = replace(a_problem(), reduction=reduction, learning_rate=0.001)
    others = a_problem(rows)
    measured = load(trainer)(replace(problem, validation=Rows(others.features, others.targets)))
    plain = load(trainer)(problem)
    for _ in zip(measured.train(), plain.train(), strict=True):
        loss, predictions = measured.validate()
        np.testing.assert_array_equal(predictions.shape, others.targets.shape)
        np.testing.assert_allclose(predictions, plain.predict(others.features), rtol=1e-12)
        np.testing.assert_allclose(loss, ((predictions - others.targets) ** 2).mean(), rtol=1e-12)
    assert shown_parameters(measured) == shown_parameters(plain)


def shown_parameters(trainer: Trainer) -> list[bytes]:
    return [to_numpy(value).tobytes() for value in trainer.parameters().values()]


def shown(trainer: Trainer) -> Iterator[list[bytes]]:
    """The loss and the parameters of each epoch that remains, to the last bit."""
    for loss in trainer.train():
        parameters = [to_numpy(value) for value in trainer.parameters().values()]
        yield [array.dtype.str.encode() + array.tobytes() for array in (np.array(loss), *parameters)]


def stored(state: State) -> State:
    """The state as it comes out of a file: other arrays, at other addresses, read-only."""
    return {
        name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
        for name, array in state.items()
    }


def interrupted(trainer: str, problem: Problem, after: Iterable[int]) -> list[list[bytes]]:
    """What is shown by a training that ends after each of these epochs and goes on in a new trainer."""
    epochs: list[list[bytes]] = []
    running = load(trainer)(problem)
    for stop in [*sorted(after), problem.epochs]:
        epochs += (epoch for _, epoch in zip(range(len(epochs), stop), shown(running), strict=False))
        state = stored(running.state())
        running = load(trainer)(replace(problem, features=problem.features.copy()))
        running.resume(len(epochs), state)
    assert not list(running.train())
    return epochs


def assert_every_split_agrees(trainer: str, problem: Problem) -> None:
    """Interrupt once at every place there is, and once in all of them."""
    undisturbed = list(shown(load(trainer)(problem)))
    assert len(undisturbed) == problem.epochs
    for epoch in range(problem.epochs + 1):
        assert interrupted(trainer, problem, [epoch]) == undisturbed
    assert interrupted(trainer, problem, range(problem.epochs + 1)) == undisturbed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize(
    ("batch_size", "shuffle"), [(30, False), (30, True), (7, False), (7, True), (1, True)]
)
def test_a_training_goes_on_to_the_bit(
    trainer: str, dtype: str, reduction: str, intercept: bool, targets: int, batch_size: int, shuffle: bool
) -> None:
    """The curve of a user whose job was interrupted would have a kink, and the model would be another."""
    problem = replace(
        a_problem(targets=targets, dtype=dtype),
        batch_size=batch_size,
        shuffle=shuffle,
        reduction=reduction,
        intercept=intercept,
        learning_rate=0.1 if reduction == "mean" else 0.001,
        l2=0.1,
        seed=7,
    )
    assert_every_split_agrees(trainer, problem)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("targets", [1, 3])
def test_a_training_on_condensed_rows_goes_on_to_the_bit(
    trainer: str, dtype: str, intercept: bool, targets: int
) -> None:
    """The manual trainer is in float64 here, whatever the data: a float32 weight would lose digits."""
    problem = replace(a_problem(3000, 8, targets, dtype), epochs=30, intercept=intercept, l2=0.1)
    assert sufficient_statistics.cheaper(problem)
    undisturbed = list(shown(load(trainer)(problem)))
    for after in ([0], [1], [13], [29], [30], range(31)):
        assert interrupted(trainer, problem, after) == undisturbed


@settings(deadline=None)
@given(st.data())
def test_any_training_goes_on_to_the_bit(trainer: str, data: st.DataObject) -> None:
    rows, features, targets = (data.draw(st.integers(1, most)) for most in (20, 20, 4))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    problem = replace(
        a_problem(rows, features, targets, dtype),
        epochs=data.draw(st.integers(1, 8)),
        learning_rate=data.draw(st.floats(1e-4, 2.0)),
        batch_size=data.draw(st.integers(1, rows)),
        shuffle=data.draw(st.booleans()),
        reduction=data.draw(st.sampled_from(["mean", "sum"])),
        intercept=data.draw(st.booleans()),
        l2=data.draw(st.sampled_from([0.0, 0.3])),
        seed=data.draw(st.integers(0, 2**63 - 1)),
        initial=data.draw(st.sampled_from([{}, {"weight": np.ones((features, targets), dtype).T}])),
    )
    after = data.draw(st.sets(st.integers(0, problem.epochs)))
    assert interrupted(trainer, problem, after) == list(shown(load(trainer)(problem)))


LOGISTIC = {
    "model": Choice("logistic"),
    "loss": Choice("log_loss", {"class_weights": [1.0, 2.0]}),
}
UPDATES = {
    "logistic": LOGISTIC,
    "logistic with momentum": {**LOGISTIC, "optimizer": Choice("sgd", {"momentum": 0.9})},
    "momentum": {"optimizer": Choice("sgd", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01})},
    "nesterov": {"optimizer": Choice("sgd", {"momentum": 0.9, "nesterov": True})},
    "clipped": {"clipping": Choice("norm", {"max_norm": 0.3})},
    "clipped numbers": {"clipping": Choice("value", {"max_value": 0.05})},
    "cosine": {"schedule": Choice("cosine")},
    "plateau": {"schedule": Choice("reduce_on_plateau", {"patience": 0, "threshold": 0.05, "factor": 0.5})},
    "all": {
        "optimizer": Choice("sgd", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
        "schedule": Choice("reduce_on_plateau", {"patience": 0, "cooldown": 1, "threshold": 0.5}),
        "clipping": Choice("norm"),
    },
}


def updated(problem: Problem, name: str) -> Problem:
    """The problem with other updates."""
    parts = {kind: complete(kind, choice, problem.epochs) for kind, choice in UPDATES[name].items()}
    if "loss" in parts:
        initial = {key: value[:1] for key, value in problem.initial.items()}
        problem = replace(
            problem, targets=(problem.targets[:, :1] > 0).astype(np.float64), classes=2, initial=initial
        )
    return replace(problem, **parts)


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("batch_size", [30, 7])
def test_an_update_that_remembers_goes_on_to_the_bit(trainer: str, name: str, batch_size: int) -> None:
    """A job that was interrupted would have lost its momentum, or its learning rate."""
    assert_every_split_agrees(trainer, updated(replace(a_problem(), batch_size=batch_size, l2=0.1), name))


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("batch_size", [30, 7])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_updates_are_those_of_torch(trainer: str, name: str, batch_size: int, reduction: str) -> None:
    """A user who switches the trainer would get another training."""
    start = {"weight": np.full((2, 3), 0.5), "bias": np.full(2, 0.1)}
    problem = replace(
        a_problem(), batch_size=batch_size, reduction=reduction, l2=0.1, initial=start, epochs=20
    )
    if reduction == "sum":
        problem = replace(problem, learning_rate=0.002)
    problem = updated(problem, name)
    ours, torchs = load(trainer)(problem), load("module")(problem)
    np.testing.assert_allclose(list(ours.train()), list(torchs.train()), rtol=1e-11)
    for key, value in torchs.parameters().items():
        np.testing.assert_allclose(ours.parameters()[key], value, rtol=1e-11, atol=1e-14)


def test_momentum_on_condensed_rows_is_that_on_all(trainer: str) -> None:
    """The manual trainer would take other steps on large data."""
    problem = updated(replace(a_problem(3000, 8), epochs=30), "all")
    whole, halves = load(trainer)(problem), load("module")(problem)
    np.testing.assert_allclose(
        list(replaced_start(whole).train()), list(replaced_start(halves).train()), rtol=1e-10
    )


def replaced_start(running: Trainer) -> Trainer:
    """The trainer, starting at 0."""
    running.resume(
        0,
        {
            name: np.zeros_like(array) if "schedule" not in name else array
            for name, array in running.state().items()
        },
    )
    return running


def test_a_state_is_a_copy(trainer: str) -> None:
    """A checkpoint that is still being written would have parameters of a later epoch."""
    running = load(trainer)(a_problem())
    epochs = running.train()
    next(epochs)
    state = running.state()
    before = {name: array.tobytes() for name, array in state.items()}
    next(epochs)
    assert {name: array.tobytes() for name, array in state.items()} == before
    assert {name: array.tobytes() for name, array in running.state().items()} != before

    resumed = load(trainer)(a_problem())
    resumed.resume(1, state)
    list(resumed.train())
    assert {name: array.tobytes() for name, array in state.items()} == before


def test_a_state_that_does_not_fit_is_refused(trainer: str) -> None:
    """A job would go on from the parameters of another one."""
    running = load(trainer)(a_problem())
    list(running.train())
    state = dict(running.state())
    untouched = load(trainer)(a_problem())
    before = {name: array.tobytes() for name, array in untouched.state().items()}
    for name, array in state.items():
        unfit = {
            f"'{name}' is missing": {other: value for other, value in state.items() if other != name},
            "'w' is unknown": state | {"w": array},
            f"'{name}' is float32": state | {name: array.astype(np.float32)},
            f"'{name}' is float64 (1, ": state | {name: array[np.newaxis]},
        }
        for text, other in unfit.items():
            with pytest.raises(ValueError, match=re.escape(text)):
                untouched.resume(1, other)
    assert {name: array.tobytes() for name, array in untouched.state().items()} == before


def test_the_address_of_the_data_does_not_show_in_the_numbers(trainer: str) -> None:
    """The rows of a resumed job lie elsewhere, out of a message perhaps at an odd place."""
    problem = a_problem(1000, 17, 2)
    buffer = np.empty(problem.features.nbytes + 128, np.uint8)
    start = -buffer.ctypes.data % 64
    undisturbed = list(shown(load(trainer)(problem)))
    for offset in range(0, 64, 8):
        end = start + offset + problem.features.nbytes
        features = buffer[start + offset : end].view(np.float64).reshape(problem.features.shape)
        features[:] = problem.features
        assert list(shown(load(trainer)(replace(problem, features=features)))) == undisturbed
