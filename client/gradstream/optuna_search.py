"""Options drawn by Optuna, from what has come of those before. Needs the extra `sweep`."""

import math

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gradstream.space import LogUniform, Options, Space, Uniform, is_whole


class OptunaSearch:
    """So many draws by Optuna's sampler of tree-structured Parzen estimators.

    Draw k is made from what has come of the draws up to k - `at_once`, neither fewer nor more. So the same
    seed gives the same draws however long each run takes, and an interrupted sweep finds its runs again.
    """

    def __init__(self, space: Space, draws: int, seed: int, at_once: int) -> None:
        self._distributions = {name: _distribution(name, values) for name, values in space.items()}
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=at_once > 1)
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._at_once = at_once
        self._asked: list[optuna.Trial] = []
        self._told: dict[int, float] = {}
        self._learnt = 0
        """How many of those asked for the study has been told of."""
        self._left = draws

    @property
    def left(self) -> int:
        return self._left

    def ask(self) -> tuple[int, Options] | None:
        if not self._left:
            return None
        while self._learnt <= len(self._asked) - self._at_once:
            if self._learnt not in self._told:
                return None
            self._study.tell(self._asked[self._learnt], self._told.pop(self._learnt))
            self._learnt += 1
        trial = self._study.ask(self._distributions)
        self._asked.append(trial)
        self._left -= 1
        return trial.number, dict(trial.params)

    def tell(self, number: int, value: float) -> None:
        self._told[number] = value


def _distribution(name: str, values: object) -> BaseDistribution:
    if isinstance(values, Uniform | LogUniform):
        logarithmic = isinstance(values, LogUniform)
        if is_whole(name):
            return IntDistribution(math.ceil(values.low), math.floor(values.high), log=logarithmic)
        return FloatDistribution(values.low, values.high, log=logarithmic)
    assert isinstance(values, list | tuple)
    return CategoricalDistribution(values)
