"""Gradients of trainers compared, as values.

Differences are relative: the largest difference of an element, divided by the largest magnitude of an element
of that parameter's gradients; 0 where all are 0. Where the gradient is as good as zero, they compare rounding
errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstream.spec import Spec


@dataclass(frozen=True, slots=True, eq=False)
class ParameterGradient:
    """The gradient by one parameter."""

    shape: tuple[int, ...]
    difference: float
    """The largest between two trainers, over all elements."""
    elements: NDArray[np.int64]
    """(k), rising: the elements that follow, by position from 0 in row-major order; all of them, or some."""
    finite_differences: NDArray[np.float64]
    """(k): of the loss, in float64."""
    values: Mapping[str, NDArray[np.float64]]
    """By trainer, (k): what it has."""
    finite_difference_errors: Mapping[str, float]
    """By trainer: how far that is from the finite differences."""


@dataclass(frozen=True, slots=True, eq=False)
class GradientCheck:
    """How far apart the gradients of the trainers are, of one batch at the same start."""

    spec: Spec
    """The spec with every field set."""
    rows: int
    """Of the batch."""
    trainers: tuple[str, ...]
    """Those that were compared."""
    left_out: Mapping[str, str]
    """Those that were not, and why."""
    parameters: Mapping[str, ParameterGradient]

    @property
    def difference(self) -> float:
        """The largest difference between two trainers, over all parameters."""
        return max(each.difference for each in self.parameters.values())

    @property
    def finite_difference_error(self) -> float:
        """The largest difference of a trainer from the finite differences, over all parameters."""
        return max(max(each.finite_difference_errors.values()) for each in self.parameters.values())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import gradient_check_html

        return gradient_check_html(self)
