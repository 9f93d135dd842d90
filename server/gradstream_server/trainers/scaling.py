"""Scaling of features to mean 0 and standard deviation 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scaling:
    """The map from a feature x in its own units to the scaled (x - mean) / scale, learnt from training rows.

    Arithmetic is in float64 throughout; the caller converts to the training dtype.
    """

    mean: NDArray[np.float64]
    """(features,), in the units of each feature; 0 when the model has no intercept to absorb a shift."""
    scale: NDArray[np.float64]
    """(features,), in the units of each feature; above 0."""

    @classmethod
    def learn(cls, features: Floats, intercept: bool) -> Self:
        """Mean and standard deviation (divided by the number of rows) of each column of (rows, features).

        Without an intercept columns are only divided, by the standard deviation all the same. The scale of a
        constant column is 1.
        """
        columns = np.asarray(features, dtype=np.float64)
        # The computed deviation of a constant column may be a rounding error instead of 0. To divide by half
        # the range first keeps the squares of huge and tiny values from overflowing and underflowing.
        lowest, highest = columns.min(axis=0), columns.max(axis=0)
        half_range = highest / 2 - lowest / 2
        constant = half_range < np.finfo(np.float64).tiny
        unit = np.where(constant, 1.0, half_range)
        middle = lowest / 2 + highest / 2
        relative = (columns - middle) / unit  # (n, d), within -1 and 1
        scale = np.where(constant, 1.0, relative.std(axis=0) * unit)
        mean = np.where(constant, lowest, middle + relative.mean(axis=0) * unit)
        return cls(mean if intercept else np.zeros_like(mean), scale)

    def apply(self, features: Floats) -> NDArray[np.float64]:
        """Features (rows, features) in scaled units."""
        return np.asarray((features - self.mean) / self.scale, dtype=np.float64)

    def to_scaled(self, parameters: Mapping[str, Floats]) -> dict[str, NDArray[np.float64]]:
        """Parameters for scaled features that predict what these predict for features in their own units.

        From w x + b = (w scale) (x - mean) / scale + (b + w mean). "weight" is (targets, features), "bias"
        (targets,); without a bias the mean is 0. A bias alone is left as it is: that of a weight of 0.
        """
        if "weight" not in parameters:
            return {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
        weight = np.asarray(parameters["weight"], dtype=np.float64)
        scaled = {"weight": weight * self.scale}
        if "bias" in parameters:
            scaled["bias"] = np.asarray(parameters["bias"] + weight @ self.mean, dtype=np.float64)
        return scaled

    def to_own_units(self, parameters: Mapping[str, Floats]) -> dict[str, NDArray[np.float64]]:
        """The inverse of `to_scaled`."""
        weight = np.asarray(parameters["weight"], dtype=np.float64) / self.scale
        own = {"weight": weight}
        if "bias" in parameters:
            own["bias"] = np.asarray(parameters["bias"] - weight @ self.mean, dtype=np.float64)
        return own
