"""The gradient by automatic differentiation.

Tensors that require a gradient record how the loss came about; torch walks that record backwards, with the
chain rule that manual.py spells out. The update is still written by hand.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from gradstream_server.trainers import batches, states
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.problem import Array, Parameters, Problem, State


class AutogradTrainer:
    """A linear model of two tensors, trained with torch.autograd."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._features = to_tensor(problem.features, problem.device)  # (n, d)
        self._targets = to_tensor(problem.targets, problem.device)  # (n, t)

        features, targets = problem.features.shape[1], problem.targets.shape[1]
        dtype = problem.features.dtype
        shapes = {"weight": (targets, features)} | ({"bias": (targets,)} if problem.intercept else {})
        self._parameters = {
            name: to_tensor(problem.initial.get(name, np.zeros(shape, dtype)), problem.device)
            .clone()  # the updates below are in place
            .requires_grad_()
            for name, shape in shapes.items()
        }
        self._views = views(self._parameters)
        self._read = reader(problem.device)

        self._after = 0

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t) for features (n, d)."""
        with torch.no_grad():
            return to_numpy(self._predict(to_tensor(features, self._problem.device)))

    def state(self) -> State:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return states.copied(self._views)

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        fitting = states.fitting(state, self.state())
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(to_tensor(fitting[name], self._problem.device))
        self._after = epoch

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean squared error of each epoch that remains, before its updates."""
        for epoch in batches.epochs(self._problem, self._take, self._after):
            yield self._read(self._epoch(epoch) / self._problem.targets.size)

    def _epoch(self, epoch: Iterable[batches.Batch]) -> Array:
        """Update once for each batch; the squared error of the epoch (0-d)."""
        learning_rate, mean = self._problem.learning_rate, self._problem.reduction == "mean"
        weight, l2 = self._parameters["weight"], self._problem.l2
        parameters = tuple(self._parameters.values())
        total = None
        for features, targets, elements in epoch:
            # ((predictions - targets) ** 2).sum(), with one step to walk back through instead of three.
            squared_error = mse_loss(self._predict(features), targets, reduction="sum")
            gradients = torch.autograd.grad(squared_error, parameters)
            with torch.no_grad():
                if l2:
                    weight.sub_(weight, alpha=learning_rate * l2)
                # The gradient of the mean is that of the sum, divided by the number of elements.
                step = learning_rate * (1 / elements if mean else 1)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=step)
            squared_error = squared_error.detach()
            total = squared_error if total is None else total + squared_error
        return total

    def _predict(self, features: Tensor) -> Tensor:
        predictions: Tensor = features @ self._parameters["weight"].T
        return predictions + self._parameters["bias"] if "bias" in self._parameters else predictions

    def _take(self, which: batches.Which) -> tuple[Tensor, Tensor]:
        rows = which if isinstance(which, slice) else to_tensor(which, self._problem.device)
        return self._features[rows], self._targets[rows]
