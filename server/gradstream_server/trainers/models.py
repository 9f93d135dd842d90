"""The models of the module trainer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

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


def build(problem: Problem, dtype: torch.dtype) -> nn.Module:
    """The model of a problem, from features (n, d) to scores (n, outputs), drawn from torch's generator.

    Its parameters have the names and shapes that shapes.py tells: "weight" and "bias" of a single layer,
    "0.weight" and so on of several.
    """
    size, options = problem.features.shape[1], problem.model.options
    if problem.model.name == "mlp":
        layers: list[nn.Module] = []
        for wider in options["hidden"]:
            layers.append(nn.Linear(size, wider, problem.intercept, dtype=dtype))
            if options["normalization"] == "layer":
                layers.append(nn.LayerNorm(wider, dtype=dtype))
            layers.append(_ACTIVATIONS[options["activation"]]())
            if options["dropout"]:
                layers.append(nn.Dropout(options["dropout"]))
            size = wider
        model: nn.Module = nn.Sequential(
            *layers, nn.Linear(size, problem.outputs, problem.intercept, dtype=dtype)
        )
    else:
        model = nn.Linear(size, problem.outputs, problem.intercept, dtype=dtype)
    if problem.initialization.name != "default":
        draw: Callable[..., Tensor] = getattr(nn.init, f"{problem.initialization.name}_")
        for weight in weights(model):
            draw(weight, **problem.initialization.options)
    return model


def weights(model: nn.Module) -> list[Tensor]:
    """The matrices of a model: what `l2` and initialization are for."""
    return [parameter for parameter in model.parameters() if parameter.ndim > 1]
