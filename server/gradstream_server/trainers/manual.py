"""The gradient derived by hand.

With n rows of d features, X (n, d), t targets, Y (n, t), and a weight W (t, d), the squared error

    S = sum over i, k of R[i, k]^2,   where R = X W' - Y   is the residual (n, t).

R[i, k] depends on W[k, j] through X[i, j] alone, so by the chain rule

    dS/dW[k, j] = sum over i of 2 R[i, k] X[i, j],   which is   dS/dW = 2 R' X   (t, d).

The bias is the weight of one more feature that is always 1: a column of ones in X. The mean squared error
is S / (n t), and its gradient is 2 R' X / (n t).

Of a logistic model Y (n, 1) is 0 or 1, P = 1 / (1 + exp(-X W')) the probability of 1, and the log loss

    S = sum over i of log(1 + exp(Z[i])) - Y[i] Z[i],   where Z = X W'.

The derivative of log(1 + exp(z)) is 1 / (1 + exp(-z)), so dS/dZ = P - Y, and with the chain rule as above
dS/dW = (P - Y)' X. Weights of classes multiply a row's part of both.

With momentum an update does not take the gradient G itself, but a decaying sum of all gradients so far, the
velocity V (Sutskever et al., On the importance of initialization and momentum, 2013, in the form that
torch.optim.SGD has):

    V <- momentum V + (1 - dampening) G,   W <- W - learning_rate V,

where the first gradient is taken whole; with Nesterov's look ahead W <- W - learning_rate (G + momentum V).

Written once against the array API standard (https://data-apis.org/array-api): the arrays are NumPy's on the
CPU and the device's elsewhere. This file needs no torch.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from gradstream_server.trainers import batches, schedules, states, sufficient_statistics
from gradstream_server.trainers.devices import to_device, to_numpy
from gradstream_server.trainers.problem import Array, Parameters, Problem, State
from gradstream_server.trainers.validation import ValidationRows


class ManualTrainer:
    """A linear or logistic model trained with the gradient written out."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._features = to_device(problem.features, problem.device)  # (n, d)
        self._targets = to_device(problem.targets, problem.device)  # (n, t)
        self._xp = array_namespace(self._features)

        (rows, features), targets = problem.features.shape, problem.targets.shape[1]
        dtype = problem.features.dtype
        ones = np.broadcast_to(dtype.type(1), (rows, 1))
        self._ones = to_device(ones, problem.device) if problem.intercept else None  # (n, 1)
        weight = problem.initial.get("weight", np.zeros((targets, features), dtype))
        bias = problem.initial.get("bias", np.zeros(targets, dtype))
        if problem.intercept:
            weight = np.concatenate((weight, bias[:, np.newaxis]), axis=1)
        # Training on the few rows that stand for the data is in float64, whatever the dtype of the data.
        self._condensed = sufficient_statistics.cheaper(problem)
        weight = np.array(weight, np.float64 if self._condensed else dtype, order="C")
        # (t, d), or (t, d + 1) with the bias as last column. An update makes a new array, so whoever holds
        # this one may keep it.
        self._weight = to_device(weight, problem.device)
        self._class_weights = problem.loss.options.get("class_weights")

        options = problem.optimizer.options
        # What is added to the gradient for each weight of 1: weight decay, and l2 but for the bias.
        decay = np.full(weight.shape[1], options["weight_decay"] + problem.l2, dtype)
        decay[features:] = options["weight_decay"]
        self._decay = to_device(decay, problem.device) if decay.any() else None  # (d) or (d + 1)
        self._momentum = options["momentum"]
        self._velocity: Array | None = None  # as the weight; None before the first update

        self._learning_rate = problem.learning_rate
        self._schedule = schedules.of(problem)
        self._after = 0
        self._validation = ValidationRows(problem, to_device)

    def parameters(self) -> Parameters:
        """The weight (t, d) and, with an intercept, the bias (t)."""
        weight = self._weight
        if self._condensed:
            weight = self._xp.astype(weight, self._targets.dtype)
        if not self._problem.intercept:
            return {"weight": weight}
        features = self._problem.features.shape[1]
        return {"weight": weight[:, :features], "bias": weight[:, features]}

    @np.errstate(over="ignore")
    def predict(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Predictions (n, t), or probabilities (n, 1), for features (n, d)."""
        return to_numpy(self._predictions(self._scores(to_device(features, self._problem.device))))

    @np.errstate(over="ignore", invalid="ignore")
    def validate(self) -> tuple[float, NDArray[np.floating]]:
        """The mean loss of the validation rows, and predictions (m, t), or probabilities (m, 1), for them."""
        return self._validation.measured(self._measure)

    def state(self) -> State:
        """The weight (t, d), or (t, d + 1) with the bias as last column; float64 on condensed rows.

        With momentum the velocity too, in the same shape, and what the schedule keeps.
        """
        velocity = {} if self._velocity is None else {"velocity": self._velocity}
        return states.copied({"weight": self._weight, **velocity, **schedules.state_of(self._schedule)})

    def resume(self, epoch: int, state: State) -> None:
        """Be where a trainer of the same problem was after `epoch`; ValueError if the state does not fit."""
        velocity = {"velocity": to_numpy(self._weight)} if self._momentum and epoch else {}
        fitting = states.fitting(state, {**self.state(), **velocity})
        self._weight = to_device(fitting["weight"], self._problem.device)
        if velocity:
            self._velocity = to_device(fitting["velocity"], self._problem.device)
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
            loss = self._epoch(epoch) / elements
            if schedule:
                schedule.heed(loss)
            yield loss

    # Numbers that grow out of range show in the loss, which is then infinite or NaN.
    @np.errstate(over="ignore", invalid="ignore")
    def _epoch(self, epoch: Iterable[batches.Batch]) -> Array:
        """Update once for each batch; the squared error or log loss of the epoch, summed (0-d)."""
        learning_rate, mean = self._learning_rate, self._problem.reduction == "mean"
        plain = not self._momentum and self._decay is None and self._problem.clipping.name == "none"
        logistic = self._problem.loss.name == "log_loss"
        total = 0.0
        for features, targets, elements in epoch:
            weight = self._weight
            if logistic:
                loss, slope = self._log_loss(features @ weight.T, targets)  # P - Y (b, 1)
                product, factor = slope.T @ features, 1 / elements if mean else 1
            else:
                residual = features @ weight.T - targets  # R (b, t)
                loss = self._square(residual)
                # The gradient is 2 R' X, or 2 R' X / (b t).
                product, factor = residual.T @ features, 2 / elements if mean else 2
            total = total + loss
            if plain:
                self._weight = weight - learning_rate * factor * product
            else:
                self._weight = weight - learning_rate * self._direction(factor * product)
        return total

    def _log_loss(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        """The log loss of scores Z (b, 1), summed (0-d), and its derivative by them (b, 1)."""
        xp = self._xp
        losses = xp.logaddexp(xp.zeros_like(scores), scores) - targets * scores
        slope = self._probability(scores) - targets
        if self._class_weights:
            first, second = self._class_weights
            weights = first + (second - first) * targets
            losses, slope = weights * losses, weights * slope
        return xp.sum(losses), slope

    def _probability(self, scores: Array) -> Array:
        return 1 / (1 + self._xp.exp(-scores))

    def _direction(self, gradient: Array) -> Array:
        """What the update takes off in place of the gradient, as the weight; but for the learning rate."""
        options, clipping = self._problem.optimizer.options, self._problem.clipping
        if clipping.name == "norm":
            length = self._xp.sqrt(self._square(gradient)) + 1e-6  # as torch has it
            gradient = gradient * self._xp.clip(clipping.options["max_norm"] / length, max=1)
        elif clipping.name == "value":
            bound = clipping.options["max_value"]
            gradient = self._xp.clip(gradient, -bound, bound)
        if self._decay is not None:
            gradient = gradient + self._decay * self._weight
        if not self._momentum:
            return gradient
        if self._velocity is None:
            self._velocity = gradient
        else:
            self._velocity = self._momentum * self._velocity + (1 - options["dampening"]) * gradient
        return gradient + self._momentum * self._velocity if options["nesterov"] else self._velocity

    def _square(self, residual: Array) -> Array:
        """The sum of squares of all elements (0-d)."""
        elements = self._xp.reshape(residual, (-1,))
        return self._xp.vecdot(elements, elements)

    def _measure(self, features: Array, targets: Array) -> tuple[Array, Array]:
        """The loss of rows, summed (0-d), and predictions for them (b, t)."""
        scores = self._scores(features)
        if self._problem.loss.name == "log_loss":
            loss, _ = self._log_loss(scores, targets)
        else:
            loss = self._square(scores - targets)
        return loss, self._predictions(scores)

    def _scores(self, features: Array) -> Array:
        """X W' + b: the predictions of a linear model, (b, t)."""
        parameters = self.parameters()
        scores = features @ parameters["weight"].T
        return scores + parameters["bias"] if "bias" in parameters else scores

    def _predictions(self, scores: Array) -> Array:
        return self._probability(scores) if self._problem.loss.name == "log_loss" else scores

    def _take(self, which: batches.Which) -> tuple[Array, Array]:
        """Features (b, d), or (b, d + 1) with the column of ones, and targets (b, t)."""
        if self._condensed:
            # The squared error and its gradient are the same over far fewer rows, and so is all that follows.
            return sufficient_statistics.condense(self._features, self._targets, self._ones)
        if isinstance(which, slice):
            features, targets = self._features[which, :], self._targets[which, :]
        else:
            rows = to_device(which, self._problem.device)
            features = self._xp.take(self._features, rows, axis=0)
            targets = self._xp.take(self._targets, rows, axis=0)
        if self._ones is not None:
            features = self._xp.concat((features, self._ones[: features.shape[0], :]), axis=1)
        return features, targets
