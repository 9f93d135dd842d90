"""The layers of the models that are gradstream's own, with their parameters by torch's names and shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from gradstream.bundle.faults import damaged
from gradstream.spec import Part

Shapes: TypeAlias = dict[str, tuple[int, ...]]

LOSSES = {
    "linear": ("mse", "l1", "huber"),
    "logistic": ("log_loss",),
    "softmax": ("cross_entropy",),
    "mlp": ("mse", "l1", "huber", "log_loss", "cross_entropy"),
}
"""The models that are gradstream's own, with the losses that each can have."""
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu")
_MOST_LAYERS, _WIDEST = 100, 65_536


@dataclass(frozen=True, slots=True)
class Linear:
    """x W' + b."""

    name: str
    """What its parameters' names begin with: "" or "0.", "2." and so on."""
    inputs: int
    outputs: int
    has_bias: bool

    @property
    def shapes(self) -> Shapes:
        """Of its parameters."""
        weight: Shapes = {f"{self.name}weight": (self.outputs, self.inputs)}
        return weight | ({f"{self.name}bias": (self.outputs,)} if self.has_bias else {})


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + 1e-5) of each row, times weight, plus bias: `nn.LayerNorm`."""

    name: str
    size: int

    @property
    def shapes(self) -> Shapes:
        """Of its parameters."""
        return {f"{self.name}weight": (self.size,), f"{self.name}bias": (self.size,)}


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of each number, one of ACTIVATIONS."""

    kind: str

    @property
    def shapes(self) -> Shapes:
        """Of its parameters, of which it has none."""
        return {}


Layer: TypeAlias = Linear | LayerNorm | Activation


def layers_of(model: Part, features: int, outputs: int, intercept: bool) -> tuple[Layer, ...]:
    """The layers of one of gradstream's own models, from the features to its scores.

    Raises:
        BundleError: its options are none that such a model has.
    """
    if model.name != "mlp":
        return (Linear("", features, outputs, intercept),)
    hidden, activation = model.options.get("hidden"), model.options.get("activation")
    normalization, dropout = model.options.get("normalization"), model.options.get("dropout")
    if not isinstance(hidden, Sequence) or not 1 <= len(hidden) <= _MOST_LAYERS:
        raise damaged("model.options.hidden", f"has to be a list of 1 to {_MOST_LAYERS} sizes of layers")
    if activation not in ACTIVATIONS:
        raise damaged("model.options.activation", f"has to be one of {', '.join(ACTIVATIONS)}")
    if normalization not in ("none", "layer"):
        raise damaged("model.options.normalization", 'has to be "none" or "layer"')
    if type(dropout) not in (int, float) or not 0 <= float(str(dropout)) < 1:
        raise damaged("model.options.dropout", "has to be a number from 0 to below 1")
    layers: list[Layer] = []
    place, size = 0, features
    for i, wider in enumerate(hidden):
        if type(wider) is not int or not 1 <= wider <= _WIDEST:
            raise damaged(f"model.options.hidden[{i}]", f"has to be a whole number from 1 to {_WIDEST}")
        layers.append(Linear(f"{place}.", size, wider, intercept))
        if normalization == "layer":
            layers.append(LayerNorm(f"{place + 1}.", wider))
        layers.append(Activation(str(activation)))
        # Dropout does nothing once trained, but has a place in torch's numbering.
        place, size = place + 2 + (normalization == "layer") + bool(dropout), wider
    return (*layers, Linear(f"{place}.", size, outputs, intercept))


def shapes_of(layers: Sequence[Layer]) -> Shapes:
    """The parameters of layers, in torch's order."""
    return {name: shape for layer in layers for name, shape in layer.shapes.items()}


def count(shapes: Shapes) -> int:
    """Numbers that the parameters are."""
    return sum(prod(shape) for shape in shapes.values())
