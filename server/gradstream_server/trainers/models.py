"""The models of the module trainer: gradstream's own, and those that are installed beside."""

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from gradstream_server.trainers import plugins
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.problem import Problem

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}
_TAKEN = ("optimizer", "schedule", "mixed_precision")
"""What names begin with in the state of a trainer, beside those of the model."""


def build(problem: Problem, dtype: torch.dtype) -> nn.Module:
    """The model of a problem, from features (n, d) to scores (n, outputs), drawn from torch's generator.

    Its parameters have the names and shapes that shapes.py tells: "weight" and "bias" of a single layer,
    "0.weight" and so on of several. Those of an installed module are its own.

    Raises:
        CannotTrain, ValueError: an installed module is not there any more, or not what it has to be.
        Exception: whatever else its code raises.
    """
    size, options = problem.features.shape[1], problem.model.options
    if is_plugin(problem.model):
        model = _installed(problem, dtype)
    elif problem.model.name == "mlp":
        layers: list[nn.Module] = []
        for wider in options["hidden"]:
            layers.append(nn.Linear(size, wider, problem.intercept, dtype=dtype))
            if options["normalization"] == "layer":
                layers.append(nn.LayerNorm(wider, dtype=dtype))
            layers.append(_ACTIVATIONS[options["activation"]]())
            if options["dropout"]:
                layers.append(nn.Dropout(options["dropout"]))
            size = wider
        model = nn.Sequential(*layers, nn.Linear(size, problem.outputs, problem.intercept, dtype=dtype))
    else:
        model = nn.Linear(size, problem.outputs, problem.intercept, dtype=dtype)
    if problem.initialization.name != "default":
        draw: Callable[..., Tensor] = getattr(nn.init, f"{problem.initialization.name}_")
        for weight in weights(model):
            draw(weight, **problem.initialization.options)
    return model


def weights(model: nn.Module) -> list[Tensor]:
    """The matrices that a model learns: what `l2` and initialization are for."""
    return [parameter for parameter in model.parameters() if parameter.ndim > 1 and parameter.requires_grad]


def told(model: nn.Module) -> dict[str, Tensor]:
    """What a model is, by name: its parameters, and numbers that it keeps beside, such as running means."""
    everything: dict[str, Any] = model.state_dict(keep_vars=True)
    return {name: value for name, value in everything.items() if _is_floating(value)}


def kept(model: nn.Module) -> dict[str, Tensor]:
    """All that a model has kept from update to update: its parameters and buffers."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _installed(problem: Problem, dtype: torch.dtype) -> nn.Module:
    """An installed module, if it is what it has to be as far as can be seen before it trains."""
    features, outputs = problem.features.shape[1], problem.outputs

    def check(_model: nn.Module, given: tuple[Tensor], made: object) -> None:
        rows = len(given[0])
        if not _is_floating(made):
            raise ValueError(
                f"forward gives {type(made).__name__}, and has to give a tensor of decimal numbers"
            )
        if made.shape != (rows, outputs):
            wanted = f"({rows}, {outputs}), a number for each {'class' if problem.classes else 'target'}"
            raise ValueError(f"forward gives {tuple(made.shape)} for {rows} rows, and has to give {wanted}")

    model = plugins.build(problem.model, features, outputs)
    if not isinstance(model, nn.Module):
        raise ValueError(f"build gives {type(model).__name__}, and has to give an nn.Module")
    model.to(dtype)
    model.register_forward_hook(check)
    model.eval()
    with torch.no_grad():
        model(torch.zeros(2, features, dtype=dtype))  # Lazy modules know their shapes from here on.
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("the module has no parameters that could be trained")
    for name, value in told(model).items():
        if not value.isfinite().all():
            what = "numbers that are not finite; register such a buffer with persistent=False"
            raise ValueError(f"{name} holds {what}")
    for name in kept(model):
        if name.partition(".")[0] in _TAKEN:
            raise ValueError(
                f"{name} cannot be told from what training keeps; give the attribute another name"
            )
    return model


def _is_floating(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()
