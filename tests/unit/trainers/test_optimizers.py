"""The optimizers of torch: each by its name, with its options."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from gradstream_server.trainers import optimizers
from gradstream_server.trainers.catalogue import OPTIMIZERS, complete
from gradstream_server.trainers.module import ModuleTrainer
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3))
PROBLEM = Problem(X, X @ np.array([[1.0], [-2], [0.5]]) + 1, epochs=300, learning_rate=0.1, batch_size=64)
OURS = {"foreach", "fused", "maximize", "capturable", "differentiable", "params", "lr", "self"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns(name: str) -> None:
    """A user would choose it for nothing."""
    rate = {"adadelta": 5.0, "lbfgs": 1.0}.get(name, 0.1)
    problem = replace(PROBLEM, optimizer=complete("optimizer", Choice(name)), learning_rate=rate)
    losses = list(ModuleTrainer(problem).train())
    assert losses[-1] < losses[0] / 100


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_options_and_defaults_are_those_of_torch(name: str) -> None:
    """A user who moves a script here would get another training."""
    signature = inspect.signature(optimizers._CLASSES[name].__init__).parameters
    theirs = {each.name: each.default for each in signature.values() if each.name not in OURS}
    if name == "adam":
        del theirs["decoupled_weight_decay"]  # that is adamw
    ours = dict(complete("optimizer", Choice(name)).options)
    if "betas" in ours:
        ours["betas"] = tuple(ours["betas"])
    assert ours == theirs
    rate = signature["lr"].default
    assert OPTIMIZERS[name].learning_rate == (0.01 if name == "sgd" else rate)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_l2_is_added_to_the_gradient_of_the_weight(name: str) -> None:
    """With some optimizers it would mean something else."""
    problem = replace(PROBLEM, epochs=1, l2=0.7, optimizer=complete("optimizer", Choice(name)), batch_size=64)
    trainer = ModuleTrainer(problem)
    model = torch.nn.Linear(3, 1, dtype=torch.float64)
    with torch.no_grad():
        for key, value in trainer.parameters().items():
            model.get_parameter(key).copy_(torch.from_numpy(value))
    options = dict(problem.optimizer.options)
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    plain = optimizers._CLASSES[name](model.parameters(), lr=0.1, **options)
    x, y = torch.from_numpy(problem.features), torch.from_numpy(problem.targets)

    def evaluate() -> torch.Tensor:
        plain.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y) + 0.7 / 2 * model.weight.square().sum()
        loss.backward()
        return loss

    evaluate() if name != "lbfgs" else None
    plain.step(evaluate if name == "lbfgs" else None)
    list(trainer.train())
    for key, value in trainer.parameters().items():
        np.testing.assert_allclose(value, model.get_parameter(key).detach().numpy(), rtol=1e-10)
