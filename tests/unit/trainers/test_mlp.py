"""Multilayer perceptrons: those of torch, going on to the bit, in the data's own units."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradstream_server.trainers import shapes
from gradstream_server.trainers.catalogue import INITIALIZATIONS, complete
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.scaling import Scaling

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2))
Y = np.sin(X[:, :1]) * X[:, 1:]


def mlp(**options: Any) -> Choice:
    return complete("model", Choice("mlp", {"hidden": [16, 8]} | options))


PROBLEM = Problem(
    X,
    Y,
    epochs=60,
    learning_rate=0.02,
    batch_size=50,
    shuffle=True,
    model=mlp(),
    optimizer=complete("optimizer", Choice("adam")),
)


def test_it_learns_what_is_not_linear() -> None:
    """A user would choose it for nothing."""
    losses = list(ModuleTrainer(PROBLEM).train())
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("hidden", [[4], [3, 2, 5]])
def test_its_parameters_are_those_that_a_spec_is_checked_by(
    intercept: bool, normalization: str, dropout: float, hidden: list[int]
) -> None:
    """Initial parameters would be refused that fit, and a limit be told that is none."""
    model = mlp(hidden=hidden, normalization=normalization, dropout=dropout)
    trainer = ModuleTrainer(replace(PROBLEM, model=model, intercept=intercept))
    told = shapes.of(model, 2, 1, intercept)
    assert {name: value.shape for name, value in trainer.parameters().items()} == told
    assert list(trainer.parameters()) == list(told)
    assert shapes.count(told) == sum(value.size for value in trainer.parameters().values())


def test_it_starts_as_torch_would() -> None:
    """A user who moves a script here would get another training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        x64 = {"dtype": torch.float64}
        theirs = nn.Sequential(
            nn.Linear(2, 16, **x64),
            nn.ReLU(),
            nn.Linear(16, 8, **x64),
            nn.ReLU(),
            nn.Linear(8, 1, **x64),
        )
    ours = ModuleTrainer(replace(PROBLEM, seed=5))
    for name, value in theirs.named_parameters():
        np.testing.assert_array_equal(ours.parameters()[name], value.detach().numpy())
    np.testing.assert_allclose(ours.predict(X), theirs(torch.from_numpy(X)).detach().numpy())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.4}, {"normalization": "layer", "activation": "tanh"}])
@pytest.mark.parametrize("after", [0, 3])
def test_it_goes_on_to_the_bit(optimizer: str, options: dict[str, Any], after: int) -> None:
    """The curve of a user whose job was interrupted would have a kink."""
    parts = {"model": mlp(**options), "optimizer": complete("optimizer", Choice(optimizer))}
    problem = replace(PROBLEM, epochs=6, l2=0.01, **parts)
    if optimizer == "lbfgs":  # Batches make it diverge.
        problem = replace(problem, batch_size=200, shuffle=False)
    undisturbed = ModuleTrainer(problem)
    losses = list(undisturbed.train())
    first, second = ModuleTrainer(problem), ModuleTrainer(problem)
    begun = [loss for _, loss in zip(range(after), first.train(), strict=False)]
    first.predict(X)
    second.resume(after, first.state())
    assert begun + list(second.train()) == losses
    for name, value in undisturbed.state().items():
        assert second.state()[name].tobytes() == value.tobytes(), name


def test_dropout_leaves_predictions_and_the_generator_alone() -> None:
    """Predictions would differ from one time to the next."""
    before = torch.random.get_rng_state()
    trainer = ModuleTrainer(replace(PROBLEM, model=mlp(dropout=0.5), epochs=2))
    list(trainer.train())
    np.testing.assert_array_equal(trainer.predict(X), trainer.predict(X))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_parameters_in_own_units_predict_the_same() -> None:
    """A user who takes a model away would scale rows that are not to be scaled."""
    own = 100 + 30 * X
    scaling = Scaling.learn(own, intercept=True)
    trainer = ModuleTrainer(replace(PROBLEM, features=scaling.apply(own)))
    unscaled = scaling.to_own_units(trainer.parameters())
    back = scaling.to_scaled(unscaled)
    for name, value in trainer.parameters().items():
        np.testing.assert_allclose(back[name], value, rtol=1e-9, atol=1e-12)
    other = ModuleTrainer(replace(PROBLEM, initial=unscaled))
    np.testing.assert_allclose(other.predict(own), trainer.predict(scaling.apply(own)), rtol=1e-9)


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_weights_start_as_asked_for(name: str) -> None:
    start = complete("initialization", Choice(name))
    first, again = (ModuleTrainer(replace(PROBLEM, initialization=start)).parameters() for _ in range(2))
    np.testing.assert_array_equal(first["0.weight"], again["0.weight"])
    plain = ModuleTrainer(PROBLEM).parameters()
    assert (first["2.weight"] == plain["2.weight"]).all() == (name == "default")
    np.testing.assert_array_equal(first["0.bias"], plain["0.bias"])


@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy"])
def test_it_tells_classes_apart(loss: str) -> None:
    classes = (X[:, :1] * X[:, 1:] > 0).astype(np.float64)
    problem = replace(PROBLEM, targets=classes, classes=2, loss=complete("loss", Choice(loss)))
    trainer = ModuleTrainer(problem)
    list(trainer.train())
    assert ((trainer.predict(X)[:, -1:] > 0.5) == (classes == 1)).mean() > 0.9
