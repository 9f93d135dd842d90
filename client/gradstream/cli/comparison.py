"""The three trainers on the same problem, and how far apart they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from gradstream.client import Client
from gradstream.events import Completed, EpochUpdates, FloatArray, Started
from gradstream.run import Run
from gradstream.spec import SpecOptions

Progress = Callable[[str, int, Run], None]
"""Called with the trainer, its number from 1 and its run: once it has begun, and when epochs have come."""

TRAINERS = ("manual", "autograd", "module")


@dataclass(frozen=True, eq=False)
class TrainerRun:
    """What one trainer made of the problem."""

    trainer: str
    job: str
    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    gradient: dict[str, NDArray[np.float64]]
    """Of all rows, at the start: (start - parameters after one full-batch update) / learning rate."""
    result: Completed


@dataclass(frozen=True, eq=False)
class Comparison:
    """All trainers, and the largest differences between any two of them."""

    started: Started
    runs: tuple[TrainerRun, ...]
    gradient_difference: float
    parameter_difference: float
    loss_difference: float


def compare_trainers(
    client: Client, request: SpecOptions, request_ids: list[str], tell: Progress
) -> Comparison:
    """Train with each trainer from the same start with the same gradient: zeros and the mean by default.

    request_ids: takes the request id of each job, before the job is asked for.
    """
    options = _common_options(request)
    runs, started = [], None
    for number, trainer in enumerate(TRAINERS, 1):
        options["trainer"] = trainer
        request_ids.append(str(uuid4()))
        run = client.train(request_id=request_ids[-1], **options)
        tell(trainer, number, run)
        first: EpochUpdates | None = None
        for event in run.events():
            if isinstance(event, EpochUpdates):
                first = first or event
                tell(trainer, number, run)
        result, started = run.result(), run.started
        assert started is not None, "a job that has succeeded has started"
        if first is not None and first.parameters is not None and started.spec.batch_size >= started.rows:
            updated: Mapping[str, FloatArray] = {name: each[0] for name, each in first.parameters.items()}
        else:
            # Mini-batches, or more parameters than come with an epoch: one update with all rows tells.
            updated = _after_one_update(client, options)
        gradient = {
            name: (start.astype(np.float64) - updated[name]) / started.spec.learning_rate
            for name, start in started.parameters.items()
        }
        runs.append(TrainerRun(trainer, run.job, run.epochs, run.losses, gradient, result))
    assert started is not None
    return Comparison(
        started,
        tuple(runs),
        _largest_difference([run.gradient for run in runs]),
        _largest_difference([run.result.parameters for run in runs]),
        _largest_difference([{"loss": run.losses} for run in runs]),
    )


def _common_options(given: SpecOptions) -> SpecOptions:
    """The options with everything said that trainers would choose differently."""
    defaults: SpecOptions = {
        "dtype": "float64",
        "epochs": 100,
        "gradient_reduction": "mean",
        "intercept": True,
    }
    said = {name: value for name, value in given.items() if value is not None}
    options = cast(SpecOptions, {**defaults, **said})
    zeros = {"weight": 0.0, "bias": 0.0} if options["intercept"] else {"weight": 0.0}
    options["initial_parameters"] = {**zeros, **options.get("initial_parameters", {})}
    return options


def _after_one_update(client: Client, options: SpecOptions) -> Mapping[str, FloatArray]:
    once = options.copy()
    once["epochs"] = 1
    once.pop("batch_size", None)
    return client.train(**once).result().parameters


def _largest_difference(values: list[Mapping[str, FloatArray]]) -> float:
    return max(
        float(np.abs(one[name] - other[name]).max()) for one in values for other in values for name in one
    )
