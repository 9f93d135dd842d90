"""What each trainer keeps of itself: enough for the bits, and nothing of another problem."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gradstream_server.trainers import states, sufficient_statistics
from gradstream_server.trainers.batches import epochs
from gradstream_server.trainers.catalogue import OPTIMIZERS, complete
from gradstream_server.trainers.manual import ManualTrainer
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

RNG = np.random.default_rng(0)
PROBLEM = Problem(
    RNG.normal(size=(20, 3)),
    RNG.normal(size=(20, 2)),
    epochs=5,
    learning_rate=0.1,
    batch_size=6,
    shuffle=True,
)
LARGE = Problem(
    RNG.normal(size=(3000, 8)).astype(np.float32),
    RNG.normal(size=(3000, 1)).astype(np.float32),
    epochs=50,
    learning_rate=0.1,
    batch_size=3000,
)


CHOICES = {
    "momentum": Choice("sgd", {"momentum": 0.9}),
    "lbfgs of few steps": Choice("lbfgs", {"max_iter": 3, "history_size": 4}),
    "lbfgs with a search": Choice("lbfgs", {"max_iter": 4, "line_search_fn": "strong_wolfe"}),
    **{name: Choice(name) for name in OPTIMIZERS},
}


def with_optimizer(problem: Problem, kind: str) -> ModuleTrainer:
    """A trainer whose optimizer keeps something from step to step."""
    return ModuleTrainer(replace(problem, optimizer=complete("optimizer", CHOICES[kind])))


@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_what_an_optimizer_keeps_goes_along(kind: str, intercept: bool, after: int) -> None:
    """Training would go on as if the optimizer had just begun."""
    problem = replace(PROBLEM, intercept=intercept, l2=0.1)
    if kind.startswith("lbfgs"):
        problem = replace(problem, batch_size=20, shuffle=False)
    undisturbed = with_optimizer(problem, kind)
    losses = list(undisturbed.train())

    first = with_optimizer(problem, kind)
    begun = [loss for _, loss in zip(range(after), first.train(), strict=False)]
    state = first.state()
    assert ("optimizer.0.momentum_buffer" in state) == (kind == "momentum" and after > 0)
    if after and kind != "sgd":
        assert any(name.startswith("optimizer.") for name in state)
    kept = {name: array.tobytes() for name, array in state.items()}
    second = with_optimizer(problem, kind)
    second.resume(after, state)
    assert begun + list(second.train()) == losses
    assert {name: array.tobytes() for name, array in state.items()} == kept
    assert exactly(second) == exactly(undisturbed)


@pytest.mark.parametrize("kind", CHOICES)
def test_training_goes_on_as_often_as_it_is_interrupted(kind: str) -> None:
    """The second crash of a job would take all that it had learnt."""
    problem = replace(PROBLEM, batch_size=20, shuffle=False)
    undisturbed = with_optimizer(problem, kind)
    losses = list(undisturbed.train())
    running, begun = with_optimizer(problem, kind), []
    for epoch in range(1, problem.epochs + 1):
        begun.append(next(iter(running.train())))
        state = running.state()
        running = with_optimizer(problem, kind)
        running.resume(epoch, state)
    assert begun == losses
    assert exactly(running) == exactly(undisturbed)


def exactly(trainer: ModuleTrainer) -> dict[str, tuple[np.dtype, tuple[int, ...], bytes]]:
    """A trainer's state, to the last bit."""
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in trainer.state().items()}


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("optimizer.1.momentum_buffer", None, "'optimizer.1.momentum_buffer' is missing"),
        ("optimizer.0.momentum_buffer", np.zeros((3, 2)), "is float64 (3, 2) instead of float64 (2, 3)"),
        ("optimizer.2.momentum_buffer", np.zeros(2), "'optimizer.2.momentum_buffer' is unknown"),
        ("optimizer.momentum_buffer", np.zeros(2), "'optimizer.momentum_buffer' is unknown"),
        ("bias", None, "'bias' is missing"),
    ],
)
def test_an_optimizer_refuses_what_does_not_fit(name: str, array: np.ndarray | None, text: str) -> None:
    trainer = with_optimizer(PROBLEM, "momentum")
    list(trainer.train())
    state = dict(trainer.state())
    if array is None:
        del state[name]
    else:
        state[name] = array
    with pytest.raises(ValueError, match=re.escape(text)):
        with_optimizer(PROBLEM, "momentum").resume(1, state)


def test_plain_descent_keeps_the_parameters_alone() -> None:
    trainer = ModuleTrainer(PROBLEM)
    list(trainer.train())
    assert list(trainer.state()) == ["weight", "bias"]


def test_condensed_rows_train_in_float64_and_show_the_dtype_of_the_data() -> None:
    """A checkpoint in float32 would lose half the digits of what the epochs to come start from."""
    assert sufficient_statistics.cheaper(LARGE)
    trainer = ManualTrainer(LARGE)
    assert trainer.state()["weight"].dtype == np.float64
    for _ in zip(range(3), trainer.train(), strict=False):
        pass
    state = trainer.state()
    assert state["weight"].dtype == np.float64
    assert (state["weight"] != state["weight"].astype(np.float32)).any()

    resumed = ManualTrainer(LARGE)
    resumed.resume(3, state)
    for name, value in trainer.parameters().items():
        assert resumed.parameters()[name].dtype == np.float32
        np.testing.assert_array_equal(resumed.parameters()[name], value)
    rows = LARGE.features[:5]
    assert resumed.predict(rows).dtype == np.float32
    np.testing.assert_array_equal(resumed.predict(rows), trainer.predict(rows))
    with pytest.raises(ValueError, match="'weight' is float32"):
        resumed.resume(3, {"weight": state["weight"].astype(np.float32)})


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_batches_of_the_epochs_that_remain(shuffle: bool) -> None:
    """Rows would be seen twice, or not at all."""
    problem = replace(PROBLEM, shuffle=shuffle)
    rows = np.arange(20)[:, np.newaxis]

    def seen(after: int) -> list[list[list[int]]]:
        batches = epochs(problem, lambda which: (rows[which], rows[which]), after)
        return [[features.ravel().tolist() for features, _, _ in epoch] for epoch in batches]

    assert [seen(after) for after in range(6)] == [seen(0)[after:] for after in range(6)]
    assert len(seen(0)) == 5


def test_faults_are_told_together() -> None:
    like = {"a": np.zeros(2), "b": np.zeros(3), "c": np.zeros(1)}
    state = {"b": np.zeros((3, 1)), "c": np.zeros(1, np.float32), "d": np.zeros(1)}
    text = (
        "the state is of another problem: 'a' is missing, 'b' is float64 (3, 1) instead of float64 (3,), "
        "'c' is float32 (1,) instead of float64 (1,), 'd' is unknown"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        states.fitting(state, like)


def test_copies_are_contiguous_and_keep_shapes() -> None:
    arrays = {"fortran": np.asfortranarray(RNG.normal(size=(3, 4))), "number": np.array(2.0)}
    copies = states.copied(arrays)
    assert copies["fortran"].flags.c_contiguous
    assert not np.shares_memory(copies["number"], arrays["number"])
    assert copies["number"].shape == ()
    np.testing.assert_array_equal(copies["fortran"], arrays["fortran"])
