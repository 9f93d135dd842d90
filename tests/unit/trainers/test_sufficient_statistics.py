"""Condensed rows give the curve of all rows: nobody may see from the numbers which of the two ran."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gradstream_server.trainers import sufficient_statistics
from gradstream_server.trainers.manual import ManualTrainer
from gradstream_server.trainers.problem import Problem


def run(
    problem: Problem, condensed: bool, patch: pytest.MonkeyPatch
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    patch.setattr(sufficient_statistics, "cheaper", lambda _: condensed)
    trainer = ManualTrainer(problem)
    losses = np.array(list(trainer.train()))
    return losses, np.concatenate([value.ravel() for _, value in sorted(trainer.parameters().items())])


def a_problem(rows: int = 3000, features: int = 5, targets: int = 1, noise: float = 1.0) -> Problem:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(rows, features)) * np.geomspace(1, 0.2, features) + 0.5
    y = x @ generator.normal(size=(features, targets)) + 2 + noise * generator.normal(size=(rows, targets))
    return Problem(x, y, epochs=400, learning_rate=0.05, batch_size=rows)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("targets", [1, 3])
def test_the_same_curve(
    intercept: bool, l2: float, reduction: str, targets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = replace(a_problem(targets=targets), intercept=intercept, l2=l2)
    if reduction == "sum":
        problem = replace(problem, reduction="sum", learning_rate=0.05 / problem.targets.size)
    losses, parameters = run(problem, False, monkeypatch)
    condensed_losses, condensed_parameters = run(problem, True, monkeypatch)
    np.testing.assert_allclose(condensed_losses, losses, rtol=1e-12)
    np.testing.assert_allclose(condensed_parameters, parameters, rtol=1e-12)


def test_a_loss_that_goes_to_zero_keeps_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss out of X'X, X'Y and Y'Y themselves would be rounding error by then, and may be negative."""
    problem = replace(a_problem(noise=0.0), epochs=20_000)
    losses, parameters = run(problem, False, monkeypatch)
    condensed, _ = run(problem, True, monkeypatch)
    assert losses[-1] < 1e-28 * losses[0]
    # A residual is a difference of numbers near y, so it is known to 1e-16 |y| and no better, either way.
    rounding = 4e-16 * np.sqrt((problem.targets**2).mean())
    allowed = 1e-12 * losses + 2 * rounding * np.sqrt(losses) + rounding**2
    assert (np.abs(condensed - losses) <= allowed).all()

    x, y = np.append(problem.features, np.ones((len(problem.features), 1)), axis=1), problem.targets[:, 0]
    w = np.append(parameters[1:], parameters[0])
    expanded = (w @ (x.T @ x) @ w - 2 * w @ (x.T @ y) + y @ y) / len(y)
    assert abs(expanded) > 1e6 * losses[-1]


def test_data_of_deficient_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    full = a_problem(features=3)
    x = full.features
    twice = np.concatenate((x, x[:, :1] + x[:, 1:2], np.ones((len(x), 1)), np.zeros((len(x), 1))), axis=1)
    problem = replace(full, features=twice)
    losses, parameters = run(problem, False, monkeypatch)
    condensed_losses, condensed_parameters = run(problem, True, monkeypatch)
    np.testing.assert_allclose(condensed_losses, losses, rtol=1e-12)
    np.testing.assert_allclose(condensed_parameters, parameters, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 2, 7, 400, 401, 5000])
def test_condensed_rows_are_few_and_have_the_same_products(rows: int) -> None:
    generator = np.random.default_rng(rows)
    x, y = generator.normal(size=(rows, 4)), generator.normal(size=(rows, 2))
    a, b = sufficient_statistics.condense(x, y)
    assert len(a) == len(b) <= 6
    np.testing.assert_allclose(a.T @ a, x.T @ x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(a.T @ b, x.T @ y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(b.T @ b, y.T @ y, rtol=1e-12, atol=1e-12)


def test_float32_data_give_the_float64_curve_and_float32_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    double = a_problem()
    x, y = double.features.astype(np.float32), double.targets.astype(np.float32)
    single = replace(double, features=x, targets=y)
    same_in_double = replace(double, features=x.astype(np.float64), targets=y.astype(np.float64))
    losses, parameters = run(single, True, monkeypatch)
    expected, expected_parameters = run(same_in_double, False, monkeypatch)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    assert parameters.dtype == np.float32
    np.testing.assert_array_equal(parameters, expected_parameters.astype(np.float32))


def test_used_only_where_it_is_cheaper() -> None:
    x = np.ones((4, 1), np.float32)
    assert not sufficient_statistics.cheaper(Problem(x, x, epochs=10**6, learning_rate=0.01, batch_size=4))
    large = a_problem(rows=100_000, features=8)
    assert sufficient_statistics.cheaper(large)
    assert not sufficient_statistics.cheaper(replace(large, epochs=2))
    assert not sufficient_statistics.cheaper(replace(large, batch_size=1000))
    assert not sufficient_statistics.cheaper(replace(large, device="cuda:0"))
    wide = Problem(np.ones((200, 400)), np.ones((200, 1)), epochs=10**6, learning_rate=0.01, batch_size=200)
    assert not sufficient_statistics.cheaper(wide)
