"""The functions of models, as torch computes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# W. J. Cody, Rational Chebyshev Approximations for the Error Function, 1969: numerators and denominators,
# from the highest power on, of erf(x) / x in x^2 to 0.47, of erfc(x) exp(x^2) in x to 4, and beyond of what
# that differs by from 1 / (sqrt(pi) x).
ERF_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
ERF_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
ERF_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip


def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The error function, to 1e-15: NumPy has none."""
    size = np.minimum(np.abs(x), 6.0)  # beyond, it is 1
    square = size * size
    inner = size * _ratio(ERF_SMALL, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / square
        tail = inverse * _ratio(ERF_LARGE, inverse)
        far = (1 / np.sqrt(np.pi) - tail) / size
        outer = 1 - np.exp(-square) * np.where(size <= 4, _ratio(ERF_MIDDLE, size), far)
    return np.copysign(np.where(size <= 0.46875, inner, outer), x)


def _ratio(
    polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    above, below = (np.polyval(np.array(coefficients), x) for coefficients in polynomials)
    result: NDArray[np.float64] = above / below
    return result


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):
        result: Floats = 1 / (1 + np.exp(-x))
    return result


def softmax(x: Floats) -> Floats:
    """exp(x) by its sum over each row (n, k)."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result


def layer_norm(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """Rows (n, d) of mean 0 and variance 1, times weight (d), plus bias (d)."""
    distance = x - x.mean(axis=1, keepdims=True)
    variance = np.square(distance).mean(axis=1, keepdims=True)
    result: Floats = distance / np.sqrt(variance + x.dtype.type(1e-5)) * weight + bias
    return result


def _gelu(x: Floats) -> Floats:
    precise = x.astype(np.float64)
    return (precise / 2 * (1 + erf(precise / np.sqrt(2)))).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "gelu": _gelu,
    "silu": lambda x: x * sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x: np.where(x > 0, x, x * x.dtype.type(0.01)),
}
"""With the slopes that torch has by default."""
