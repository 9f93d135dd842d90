"""The gradient by automatic differentiation.

Tensors that require a gradient record how the loss came about; torch walks that record backwards, with the
chain rule that manual.py spells out. The update is still written by hand.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear, mse_loss

from gradstream_server.trainers import batches, schedules, states
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.problem import Array, Parameters, Problem, State
from gradstream_server.trainers.validation import ValidationRows


class AutogradTrainer:
    """A linear or logistic model of two tensors, trained with torch.autograd."""

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
        self._tensors = tuple(self._parameters.values())
        # The same numbers in the same memory, of which nothing is recorded: what is updated.
        self._values = {name: parameter.detach() for name, parameter in self._parameters.items()}
        self._views = views(self._parameters)
        self._read = reader(problem.device)

        self._class_weights = problem.loss.options.get("class_weights")

        options = problem.optimizer.options
        # What is added to the gradient for a parameter of 1: weight decay, and l2 but for the bias.
        decay = options["weight_decay"]
        self._decay = {name: decay + (problem.l2 if name == "weight" else 0.0) for name in shapes}
        self._momentum = options["momentum"]
        self._velocity: dict[str, Tensor] = {}  # as the parameters; empty before the first update
        # Whether an update takes the gradient as it is.
        unclipped = problem.clipping.name == "none"
        self._is_plain = unclipped and not self._momentum and not any(self._decay.values())

        self._learning_rate = problem.learning_rate
        self._schedule = schedules.of(problem)
        self._after = 0
        self._validation = ValidationRows(problem, to_tensor)

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        return self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t), or probabilities (n, 1), for features (n, d)."""
        with torch.no_grad():
            return to_numpy(self._predictions(self._scores(to_tensor(features, self._problem.device))))

    def validate(self) -> tuple[float, NDArray[np.floating]]:
        """The mean loss of the validation rows, and predictions (m, t), or probabilities (m, 1), for them."""
        with torch.no_grad():
            return self._validation.measured(self._measure)

    def state(self) -> State:
        """The weight (t, d) and, with an intercept, the bias (t).

        With momentum "velocity.weight" and "velocity.bias" too, in these shapes, and what the schedule keeps.
        """
        velocity = {f"velocity.{name}": value for name, value in self._velocity.items()}
        return states.copied({**self._views, **velocity, **schedules.state_of(self._schedule)})

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        device, kept = self._problem.device, self._parameters if self._momentum and epoch else {}
        velocity = {f"velocity.{name}": to_numpy(self._views[name]) for name in kept}
        fitting = states.fitting(state, {**self.state(), **velocity})
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(to_tensor(fitting[name], device))
        self._velocity = {name: to_tensor(fitting[f"velocity.{name}"], device).clone() for name in kept}
        if self._schedule:
            self._schedule.resume(fitting)
        self._after = epoch

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean loss of each epoch that remains, before its updates."""
        elements, schedule = self._problem.targets.size, self._schedule
        for number, epoch in enumerate(
            batches.epochs(self._problem, self._take, self._after), self._after + 1
        ):
            if schedule:
                self._learning_rate = schedule.rate(number)
            loss = self._read(self._epoch(epoch) / elements)
            if schedule:
                schedule.heed(loss)
            yield loss

    def _epoch(self, epoch: Iterable[batches.Batch]) -> Array:
        """Update once for each batch; the squared error or log loss of the epoch, summed (0-d)."""
        learning_rate, mean = self._learning_rate, self._problem.reduction == "mean"
        logistic = self._problem.loss.name == "log_loss"
        parameters, values = self._tensors, tuple(self._values.values())
        total = None
        for features, targets, elements in epoch:
            if logistic:
                loss = self._log_loss(self._scores(features), targets)
            else:
                # ((predictions - targets) ** 2).sum(), with one step to walk back through instead of three.
                loss = mse_loss(self._scores(features), targets, reduction="sum")
            gradients = torch.autograd.grad(loss, parameters)
            # The gradient of the mean is that of the sum, divided by the number of elements.
            factor = 1 / elements if mean else 1
            if self._is_plain:
                for value, gradient in zip(values, gradients, strict=True):
                    value.sub_(gradient, alpha=learning_rate * factor)
            else:
                directions = self._directions([factor * gradient for gradient in gradients])
                for value, direction in zip(values, directions, strict=True):
                    value.sub_(direction, alpha=learning_rate)
            loss = loss.detach()
            total = loss if total is None else total + loss
        return total

    def _log_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The log loss of scores Z (b, 1), summed (0-d)."""
        weights = None
        if self._class_weights:
            first, second = self._class_weights
            weights = first + (second - first) * targets
        return binary_cross_entropy_with_logits(scores, targets, weights, reduction="sum")

    def _directions(self, gradients: list[Tensor]) -> list[Tensor]:
        """What the update takes from the parameters in place of the gradients, but for the learning rate."""
        options, clipping = self._problem.optimizer.options, self._problem.clipping
        if clipping.name == "norm":
            length = torch.linalg.vector_norm(torch.cat([gradient.ravel() for gradient in gradients]))
            factor = (clipping.options["max_norm"] / (length + 1e-6)).clamp(max=1)  # as torch has it
            gradients = [gradient * factor for gradient in gradients]
        elif clipping.name == "value":
            bound = clipping.options["max_value"]
            gradients = [gradient.clamp(-bound, bound) for gradient in gradients]
        directions = []
        for (name, value), gradient in zip(self._values.items(), gradients, strict=True):
            direction = gradient + self._decay[name] * value if self._decay[name] else gradient
            if self._momentum:
                if name in self._velocity:
                    taken = (1 - options["dampening"]) * direction
                    self._velocity[name] = self._momentum * self._velocity[name] + taken
                else:
                    self._velocity[name] = direction
                velocity = self._velocity[name]
                direction = direction + self._momentum * velocity if options["nesterov"] else velocity
            directions.append(direction)
        return directions

    def _measure(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of rows, summed (0-d), and predictions for them (b, t)."""
        scores = self._scores(features)
        if self._problem.loss.name == "log_loss":
            loss = self._log_loss(scores, targets)
        else:
            loss = mse_loss(scores, targets, reduction="sum")
        return loss, self._predictions(scores)

    def _scores(self, features: Tensor) -> Tensor:
        """X W' + b: the predictions of a linear model, (b, t)."""
        return linear(features, *self._tensors)

    def _predictions(self, scores: Tensor) -> Tensor:
        return scores.sigmoid() if self._problem.loss.name == "log_loss" else scores

    def _take(self, which: batches.Which) -> tuple[Tensor, Tensor]:
        rows = which if isinstance(which, slice) else to_tensor(which, self._problem.device)
        return self._features[rows], self._targets[rows]
