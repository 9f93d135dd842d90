"""The gradient, the loss and the update all by torch.

`nn.Linear` is the nn.Module of a linear model: it holds the parameters and computes the predictions,
`nn.MSELoss` the loss, `torch.optim.SGD` makes the update.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradstream_server.trainers import batches, states
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.problem import Array, Parameters, Problem, State


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

        self._after = 0

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t) for features (n, d)."""
        with torch.no_grad():
            return to_numpy(self._model(to_tensor(features, self._problem.device)))

    def state(self) -> State:
        """The weight (t, d) and, with an intercept, the bias (t), and what the optimizer keeps of each.

        That is nothing for plain SGD; with momentum, "optimizer.0.momentum_buffer" (t, d) of the weight and
        "optimizer.1.momentum_buffer" (t) of the bias.
        """
        kept = self._optimizer.state_dict()["state"]
        flat = {f"optimizer.{i}.{key}": value for i in kept for key, value in kept[i].items()}
        return states.copied({**self._views, **flat})

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        own = states.copied(self._views)
        # Before its first step an optimizer does not know what it will keep. The state says so: the same of
        # each parameter, in its shape unless it is a number, such as Adam's count of steps.
        keys = sorted({name.split(".", 2)[-1] for name in state if name.startswith("optimizer.")})
        places = {f"optimizer.{i}.{key}": (i, key) for i in range(len(own)) for key in keys}
        numbers = {name: value for name, value in state.items() if name in places and value.ndim == 0}
        parameters = list(own.values())
        like = own | {name: parameters[i] for name, (i, _) in places.items()} | numbers
        fitting = states.fitting(state, like)
        tensors = {name: to_tensor(array, self._problem.device) for name, array in fitting.items()}
        for name in own:
            self._model.get_parameter(name).data.copy_(tensors[name])
        kept: dict[int, dict[str, Tensor]] = {}
        for name, (i, key) in places.items():
            kept.setdefault(i, {})[key] = tensors[name]
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": kept})
        self._after = epoch

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean squared error of each epoch that remains, before its updates."""
        for epoch in batches.epochs(self._problem, self._take, self._after):
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

    def _take(self, which: batches.Which) -> tuple[Tensor, Tensor]:
        rows = which if isinstance(which, slice) else to_tensor(which, self._problem.device)
        return self._features[rows], self._targets[rows]
