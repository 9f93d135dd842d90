"""Models of classes: the gradient by hand is that of autograd and of finite differences; torch's losses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradstream_server.trainers import sufficient_statistics
from gradstream_server.trainers.catalogue import complete
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import TRAINERS, load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))


def problem_of(
    model: str, loss: str, targets: NDArray[Any], options: dict[str, Any] | None = None, **fields: Any
) -> Problem:
    parts = {"model": complete("model", Choice(model)), "loss": complete("loss", Choice(loss, options or {}))}
    values: dict[str, Any] = {"epochs": 20, "learning_rate": 0.5, "batch_size": len(targets)}
    classes = int(targets.max()) + 1 if loss in ("log_loss", "cross_entropy") else 0
    return Problem(X[: len(targets)], targets.reshape(-1, 1), **(values | fields), classes=classes, **parts)


TWO = (X @ [1.0, -2, 0.5] + 0.3 * RNG.normal(size=60) > 0).astype(np.float64)
LOGISTIC = problem_of("logistic", "log_loss", TWO)


@st.composite
def logistic_problems(draw: st.DrawFn) -> Problem:
    rows = draw(st.integers(2, 12))
    targets = RNG.integers(0, 2, rows).astype(np.float64)
    targets[:2] = 0, 1
    initial = {"weight": RNG.normal(size=(1, 3))}
    intercept = draw(st.booleans())
    weights = draw(st.sampled_from([None, [1.0, 3.0], [0.5, 0.25]]))
    return problem_of(
        "logistic",
        "log_loss",
        targets,
        {"class_weights": weights},
        epochs=draw(st.integers(1, 8)),
        batch_size=draw(st.integers(1, rows)),
        shuffle=draw(st.booleans()),
        reduction=draw(st.sampled_from(["mean", "sum"])),
        learning_rate=0.1,
        intercept=intercept,
        l2=draw(st.sampled_from([0.0, 0.3])),
        initial=initial | ({"bias": RNG.normal(size=1)} if intercept else {}),
    )


def trained(name: str, problem: Problem) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Losses, parameters as one, predictions."""
    trainer = load(name)(problem)
    losses = np.array([float(loss) for loss in trainer.train()])
    parameters = trainer.parameters()
    flat = np.concatenate([np.asarray(parameters[key]).ravel() for key in sorted(parameters)])
    return losses, flat, trainer.predict(problem.features)


@settings(deadline=None)
@given(logistic_problems())
def test_the_trainers_agree_on_the_log_loss(problem: Problem) -> None:
    """A user who switches the trainer would get another model."""
    ours = trained("manual", problem)
    for name in ("autograd", "module"):
        for one, other in zip(trained(name, problem), ours, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


@settings(deadline=None, max_examples=30)
@given(logistic_problems())
def test_the_gradient_is_that_of_finite_differences(problem: Problem) -> None:
    """The formula in docs/three-gradients.md would be wrong."""
    one_step = replace(problem, epochs=1, batch_size=len(problem.features), l2=0.0)
    names = sorted(problem.initial)
    before = np.concatenate([problem.initial[name].ravel() for name in names])
    losses, after, _ = trained("manual", one_step)
    weights = problem.loss.options["class_weights"] or [1.0, 1.0]
    y = problem.targets[:, 0]

    def loss(flat: NDArray[Any]) -> float:
        z = problem.features @ flat[-3:] + (flat[0] if problem.intercept else 0)
        p = 1 / (1 + np.exp(-z))
        of_rows = np.where(y == 1, -weights[1] * np.log(p), -weights[0] * np.log(1 - p))
        return float(of_rows.sum() if problem.reduction == "sum" else of_rows.mean())

    differences = [(loss(before + step) - loss(before - step)) / 2e-5 for step in 1e-5 * np.eye(len(before))]
    np.testing.assert_allclose((before - after) / problem.learning_rate, differences, rtol=1e-6, atol=1e-8)
    scale = len(y) if problem.reduction == "sum" else 1
    np.testing.assert_allclose(losses[0] * scale, loss(before), rtol=1e-12)


@pytest.mark.parametrize("name", TRAINERS)
def test_it_tells_two_classes_apart(name: str) -> None:
    losses, _, predictions = trained(name, replace(LOGISTIC, epochs=300, batch_size=16, shuffle=True))
    assert predictions.shape == (60, 1)
    assert ((predictions[:, 0] > 0.5) == (TWO == 1)).mean() > 0.85
    assert losses[-1] < 0.3
    assert not sufficient_statistics.cheaper(LOGISTIC)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_scores_are_no_trouble(name: str, scale: float) -> None:
    """A job would fail for a logarithm of 0."""
    problem = replace(LOGISTIC, initial={"weight": np.full((1, 3), scale)}, epochs=2)
    losses, _, predictions = trained(name, problem)
    assert np.isfinite(losses).all()
    assert ((predictions >= 0) & (predictions <= 1)).all()


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_softmax_is_that_of_torch(weights: list[float] | None, reduction: Any) -> None:
    """A user who moves a script here would get another training."""
    classes = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5]).astype(np.float64)
    start = {"weight": RNG.normal(size=(3, 3)), "bias": np.zeros(3)}
    rate = 0.5 if reduction == "mean" else 0.01
    problem = problem_of(
        "softmax",
        "cross_entropy",
        classes,
        {"class_weights": weights},
        initial=start,
        reduction=reduction,
        learning_rate=rate,
        epochs=100,
    )
    losses, _, predictions = trained("module", problem)
    np.testing.assert_allclose(predictions.sum(axis=1), 1)
    assert (predictions.argmax(axis=1) == classes).mean() > 0.85
    w, b = (torch.tensor(start[name], requires_grad=True) for name in ("weight", "bias"))
    x, y = torch.from_numpy(X), torch.from_numpy(classes).long()
    for loss in losses[:5]:
        of_rows = -torch.log_softmax(x @ w.T + b, dim=1)[range(60), y]
        total = (of_rows * torch.tensor(weights or [1.0] * 3, dtype=torch.float64)[y]).sum()
        np.testing.assert_allclose(loss, total.item() / 60, rtol=1e-12)
        gradients = torch.autograd.grad(total / (60 if reduction == "mean" else 1), (w, b))
        with torch.no_grad():
            w -= rate * gradients[0]
            b -= rate * gradients[1]


@pytest.mark.parametrize(("loss", "options"), [("l1", {}), ("huber", {"delta": 0.5}), ("mse", {})])
def test_losses_of_numbers(loss: str, options: dict[str, Any]) -> None:
    """An outlier would pull the line as if the loss were squared."""
    targets = X @ [1.0, -2, 0.5]
    targets[0] += 100
    problem = problem_of("linear", loss, targets, options, epochs=2000, learning_rate=0.05)
    _, parameters, _ = trained("module", problem)
    error = np.abs(parameters[1:] - [1, -2, 0.5]).max()
    assert (error < 0.1) == (loss != "mse")
