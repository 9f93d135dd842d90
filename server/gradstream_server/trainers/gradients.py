"""Gradients of trainers compared: each read off the trainer's own step, beside finite differences.

Plain gradient descent goes from W to W - r G, so after one update the gradient of any trainer is

    G = (W before - W after) / r,

whatever is inside. With a step length r of 2^20 that is G to the last bits: W itself has only a part of 2^-20
in its rounding. The finite difference by the element w of W is (L(w + h) - L(w - h)) / 2h, and the loss L is
what a trainer says before its first update.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers import batches
from gradstream_server.trainers.catalogue import default
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import load

MOST_ROWS = 1000
MOST_ELEMENTS = 20
"""Of a parameter, by which finite differences are taken: each takes the loss twice."""
_MOST_OF_ALL = 200
"""Of all parameters together, where they are many, but 2 of each."""
_STEP = 2.0**20
_SMALL = 2.0**-17
"""About the third root of what float64 resolves: there truncation and rounding are alike."""

Arrays = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True)
class ParameterGradient:
    """The gradient by a parameter, as several trainers have it. Differences are those of `relative`."""

    name: str
    shape: tuple[int, ...]
    difference: float
    """The largest between two trainers."""
    elements: NDArray[np.intp]
    """(k), rising: of which finite differences were taken, by position in row-major order."""
    finite_differences: NDArray[np.float64]
    """(k)"""
    values: Mapping[str, NDArray[np.float64]]
    """By trainer, (k): its gradient by these elements."""
    errors: Mapping[str, float]
    """By trainer: how far these are from the finite differences."""


def first_batch(problem: Problem) -> Problem:
    """The rows of the first update, `MOST_ROWS` at most, and one plain step against their gradient."""
    rows = len(problem.features)
    size = min(problem.batch_size, MOST_ROWS)
    whole = not problem.shuffle or problem.batch_size >= rows
    which = slice(size) if whole else batches.order(rows, problem.seed, 1)[:size]
    features = np.ascontiguousarray(problem.features[which])
    return replace(
        problem,
        features=features,
        targets=np.ascontiguousarray(problem.targets[which]),
        epochs=1,
        learning_rate=_STEP,
        batch_size=len(features),
        shuffle=False,
        l2=0.0,
        model=_without_dropout(problem.model),
        optimizer=default("optimizer"),
        schedule=default("schedule"),
        clipping=default("clipping"),
        mixed_precision=default("mixed_precision"),
        validation=None,
    )


def compare(problem: Problem, trainers: Sequence[str], start: Arrays) -> list[ParameterGradient]:
    """Gradients of a problem that `first_batch` gave.

    Args:
        trainers: at least one; the first also says what the loss is.
        start: by the names that the parameters are told by, in the order of the model.

    Raises:
        CannotTrain: a trainer cannot do the problem on its device.
        FloatingPointError: the loss or a gradient is not finite there.
    """
    # Without dropout layers have other numbers, in the same order.
    names = list(load(trainers[0])(problem).parameters())
    own = {name: np.array(value) for name, value in zip(names, start.values(), strict=True)}
    gradients = {trainer: _gradient(trainer, replace(problem, initial=own)) for trainer in trainers}
    found, most = [], max(2, min(MOST_ELEMENTS, _MOST_OF_ALL // len(names)))
    for told, name in zip(start, names, strict=True):
        by_trainer = {trainer: gradient[name].ravel() for trainer, gradient in gradients.items()}
        size = own[name].size
        elements = np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.intp))
        differences = _finite_differences(trainers[0], problem, own, name, elements)
        values = {trainer: gradient[elements] for trainer, gradient in by_trainer.items()}
        found.append(
            ParameterGradient(
                name=told,
                shape=own[name].shape,
                difference=max(relative(a, b) for a in by_trainer.values() for b in by_trainer.values()),
                elements=elements,
                finite_differences=differences,
                values=values,
                errors={trainer: relative(value, differences) for trainer, value in values.items()},
            )
        )
    return found


def relative(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest difference of an element over the largest magnitude of one; 0 where all are 0."""
    largest = max(np.abs(one).max(), np.abs(other).max())
    return float(np.abs(one - other).max() / largest) if largest else 0.0


def _gradient(trainer: str, problem: Problem) -> dict[str, NDArray[np.float64]]:
    """The gradient by each parameter, in its shape."""
    stepping = load(trainer)(problem)
    before = _on_host(stepping.parameters())
    loss = float(next(iter(stepping.train())))
    after = _on_host(stepping.parameters())
    gradient = {name: (before[name] - after[name]) / _STEP for name in before}
    if not np.isfinite([loss, *(np.abs(value).max() for value in gradient.values())]).all():
        raise FloatingPointError(f"the {trainer} trainer's loss or gradient is not finite at the start")
    return gradient


def _finite_differences(
    trainer: str, problem: Problem, start: Arrays, name: str, elements: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Those by some elements of a parameter (k), in float64: on the CPU where the device has none."""
    exact = replace(
        problem,
        features=problem.features.astype(np.float64),
        targets=problem.targets.astype(np.float64),
        device="cpu" if problem.device == "mps" else problem.device,
    )
    terms = 1 if problem.reduction == "mean" else problem.targets.size
    at = {each: value.astype(np.float64) for each, value in start.items()}

    def loss(element: np.intp, value: float) -> float:
        moved = at[name].copy()
        moved.flat[element] = value
        evaluated = load(trainer)(replace(exact, initial={**at, name: moved}))
        return terms * float(next(iter(evaluated.train())))

    found = []
    for element in elements:
        here = float(at[name].flat[element])
        above, below = here + _SMALL * max(1, abs(here)), here - _SMALL * max(1, abs(here))
        found.append((loss(element, above) - loss(element, below)) / (above - below))
    if not np.isfinite(found).all():
        raise FloatingPointError("the loss beside the start is not finite")
    return np.array(found)


def _without_dropout(model: Choice) -> Choice:
    if not model.options.get("dropout"):
        return model
    return Choice(model.name, {**model.options, "dropout": 0.0})


def _on_host(parameters: Mapping[str, object]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array(to_numpy(value), np.float64) for name, value in parameters.items()}
