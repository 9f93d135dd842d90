"""Predictions of a bundle with NumPy: the forward pass of gradstream's own models."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream.bundle.architecture import Activation, Layer, Linear, layers_of
from gradstream.bundle.bundle import Bundle
from gradstream.bundle.encoding import Encoder
from gradstream.bundle.faults import refused
from gradstream.bundle.functions import ACTIVATIONS, Floats, layer_norm, sigmoid, softmax
from gradstream.bundle.table import Rows
from gradstream.errors import FailedPreconditionError

_MOST_NUMBERS = 1 << 20
"""Between two layers: many rows go through them piece by piece, in memory that does not grow with them."""


class Predictor:
    """Computes what a bundle predicts, with all prepared that does not depend on the rows.

    Features are encoded and scaled in float64, as before training, and only then converted to `dtype`.
    """

    def __init__(self, bundle: Bundle, dtype: str | None = None) -> None:
        """
        Args:
            dtype: the precision to compute in, "float32" or "float64". Default: that of training.

        Raises:
            InvalidArgumentError: another dtype.
            FailedPreconditionError: the model is an installed module, which NumPy cannot compute.
        """
        dtype = dtype or bundle.dtype
        if dtype not in ("float32", "float64"):
            raise refused(None, f"cannot be computed in {dtype}; dtype has to be float32 or float64")
        if bundle.is_plugin:
            raise FailedPreconditionError(
                f"the model is {bundle.model.name!r}, an installed module, which cannot predict without its "
                "code: ask a server that has it installed, or load the parameters into the module itself",
                code="FAILED_PRECONDITION",
                reason="MODULE_NOT_LOCAL",
            )
        self._bundle = bundle
        self._dtype = np.dtype(dtype)
        self._encoder = Encoder(bundle)
        layers = layers_of(bundle.model, len(bundle.features), bundle.outputs, bundle.intercept)
        self._layers = [self._step(layer) for layer in layers]
        widest = max(layer.outputs for layer in layers if isinstance(layer, Linear))
        self._rows_at_once = max(1, _MOST_NUMBERS // widest)

    def predict(self, rows: Rows) -> Floats:
        """As `Bundle.predict`."""
        return self.predict_encoded(self._encoder.encode(rows))

    def classify(self, rows: Rows) -> NDArray[Any]:
        """As `Bundle.classify`."""
        if not self._bundle.classes:
            raise refused(None, "cannot be classified: the model predicts numbers; use predict")
        return classes_of(self._bundle, self.predict(rows))

    def scores(self, rows: Rows) -> Floats:
        """What the last layer gives, shape (rows, outputs): predictions of numbers, and what probabilities of
        classes are computed from. Rows and errors as those of `Bundle.predict`."""
        return self._scores(self._encoder.encode(rows))

    # Numbers that grow out of range show in the predictions.
    @np.errstate(over="ignore", invalid="ignore")
    def predict_encoded(self, features: Floats) -> Floats:
        """Predictions for features (rows, features), encoded and finite, in the data's own units."""
        scores = self._scores(features)
        if self._bundle.loss.name == "log_loss":
            return sigmoid(scores)
        return softmax(scores) if self._bundle.loss.name == "cross_entropy" else scores

    @np.errstate(over="ignore", invalid="ignore")
    def _scores(self, features: Floats) -> Floats:
        numbers = scaled(self._bundle, features, self._dtype)
        if len(numbers) <= self._rows_at_once:
            return self._forward(numbers)
        starts = range(0, len(numbers), self._rows_at_once)
        return np.concatenate([self._forward(numbers[i : i + self._rows_at_once]) for i in starts])

    def _forward(self, numbers: Floats) -> Floats:
        for layer in self._layers:
            numbers = layer(numbers)
        return numbers

    def _step(self, layer: Layer) -> Callable[[Floats], Floats]:
        if isinstance(layer, Activation):
            return ACTIVATIONS[layer.kind]
        weight, bias = self._parameter(f"{layer.name}weight"), self._parameter(f"{layer.name}bias")
        if isinstance(layer, Linear):
            return partial(_linear, weight=np.ascontiguousarray(weight.T), bias=bias)
        return partial(layer_norm, weight=weight, bias=bias)

    def _parameter(self, name: str) -> Any:
        value = self._bundle.parameters.get(name)
        return None if value is None else value.astype(self._dtype, copy=False)


def scaled(bundle: Bundle, features: Floats, dtype: np.dtype[Any]) -> Floats:
    """What a model is given: features (rows, features) as it has learnt from them, in its precision.

    Raises:
        InvalidArgumentError: a number is too large for it.
    """
    scaling = bundle.scaling
    wide = (features - scaling.mean) / scaling.scale if scaling else features
    with np.errstate(over="ignore"):
        numbers = wide.astype(dtype, copy=False)
    if numbers.dtype != wide.dtype and not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        name = bundle.features[column]
        what = f"row {row + 1} holds {features[row, column]} in {name!r}, too large for {dtype}"
        raise refused(name, what)
    return numbers


def classes_of(bundle: Bundle, predictions: Floats) -> NDArray[Any]:
    """The most probable class of each row (rows), of what a model of classes predicts."""
    several = bundle.loss.name == "cross_entropy"
    numbers = predictions.argmax(axis=1) if several else (predictions[:, 0] > 0.5).astype(np.intp)
    labels: NDArray[Any] = np.array(bundle.classes)[numbers]
    return labels


def _linear(x: Floats, weight: Floats, bias: Floats | None) -> Floats:
    """x (n, d) times weight (d, t), plus bias (t)."""
    result: Floats = x @ weight
    return result if bias is None else result + bias
