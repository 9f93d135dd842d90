"""The learning rate of each epoch: the same for every trainer.

Written out, as functions of the epoch, so that training can go on from anywhere and the manual trainer needs
no torch; tests compare each with torch.optim.lr_scheduler, stepped once an epoch. Only `reduce_on_plateau`
depends on what has happened, and keeps it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Array, Problem, State

Options = Mapping[str, Any]


class Schedule(Protocol):
    """Tells the learning rate."""

    def rate(self, epoch: int, /) -> float:
        """That of an epoch, from 1."""
        ...

    def heed(self, loss: Array, /) -> None:
        """Take note of the loss of the epoch that has passed."""
        ...

    def state(self) -> State:
        """What it keeps: arrays by name; nothing for most."""
        ...

    def resume(self, state: State, /) -> None:
        """Keep that; of the names and shapes of `state`."""
        ...


def of(problem: Problem) -> Schedule | None:
    """The schedule of a problem; None when the learning rate stays as it is."""
    name, options = problem.schedule.name, problem.schedule.options
    if name == "none":
        return None
    if name == "reduce_on_plateau":
        return _Plateau(problem.learning_rate, options)
    if name == "one_cycle":
        return _Function(lambda passed: _one_cycle(problem.learning_rate, passed, options, problem.epochs))
    function = _FUNCTIONS[name]
    return _Function(lambda passed: function(problem.learning_rate, passed, options))


def state_of(schedule: Schedule | None) -> State:
    """What a schedule keeps; nothing where there is none."""
    return schedule.state() if schedule else {}


class _Function:
    """A learning rate that depends on the epoch alone."""

    def __init__(self, after: Callable[[int], float]) -> None:
        self._after = after

    def rate(self, epoch: int) -> float:
        return self._after(epoch - 1)

    def heed(self, _loss: Array) -> None:
        pass

    def state(self) -> State:
        return {}

    def resume(self, _state: State) -> None:
        pass


class _Plateau:
    """A learning rate that goes down when the loss has stopped falling."""

    def __init__(self, learning_rate: float, options: Options) -> None:
        self._options = options
        self._rate, self._best = learning_rate, math.inf
        self._bad_epochs = self._cooldown = 0

    def rate(self, _epoch: int) -> float:
        return self._rate

    def heed(self, loss: Array) -> None:
        options, value = self._options, float(loss)
        relative = options["threshold_mode"] == "rel"
        wanted = self._best * (1 - options["threshold"]) if relative else self._best - options["threshold"]
        if value < wanted:
            self._best, self._bad_epochs = value, 0
        else:
            self._bad_epochs += 1
        if self._cooldown:
            self._cooldown -= 1
            self._bad_epochs = 0
        if self._bad_epochs > options["patience"]:
            lower = max(self._rate * options["factor"], options["min_lr"])
            if self._rate - lower > options["eps"]:
                self._rate = lower
            self._cooldown, self._bad_epochs = options["cooldown"], 0

    def state(self) -> State:
        kept = (self._rate, self._best, self._bad_epochs, self._cooldown)
        return {"schedule": np.array(kept, np.float64)}

    def resume(self, state: State) -> None:
        kept: NDArray[np.float64] = state["schedule"]
        self._rate, self._best = float(kept[0]), float(kept[1])
        self._bad_epochs, self._cooldown = int(kept[2]), int(kept[3])


# Each: the learning rate after so many epochs have passed.


def _step(rate: float, passed: int, options: Options) -> float:
    return _power(rate, options["gamma"], passed // options["step_size"])


def _multistep(rate: float, passed: int, options: Options) -> float:
    return _power(rate, options["gamma"], sum(passed >= milestone for milestone in options["milestones"]))


def _exponential(rate: float, passed: int, options: Options) -> float:
    return _power(rate, options["gamma"], passed)


def _linear(rate: float, passed: int, options: Options) -> float:
    start, end = options["start_factor"], options["end_factor"]
    return float(rate * (start + (end - start) * min(passed / options["total_iters"], 1.0)))


def _polynomial(rate: float, passed: int, options: Options) -> float:
    return float(rate * (1 - min(passed / options["total_iters"], 1.0)) ** options["power"])


def _cosine(rate: float, passed: int, options: Options) -> float:
    low, stretch = options["eta_min"], options["T_max"]
    # Past the lowest point it goes up again, as torch's does.
    return float(low + (rate - low) * (1 + math.cos(math.pi * (passed % (2 * stretch)) / stretch)) / 2)


def _cosine_warm_restarts(rate: float, passed: int, options: Options) -> float:
    low, stretch = options["eta_min"], options["T_0"]
    while passed >= stretch:
        if options["T_mult"] == 1:
            passed %= stretch
        else:
            passed, stretch = passed - stretch, stretch * options["T_mult"]
    return float(low + (rate - low) * (1 + math.cos(math.pi * passed / stretch)) / 2)


def _one_cycle(rate: float, passed: int, options: Options, epochs: int) -> float:
    begin = rate / options["div_factor"]
    top = max(options["pct_start"] * epochs - 1, 0.0)
    last = max(epochs - 1.0, 1.0)
    if passed <= top:
        return _annealed(begin, rate, passed / top if top else 1.0, options)
    end = begin / options["final_div_factor"]
    return _annealed(rate, end, (passed - top) / (last - top), options)


def _annealed(start: float, end: float, part: float, options: Options) -> float:
    if options["anneal_strategy"] == "linear":
        return start + (end - start) * part
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _power(rate: float, factor: float, times: int) -> float:
    return float(rate * factor**times)


_FUNCTIONS: dict[str, Callable[[float, int, Options], float]] = {
    "step": _step,
    "multistep": _multistep,
    "exponential": _exponential,
    "linear": _linear,
    "polynomial": _polynomial,
    "cosine": _cosine,
    "cosine_warm_restarts": _cosine_warm_restarts,
}
