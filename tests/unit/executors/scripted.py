"""A trainer whose curve the test writes down."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Parameters, Problem, State


class ScriptedTrainer:
    """After epoch n the weight is n. The loss of epoch n is `loss(n)`, of validation rows `validation(n)`."""

    loss: ClassVar[Callable[[int], float]]
    validation: ClassVar[Callable[[int], float]]
    asked: ClassVar[int]
    """The epoch that was asked for last."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._weight = np.zeros((problem.targets.shape[1], problem.features.shape[1]))
        self._after = 0

    def parameters(self) -> Parameters:
        return {"weight": self._weight}

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        return features @ self._weight.T

    def validate(self) -> tuple[float, NDArray[np.floating]]:
        assert self._problem.validation
        return type(self).validation(int(self._weight[0, 0])), self.predict(self._problem.validation.features)

    def state(self) -> State:
        return {"weight": self._weight}

    def resume(self, epoch: int, state: State) -> None:
        self._weight, self._after = state["weight"], epoch

    def train(self) -> Iterator[float]:
        for epoch in range(self._after + 1, self._problem.epochs + 1):
            type(self).asked = epoch
            self._weight = np.full_like(self._weight, epoch)
            yield type(self).loss(epoch)
