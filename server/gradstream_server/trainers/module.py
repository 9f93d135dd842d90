"""The gradient, the loss and the update all by torch.

`nn.Linear` is the nn.Module of a linear model: it holds the parameters and computes the predictions,
`nn.MSELoss` or another the loss, an optimizer of `torch.optim` makes the update.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradstream_server.trainers import batches, losses, models, optimizers, schedules, states
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.devices import reader, to_numpy, to_tensor, views
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.mixed_precision import MixedPrecision
from gradstream_server.trainers.problem import Array, Parameters, Problem, State
from gradstream_server.trainers.validation import ValidationRows


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
            self._model = models.build(problem, self._features.dtype)
        _start(models.told(self._model), problem.initial)
        self._model.to(problem.device)
        self._views = views(models.told(self._model))
        self._has_buffers = any(True for _ in self._model.buffers())
        self._read = reader(problem.device)

        self._loss = losses.build(problem)
        self._parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._weights = models.weights(self._model)
        others = [parameter for parameter in self._parameters if parameter.ndim <= 1]
        self._optimizer = optimizers.build(
            problem.optimizer, self._weights, others, problem.learning_rate, problem.l2
        )
        mixed = problem.mixed_precision
        self._mixed = None if mixed.name == "none" else MixedPrecision(mixed, problem.device)
        # What is left of l2 for this file to add to the gradient.
        self._l2 = 0.0 if optimizers.adds_decay(problem.optimizer) else problem.l2

        self._schedule = schedules.of(problem)
        self._after = 0
        self._validation = ValidationRows(problem, to_tensor)

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t); of several layers those of each.

        Of an installed module its own, and numbers that it keeps beside, such as running means.
        """
        # A module may put another tensor in the place of a buffer, but not of a parameter.
        return views(models.told(self._model)) if self._has_buffers else self._views

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t), or probabilities (n, 1) or (n, classes), for features (n, d)."""
        self._model.eval()
        with torch.no_grad():
            scores = self._model(to_tensor(features, self._problem.device))
            return to_numpy(losses.predictions(self._problem, scores))

    def validate(self) -> tuple[float, NDArray[np.floating]]:
        """The mean loss of the validation rows, and predictions (m, t), (m, 1) or (m, classes), for them."""
        self._model.eval()
        with torch.no_grad():
            return self._validation.measured(self._measure)

    def state(self) -> State:
        """The parameters, and buffers if there are, and what the optimizer keeps of each, weights first.

        That is nothing for plain SGD; with momentum, "optimizer.0.momentum_buffer" (t, d) of the weight and
        "optimizer.1.momentum_buffer" (t) of the bias. And what the schedule and mixed precision keep.
        """
        own, kept = views(models.kept(self._model)), optimizers.state_of(self._optimizer)
        return states.copied({**own, **kept, **self._kept()})

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        device, own = self._problem.device, models.kept(self._model)
        # An installed module need not use each parameter in each update.
        kept = optimizers.like(self._optimizer, state, partly=is_plugin(self._problem.model))
        fitting = states.fitting(state, {**states.copied(own), **kept, **self._kept()})
        for name, tensor in own.items():
            tensor.data.copy_(to_tensor(fitting[name], device))
        optimizers.load(self._optimizer, fitting, device)
        if self._schedule:
            self._schedule.resume(fitting)
        if self._mixed:
            self._mixed.resume(fitting)
        self._after = epoch

    def _kept(self) -> State:
        """What is kept from update to update beside parameters and optimizer."""
        return {**schedules.state_of(self._schedule), **(self._mixed.state() if self._mixed else {})}

    def train(self) -> Iterator[Array]:
        """Train, yielding the mean loss of each epoch that remains, before its updates."""
        schedule, model = self._schedule, self._problem.model
        draws = bool(model.options.get("dropout")) or is_plugin(model)
        for number, epoch in enumerate(
            batches.epochs(self._problem, self._take, self._after), self._after + 1
        ):
            if schedule:
                for group in self._optimizer.param_groups:
                    group["lr"] = schedule.rate(number)
            if draws:
                with self._drawing(number):
                    loss = self._read(self._epoch(epoch))
            else:
                loss = self._read(self._epoch(epoch))
            if schedule:
                schedule.heed(loss)
            yield loss

    @contextmanager
    def _drawing(self, epoch: int) -> Iterator[None]:
        """Draw what is random in a model, as what dropout leaves out, from seed and epoch alone.

        So training can go on from any epoch.
        """
        self._model.train()
        device = torch.device(self._problem.device)
        with torch.random.fork_rng([device.index or 0] if device.type == "cuda" else []):
            seed = int(np.random.SeedSequence((self._problem.seed, epoch)).generate_state(1, np.uint64)[0])
            # torch.manual_seed() notes a stack trace for each kind of device that is not there, for good.
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed_all(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
            yield

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
        mixed = self._mixed
        scores = mixed.scores(self._model, features) if mixed else self._model(features)
        loss: Tensor = self._loss(scores, targets)
        for parameter in self._parameters:  # what optimizer.zero_grad() does, in a fraction of the time
            parameter.grad = None
        if mixed:
            mixed.backward(loss, self._optimizer)
        else:
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
        if mixed:
            mixed.step(self._optimizer)
        else:
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

    def _measure(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of rows, summed (0-d), and predictions for them (b, outputs)."""
        scores = self._model(features)
        of_classes = self._problem.loss.name == "cross_entropy"
        loss = self._loss(scores, targets.long() if of_classes else targets)
        elements = targets.numel() if self._problem.reduction == "mean" else 1
        return loss * elements, losses.predictions(self._problem, scores)

    def _take(self, which: batches.Which) -> tuple[Tensor, Tensor]:
        rows = which if isinstance(which, slice) else to_tensor(which, self._problem.device)
        return self._features[rows], self._targets[rows]


def _start(parameters: Mapping[str, Tensor], given: Mapping[str, NDArray[np.floating]]) -> None:
    """Let parameters start with what is given; one number fills a whole parameter.

    Raises:
        CannotTrain: they do not fit; only of an installed module that could not be known before.
    """
    for name, value in given.items():
        if name not in parameters:
            there = ", ".join(parameters)
            raise CannotTrain(f"initial_parameters has {name!r}, which the model has not; it has {there}")
        if value.shape not in ((), parameters[name].shape):
            is_, has_to_be = list(value.shape), list(parameters[name].shape)
            what = f"is {is_} in initial_parameters; it has to be {has_to_be}, or [] for one value"
            raise CannotTrain(f"{name} {what}")
        parameters[name].data.copy_(to_tensor(value, "cpu"))
