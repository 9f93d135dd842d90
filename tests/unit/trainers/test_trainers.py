"""The three trainers are three ways to the same numbers; a user who switches between them must not notice."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradstream_server.trainers import manual
from gradstream_server.trainers.batches import order
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import TRAINERS, load


def losses_and_parameters(name: str, problem: Problem) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    trainer = load(name)(problem)
    losses = np.array([float(loss) for loss in trainer.train()])
    parameters = trainer.parameters()
    return losses, np.concatenate([to_numpy(parameters[key]).ravel() for key in sorted(parameters)])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    rows, features, targets = draw(st.integers(1, 12)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    intercept, reduction = draw(st.booleans()), draw(st.sampled_from(["mean", "sum"]))
    initial = {"weight": generator.normal(size=(targets, features))}
    if intercept:
        initial["bias"] = generator.normal(size=targets)
    return Problem(
        features=generator.normal(size=(rows, features)),
        targets=generator.normal(size=(rows, targets)),
        epochs=draw(st.integers(1, 10)),
        learning_rate=0.01 if reduction == "mean" else 0.01 / rows,
        batch_size=draw(st.integers(1, rows)),
        shuffle=draw(st.booleans()),
        reduction=reduction,
        intercept=intercept,
        l2=draw(st.sampled_from([0.0, 0.3])),
        seed=draw(st.integers(0, 2**63 - 1)),
        initial=initial,
    )


@settings(deadline=None)
@given(problems())
def test_the_trainers_agree(problem: Problem) -> None:
    losses, parameters = losses_and_parameters("manual", problem)
    assert len(losses) == problem.epochs
    for name in ("autograd", "module"):
        theirs = losses_and_parameters(name, problem)
        np.testing.assert_allclose(theirs[0], losses, rtol=1e-12)
        np.testing.assert_allclose(theirs[1], parameters, rtol=1e-12, atol=1e-13)


@settings(deadline=None, max_examples=30)
@given(problems())
def test_the_gradient_is_that_of_finite_differences(problem: Problem) -> None:
    """The central difference of a quadratic is exact but for rounding, so one step shows the gradient."""
    one_step = replace(problem, epochs=1, batch_size=len(problem.features), l2=0.0)
    _, after = losses_and_parameters("manual", one_step)
    names = sorted(problem.initial)
    before = np.concatenate([problem.initial[name].ravel() for name in names])
    scale = problem.targets.size if problem.reduction == "sum" else 1

    def loss(flat: NDArray[np.floating]) -> float:
        bias, weight = (flat[: problem.targets.shape[1]] if problem.intercept else 0.0), flat[-n_weights:]
        prediction = problem.features @ weight.reshape(problem.targets.shape[1], -1).T + bias
        return scale * float(((prediction - problem.targets) ** 2).mean())

    n_weights = problem.initial["weight"].size
    steps = 1e-3 * np.eye(len(before))
    differences = np.array([(loss(before + step) - loss(before - step)) / 2e-3 for step in steps])
    gradient = (before - after) / problem.learning_rate
    np.testing.assert_allclose(gradient, differences, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_sum_step_is_a_mean_step_n_times_as_long(name: str) -> None:
    """Why the manual reference converges faster than the others: 4 rows, no 1/n."""
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    start = {"weight": np.zeros((1, 1))}
    problem = Problem(x, 2 * x, epochs=20, learning_rate=0.01, batch_size=4, intercept=False, initial=start)
    by_sum = losses_and_parameters(name, replace(problem, reduction="sum"))
    by_mean = losses_and_parameters(name, replace(problem, learning_rate=0.04))
    np.testing.assert_allclose(by_sum[0], by_mean[0], rtol=1e-12, atol=1e-28)
    np.testing.assert_allclose(by_sum[1], by_mean[1], rtol=1e-14)
    # w - 2 shrinks by 1 - 2 * 0.04 * mean(x^2) = 0.4 an epoch, so the loss by 0.16.
    np.testing.assert_allclose(by_sum[0][:8], 30 * 0.16 ** np.arange(8), rtol=1e-10)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_seed_gives_the_same_bits(name: str, dtype: type[np.floating]) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 3)).astype(dtype), generator.normal(size=(50, 2)).astype(dtype)
    problem = Problem(x, y, epochs=5, learning_rate=0.1, batch_size=7, shuffle=True, seed=11)
    first, second = losses_and_parameters(name, problem), losses_and_parameters(name, problem)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    other = losses_and_parameters(name, replace(problem, seed=12))
    assert (first[1] != other[1]).any()


def test_the_order_of_rows_depends_on_seed_and_epoch_alone() -> None:
    assert sorted(order(100, seed=3, epoch=1)) == list(range(100))
    np.testing.assert_array_equal(order(100, seed=3, epoch=2), order(100, seed=3, epoch=2))
    assert (order(100, seed=3, epoch=1) != order(100, seed=3, epoch=2)).any()
    assert (order(100, seed=3, epoch=1) != order(100, seed=4, epoch=1)).any()


@pytest.mark.parametrize("name", TRAINERS)
def test_divergence_shows_in_the_loss_and_nowhere_else(name: str) -> None:
    """Warnings are errors here. Big enough for the sufficient statistics of the manual trainer."""
    x = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    for rows in (4, 5000):
        problem = Problem(x[:rows], x[:rows, :1], epochs=300, learning_rate=50.0, batch_size=rows)
        losses, _ = losses_and_parameters(name, problem)
        assert np.isfinite(losses[0])
        assert not np.isfinite(losses[-1])


@pytest.mark.parametrize("name", TRAINERS)
def test_read_only_data_and_predictions(name: str) -> None:
    """Data come out of messages, where they are read-only."""
    x = np.frombuffer(np.arange(6, dtype=np.float32).tobytes(), np.float32).reshape(3, 2)
    y = np.frombuffer(np.arange(3, dtype=np.float32).tobytes(), np.float32).reshape(3, 1)
    weight = np.frombuffer(np.float32([1, 2]).tobytes(), np.float32).reshape(1, 2)
    bias = np.frombuffer(np.float32([3]).tobytes(), np.float32)
    problem = Problem(x, y, epochs=1, learning_rate=0.01, batch_size=2, shuffle=True)
    trainer = load(name)(replace(problem, initial={"weight": weight, "bias": bias}))
    predictions = trainer.predict(x)
    assert isinstance(predictions, np.ndarray)
    np.testing.assert_array_equal(predictions, [[5], [11], [17]])
    assert predictions.dtype == np.float32
    list(trainer.train())
    np.testing.assert_array_equal(weight, [[1, 2]])


def test_module_starts_as_torch_would_and_leaves_its_generator_alone() -> None:
    x = np.ones((3, 2), np.float32)
    before = torch.random.get_rng_state()
    trainer = load("module")(Problem(x, x, epochs=1, learning_rate=0.1, batch_size=3, seed=5))
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torch.nn.Linear(2, 2)
    np.testing.assert_array_equal(trainer.parameters()["weight"], expected.weight.detach().numpy())
    np.testing.assert_array_equal(trainer.parameters()["bias"], expected.bias.detach().numpy())


@settings(deadline=None, max_examples=30)
@given(problems())
def test_manual_runs_the_same_on_a_devices_arrays(problem: Problem) -> None:
    """The arrays of a GPU are torch's; torch's on the CPU stand in for them."""
    expected = losses_and_parameters("manual", problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manual, "to_device", lambda array, device: torch.tensor(array, device=device))
        trainer = manual.ManualTrainer(problem)
        losses = list(trainer.train())
        assert all(isinstance(loss, torch.Tensor) and loss.shape == () for loss in losses)
        np.testing.assert_allclose([float(loss) for loss in losses], expected[0], rtol=1e-12)
        parameters = trainer.parameters()
        assert isinstance(trainer.predict(problem.features), np.ndarray)
    flat = np.concatenate([to_numpy(parameters[key]).ravel() for key in sorted(parameters)])
    np.testing.assert_allclose(flat, expected[1], rtol=1e-12, atol=1e-13)


def test_manual_and_the_registry_need_no_torch() -> None:
    """The main process lists trainers, and stays small because that does not import torch."""
    program = """
import sys
import numpy as np
from gradstream_server.trainers.registry import TRAINERS, load
from gradstream_server.trainers.problem import Problem
assert not any(name.endswith((".manual", ".autograd", ".module")) for name in sys.modules), "a trainer"
x = np.ones((4, 1))
trainer = load("manual")(Problem(x, x, epochs=2, learning_rate=0.01, batch_size=3, shuffle=True))
assert len(list(trainer.train())) == 2
trainer.predict(x)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
