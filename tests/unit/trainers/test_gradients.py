"""Gradients compared: a user who doubts a trainer is told the truth about it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.domain import resolved, table

from gradstream_server.executors.model import Environment, Model
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.spec import InlineData
from gradstream_server.trainers import gradients
from gradstream_server.trainers.autograd import AutogradTrainer
from gradstream_server.trainers.batches import epochs
from gradstream_server.trainers.gradients import MOST_ELEMENTS, MOST_ROWS, ParameterGradient
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import TRAINERS, Entry

LINEAR = ("manual", "autograd", "module")


def model(trainer: str = "module", data: InlineData | None = None, **fields: Any) -> Model:
    data = data or table()
    spec = resolved(trainer, device="cpu", data=data, **fields)
    return Model(spec, TrainingData.of_inline(spec, data), Environment(1, {}))


def compared(*trainers: str, **fields: Any) -> dict[str, ParameterGradient]:
    made = model(**fields)
    batch = gradients.first_batch(made.problem)
    start = {name: np.array(value) for name, value in made.trainer.parameters().items()}
    return {each.name: each for each in gradients.compare(batch, trainers, start)}


def classes(rows: int, count: int) -> InlineData:
    x = np.random.default_rng(0).normal(size=(rows, 3))
    return InlineData(x, (np.arange(rows) % count).astype(np.float64)[:, None])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "fields",
    [
        {"data": table(6, 3, 2)},
        {"data": table(50, 3), "batch_size": 7, "standardize": True},
        {"data": table(6, 3), "intercept": False, "l2": 0.5},
        {"data": classes(20, 2), "parts": {"model": Choice("logistic")}},
        {"data": table(6), "parts": {"optimizer": Choice("adam"), "schedule": Choice("cosine")}},
    ],
    ids=["targets", "batch", "l2", "logistic", "optimizer"],
)  # fmt: skip
def test_the_trainers_agree_with_each_other_and_with_finite_differences(
    fields: dict[str, Any], reduction: str
) -> None:
    found = compared(*LINEAR, reduction=reduction, **fields)
    for each in found.values():
        assert each.difference < 1e-13
        assert list(each.errors) == list(LINEAR)
        assert max(each.errors.values()) < 1e-7


def test_float32_is_as_near_as_its_digits() -> None:
    found = compared(*LINEAR, data=table(6, 3, dtype="float32"))
    for each in found.values():
        assert each.difference < 1e-5
        assert max(each.errors.values()) < 1e-5


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        ({"model": Choice("mlp", {"hidden": [5, 4], "activation": "tanh"})}, table(30, 3)),
        ({"model": Choice("mlp", {"hidden": [5, 4], "activation": "tanh", "dropout": 0.5})}, table(30, 3)),
        ({"model": Choice("softmax")}, classes(30, 4)),
    ],
)
def test_models_of_the_module_trainer(parts: dict[Any, Choice], data: InlineData) -> None:
    """Names are those of the job's parameters, also where dropout is left out of the model."""
    made = model(data=data, parts=parts)
    found = compared("module", data=data, parts=parts)
    assert {name: each.shape for name, each in found.items()} == {
        name: value.shape for name, value in made.trainer.parameters().items()
    }
    assert all(each.errors["module"] < 1e-6 for each in found.values())


def test_the_sum_is_n_times_the_mean() -> None:
    """The whole story of the reference runs, in one number."""
    mean, total = (compared("manual", data=table(6), reduction=each)["weight"] for each in ("mean", "sum"))
    np.testing.assert_allclose(total.values["manual"], 6 * mean.values["manual"], rtol=1e-13)
    np.testing.assert_allclose(total.finite_differences, 6 * mean.finite_differences, rtol=1e-13)


class Crooked(AutogradTrainer):
    """Its steps are a thousandth too long."""

    def train(self) -> Iterator[Any]:
        before = {name: np.array(value) for name, value in self.parameters().items()}
        for loss in super().train():
            for name, value in self.parameters().items():
                value += 0.001 * (value - before[name])
            yield loss


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINERS, "crooked", Entry("tests.unit.trainers.test_gradients:Crooked", ""))
    found = compared("manual", "crooked", data=table(6))["weight"]
    assert found.difference == pytest.approx(0.001, rel=0.01)
    assert found.errors["crooked"] == pytest.approx(0.001, rel=0.01)
    assert found.errors["manual"] < 1e-7


def test_large_models_and_batches_are_bounded() -> None:
    made = model(data=table(3000, 50))
    batch = gradients.first_batch(made.problem)
    assert len(batch.features) == MOST_ROWS
    shuffled = gradients.first_batch(replace(made.problem, shuffle=True, batch_size=2000, seed=3))
    assert len(shuffled.features) == MOST_ROWS
    assert not np.array_equal(shuffled.features, batch.features)
    (weight, _) = compared("manual", data=table(30, 50)).values()
    assert (len(weight.elements), weight.elements[0], weight.elements[-1]) == (MOST_ELEMENTS, 0, 49)


def test_the_batch_is_the_first_that_training_sees() -> None:
    problem: Problem = model(data=table(12), batch_size=5, shuffle=True, seed=9).problem
    batch = gradients.first_batch(problem)
    features, targets, _ = next(
        iter(next(iter(epochs(problem, lambda which: (problem.features[which], problem.targets[which])))))
    )
    np.testing.assert_array_equal(batch.features, features)
    np.testing.assert_array_equal(batch.targets, targets)


def test_a_gradient_that_is_not_finite_is_told() -> None:
    huge = InlineData(np.full((2, 1), 1e30, np.float32), np.full((2, 1), 1e30, np.float32))
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match="manual trainer's loss or gradient"),
    ):
        compared("manual", data=huge)
