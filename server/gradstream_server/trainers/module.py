"""The gradient, the loss and the update all by torch.

`nn.Linear` is the nn.Module of a linear model: it holds the parameters and computes the predictions,
`nn.MSELoss` the loss, `torch.optim.SGD` makes the update.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradstream_server.trainers import batches
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.problem import Array, Parameters, Problem


class ModuleTrainer:
    """A linear model as an nn.Module, trained with an optimizer."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._features = to_tensor(problem.features, problem.device)  # (n, d)
        self._targets = to_tensor(problem.targets, problem.device)  # (n, t)

        features, targets = problem.features.shape[1], problem.targets.shape[1]
        # Drawn on the CPU, so that a seed means the same on every device. Only the CPU's generator is seeded,
        # and put back afterwards, for whoever else uses it.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(problem.seed)
            self._model = nn.Linear(features, targets, problem.intercept, dtype=self._features.dtype)
        for name, value in problem.initial.items():
            self._model.get_parameter(name).data.copy_(to_tensor(value, "cpu"))
        self._model.to(problem.device)
        self._views = views(dict(self._model.named_parameters()))
        self._read = reader(problem.device)

        self._loss = nn.MSELoss(reduction=problem.reduction)
        groups = [{"params": [self._model.weight], "weight_decay": problem.l2}]
        if problem.intercept:
            groups.append({"params": [self._model.bias]})
        # foreach batches the updates of many parameters: of two it only costs time.
        self._optimizer = torch.optim.SGD(groups, lr=problem.learning_rate, foreach=False)

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t) for features (n, d)."""
        with torch.no_grad():
            return to_numpy(self._model(to_tensor(features, self._problem.device)))

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean squared error of each epoch, before its updates."""
        for epoch in batches.epochs(self._problem, self._features, self._targets, self._take):
            yield self._read(self._epoch(epoch))

    def _epoch(self, epoch: Iterable[batches.Batch]) -> Array:
        """Update once for each batch; the mean squared error of the epoch (0-d)."""
        total = None
        for features, targets, elements in epoch:
            loss = self._loss(self._model(features), targets)
            self._model.zero_grad()  # what optimizer.zero_grad() does, in half the time
            loss.backward()
            self._optimizer.step()
            loss = loss.detach()
            share = (elements if self._problem.reduction == "mean" else 1) / self._problem.targets.size
            if share != 1:
                loss = loss * share
            total = loss if total is None else total + loss
        return total

    def _take(self, array: Tensor, order: NDArray[np.int64]) -> Tensor:
        return array[to_tensor(order, self._problem.device)]
