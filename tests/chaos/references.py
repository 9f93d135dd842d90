"""What each plan gives when nothing disturbs it, from a server of its own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.chaos.plans import Plan

from gradstream import Client, Completed, EpochUpdates, Event, Started, StateChange
from gradstream.spec import SpecOptions


@dataclass(frozen=True, eq=False)
class Curve:
    """All epochs of a log, as columns."""

    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    parameters: dict[str, NDArray[np.float64]]
    """Empty where they are not told epoch by epoch."""


@dataclass(frozen=True, eq=False)
class Reference:
    """An undisturbed run."""

    started: Started
    curve: Curve
    end: Completed | StateChange


class References:
    """Trains plans undisturbed, each once."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._whole: dict[Plan, Reference] = {}
        self._parts: dict[tuple[Plan, int], Completed] = {}

    def prepare(self, plans: Sequence[Plan], at_once: int) -> None:
        """Train all plans."""
        with ThreadPoolExecutor(at_once) as pool:
            self._whole = dict(zip(plans, pool.map(self._train, plans), strict=True))

    def whole(self, plan: Plan) -> Reference:
        """The whole run."""
        return self._whole[plan]

    def after(self, plan: Plan, epochs: int) -> Completed:
        """The result of as many epochs."""
        if (plan, epochs) not in self._parts:
            end = self._train(plan, epochs).end
            assert isinstance(end, Completed), f"{plan.name}: {epochs} epochs of it give {end}"
            self._parts[plan, epochs] = end
        return self._parts[plan, epochs]

    def _train(self, plan: Plan, epochs: int | None = None) -> Reference:
        options = plan.options if epochs is None else SpecOptions(**{**plan.options, "epochs": epochs})
        with Client(self._address) as client:
            plan.upload(client)
            log = list(client.train(*plan.data(), **options).events())
        started = next(event for event in log if isinstance(event, Started))
        assert isinstance(log[-1], Completed | StateChange)
        return Reference(started, curve_of(log), log[-1])


def curve_of(log: Sequence[Event]) -> Curve:
    """The curve in a log."""
    updates = [event for event in log if isinstance(event, EpochUpdates)]
    if not updates:
        return Curve(np.empty(0, np.int64), np.empty(0), {})
    told = [update.parameters or {} for update in updates]
    names = set().union(*told)
    return Curve(
        np.concatenate([update.epochs for update in updates]),
        np.concatenate([update.losses for update in updates]),
        {name: np.concatenate([each[name] for each in told if name in each]) for name in names},
    )
