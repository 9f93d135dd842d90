"""The gradient, the loss and the update all by torch.

`nn.Linear` is the nn.Module of a linear model: it holds the parameters and computes the predictions,
`nn.MSELoss` or another the loss, an optimizer of `torch.optim` makes the update.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradstream_server.trainers import batches, losses, optimizers, schedules, states
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.problem import Array, Parameters, Problem, State


class ModuleTrainer:
    """A model as an nn.Module, trained with an optimizer."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._features = to_tensor(problem.features, problem.device)  # (n, d)
        self._targets = to_tensor(problem.targets, problem.device)  # (n, t)

        if problem.loss.name == "cross_entropy":
            self._targets = self._targets.long()
        # Drawn on the CPU, so that a seed means the same on every device. Only the CPU's generator is seeded,
        # and put back afterwards, for whoever else uses it.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(problem.seed)
            self._model = nn.Linear(
                problem.features.shape[1], problem.outputs, problem.intercept, dtype=self._features.dtype
            )
        for name, value in problem.initial.items():
            self._model.get_parameter(name).data.copy_(to_tensor(value, "cpu"))
        self._model.to(problem.device)
        self._views = views(dict(self._model.named_parameters()))
        self._read = reader(problem.device)

        self._loss = losses.build(problem)
        self._parameters = list(self._model.parameters())
        self._weights = [self._model.weight]
        self._optimizer = optimizers.build(
            problem.optimizer, self._weights, self._parameters[1:], problem.learning_rate, problem.l2
        )
        # What is left of l2 for this file to add to the gradient.
        self._l2 = 0.0 if optimizers.adds_decay(problem.optimizer) else problem.l2

        self._schedule = schedules.of(problem)
        self._after = 0

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t), or probabilities (n, 1) or (n, classes), for features (n, d)."""
        with torch.no_grad():
            scores = self._model(to_tensor(features, self._problem.device))
            return to_numpy(losses.predictions(self._problem, scores))

    def state(self) -> State:
        """The weight (t, d) and, with an intercept, the bias (t), and what the optimizer keeps of each.

        That is nothing for plain SGD; with momentum, "optimizer.0.momentum_buffer" (t, d) of the weight and
        "optimizer.1.momentum_buffer" (t) of the bias. And what the schedule keeps.
        """
        kept = optimizers.state_of(self._optimizer)
        return states.copied({**self._views, **kept, **schedules.state_of(self._schedule)})

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        device, own = self._problem.device, states.copied(self._views)
        kept = optimizers.like(self._optimizer, state, list(own.values()))
        fitting = states.fitting(state, {**own, **kept, **schedules.state_of(self._schedule)})
        for name in own:
            self._model.get_parameter(name).data.copy_(to_tensor(fitting[name], device))
        optimizers.load(self._optimizer, fitting, device)
        if self._schedule:
            self._schedule.resume(fitting)
        self._after = epoch

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean loss of each epoch that remains, before its updates."""
        schedule = self._schedule
        for number, epoch in enumerate(
            batches.epochs(self._problem, self._take, self._after), self._after + 1
        ):
            if schedule:
                for group in self._optimizer.param_groups:
                    group["lr"] = schedule.rate(number)
            loss = self._read(self._epoch(epoch))
            if schedule:
                schedule.heed(loss)
            yield loss

    def _epoch(self, epoch: Iterable[batches.Batch]) -> Array:
        """Update once for each batch; the mean loss of the epoch (0-d)."""
        total = None
        for features, targets, elements in epoch:
            loss = self._update(features, targets)
            share = (elements if self._problem.reduction == "mean" else 1) / self._problem.targets.size
            if share != 1:
                loss = loss * share
            total = loss if total is None else total + loss
        return total

    def _update(self, features: Tensor, targets: Tensor) -> Tensor:
        """Update once; the loss of the batch before (0-d)."""
        if isinstance(self._optimizer, torch.optim.LBFGS):
            return self._line_search(features, targets)
        loss: Tensor = self._loss(self._model(features), targets)
        for parameter in self._parameters:  # what optimizer.zero_grad() does, in a fraction of the time
            parameter.grad = None
        torch.autograd.backward(loss)
        clipping = self._problem.clipping
        if clipping.name == "norm":
            nn.utils.clip_grad_norm_(self._parameters, clipping.options["max_norm"], foreach=False)
        elif clipping.name == "value":
            nn.utils.clip_grad_value_(self._parameters, clipping.options["max_value"], foreach=False)
        if self._l2:
            for weight in self._weights:
                if weight.grad is not None:
                    weight.grad.add_(weight.detach(), alpha=self._l2)
        self._optimizer.step()
        return loss.detach()

    def _line_search(self, features: Tensor, targets: Tensor) -> Tensor:
        """The same with an optimizer that evaluates loss and gradient as often as it likes."""
        evaluated: list[Tensor] = []

        def evaluate() -> float:
            loss: Tensor = self._loss(self._model(features), targets)
            evaluated.append(loss.detach())
            if self._l2:
                # The gradient has l2 * weight added, so what is searched has l2 / 2 * weight^2.
                for weight in self._weights:
                    loss = loss + self._l2 / 2 * weight.square().sum()
            for parameter in self._parameters:
                parameter.grad = None
            torch.autograd.backward(loss)
            return loss  # type: ignore[return-value]  # LBFGS takes a tensor for a number

        self._optimizer.step(evaluate)
        return evaluated[0]

    def _take(self, which: batches.Which) -> tuple[Tensor, Tensor]:
        rows = which if isinstance(which, slice) else to_tensor(which, self._problem.device)
        return self._features[rows], self._targets[rows]
