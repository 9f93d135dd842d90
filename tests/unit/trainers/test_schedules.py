"""Schedules are those of torch.optim.lr_scheduler."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from gradstream_server.trainers import schedules
from gradstream_server.trainers.catalogue import complete
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem

_X = np.ones((2, 1))


def ours(name: str, options: dict[str, Any], epochs: int, losses: list[float] | None = None) -> list[float]:
    chosen = complete("schedule", Choice(name, options), epochs)
    problem = Problem(_X, _X, epochs, learning_rate=0.4, batch_size=2, schedule=chosen)
    schedule = schedules.of(problem)
    assert schedule
    rates = []
    for epoch in range(1, epochs + 1):
        rates.append(schedule.rate(epoch))
        schedule.heed((losses or [1.0] * epochs)[epoch - 1])
    return rates


def torchs(kind: type, epochs: int, losses: list[float] | None = None, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = kind(optimizer, **options)
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if losses:
            scheduler.step(losses[epoch])
        elif epoch < epochs - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("step", lr_scheduler.StepLR, {"step_size": 3, "gamma": 0.5}),
        ("multistep", lr_scheduler.MultiStepLR, {"milestones": [2, 5, 5, 11], "gamma": 0.3}),
        ("exponential", lr_scheduler.ExponentialLR, {"gamma": 0.9}),
        ("linear", lr_scheduler.LinearLR, {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 8}),
        ("polynomial", lr_scheduler.PolynomialLR, {"total_iters": 15, "power": 2.0}),
        ("cosine", lr_scheduler.CosineAnnealingLR, {"T_max": 8, "eta_min": 0.01}),
        ("cosine_warm_restarts", lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": 3, "T_mult": 2}),
        ("cosine_warm_restarts", lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": 4, "eta_min": 0.1}),
    ],
)
def test_the_rates_are_those_of_torch(name: str, kind: type, options: dict[str, Any]) -> None:
    """A user who moves a script here would get another training."""
    np.testing.assert_allclose(ours(name, options, 20), torchs(kind, 20, **options), rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [4, 10, 37])
def test_one_cycle_is_that_of_torch(strategy: str, epochs: int) -> None:
    rates = ours("one_cycle", {"anneal_strategy": strategy}, epochs)
    theirs = torchs(
        lr_scheduler.OneCycleLR,
        epochs,
        max_lr=0.4,
        total_steps=epochs,
        anneal_strategy=strategy,
        cycle_momentum=False,
    )
    np.testing.assert_allclose(rates, theirs, rtol=1e-12)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_cycle_of_few_epochs_has_rates(epochs: int) -> None:
    """torch divides by 0 there."""
    assert all(0 < rate <= 0.4 for rate in ours("one_cycle", {}, epochs))


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2, "factor": 0.5},
        {"patience": 0, "factor": 0.5, "cooldown": 3, "threshold": 0.1, "threshold_mode": "abs"},
        {"patience": 1, "min_lr": 0.05, "threshold": 0.0},
    ],
)
def test_a_plateau_is_that_of_torch(options: dict[str, Any]) -> None:
    losses = [1 / (1 + min(epoch, 9)) + 0.3 * math.sin(epoch) ** 2 for epoch in range(60)]
    theirs = torchs(lr_scheduler.ReduceLROnPlateau, 60, losses, **options)
    rates = ours("reduce_on_plateau", options, 60, losses)
    np.testing.assert_allclose(rates, theirs, rtol=1e-12)
    assert len(set(rates)) > 1
