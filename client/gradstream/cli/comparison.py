"""The trainers on the same problem, and how far apart they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from gradstream.client import Client
from gradstream.events import Completed, EpochUpdates, FloatArray, Started
from gradstream.gradients import GradientCheck
from gradstream.run import Run
from gradstream.spec import SpecOptions

Progress = Callable[[str, int, int, Run], None]
"""Called with the trainer, its number from 1, how many there are, and its run: once it has begun, and when
epochs have come."""

_WIDEST = "module"
"""The trainer that does every model."""


@dataclass(frozen=True, eq=False)
class TrainerRun:
    """What one trainer made of the problem."""

    trainer: str
    job: str
    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    result: Completed


@dataclass(frozen=True, eq=False)
class Comparison:
    """All trainers that do the model, and the largest differences between any two of them."""

    started: Started
    gradients: GradientCheck
    """Where they start."""
    runs: tuple[TrainerRun, ...]
    parameter_difference: float
    loss_difference: float


def compare_trainers(
    client: Client, request: SpecOptions, request_ids: list[str], tell: Progress
) -> Comparison:
    """Train with each trainer that does the model from the same start with the same gradient.

    request_ids: takes the request id of each job, before the job is asked for.
    """
    options = _common_options(request)
    gradients = client.check_gradients(**options)
    trainers = gradients.trainers
    if len(trainers) > 1:
        zeros = dict.fromkeys(gradients.parameters, 0.0)
        options["initial_parameters"] = {**zeros, **options.get("initial_parameters", {})}
        gradients = client.check_gradients(**options)
    runs, started = [], None
    for number, trainer in enumerate(trainers, 1):
        options["trainer"] = trainer
        request_ids.append(str(uuid4()))
        run = client.train(request_id=request_ids[-1], **options)
        tell(trainer, number, len(trainers), run)
        for event in run.events():
            if isinstance(event, EpochUpdates):
                tell(trainer, number, len(trainers), run)
        result, started = run.result(), run.started
        runs.append(TrainerRun(trainer, run.job, run.epochs, run.losses, result))
    assert started is not None, "a job that has succeeded has started"
    return Comparison(
        started,
        gradients,
        tuple(runs),
        _largest_difference([run.result.parameters for run in runs]),
        _largest_difference([{"loss": run.losses[: common_epochs(runs)]} for run in runs]),
    )


def common_epochs(runs: Sequence[TrainerRun]) -> int:
    """How many epochs all have told of: by patience or time one may have ended before another."""
    return min(len(run.epochs) for run in runs)


def _common_options(given: SpecOptions) -> SpecOptions:
    """The options with everything said that trainers would choose differently."""
    defaults: SpecOptions = {
        "trainer": _WIDEST,
        "dtype": "float64",
        "epochs": 100,
        "gradient_reduction": "mean",
        "intercept": True,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return cast(SpecOptions, {**defaults, **said})


def _largest_difference(values: list[Mapping[str, FloatArray]]) -> float:
    return max(
        float(np.abs(one[name] - other[name]).max()) for one in values for other in values for name in one
    )
