"""Scaling of features to mean 0 and standard deviation 1."""

from collections.abc import Iterable, Mapping
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
        return cls.gather([columns], columns.min(axis=0), columns.max(axis=0), intercept)

    @classmethod
    def gather(
        cls,
        blocks: Iterable[NDArray[np.float64]],
        lowest: NDArray[np.float64],
        highest: NDArray[np.float64],
        intercept: bool,
    ) -> Self:
        """The same of rows that come in blocks (b, features), with bounds (features,) on each column.

        Blocks are put together as in Chan, Golub, LeVeque: Computing the Sample Variance, 1983.

        Raises:
            ValueError: there are no rows.
        """
        # The computed deviation of a constant column may be a rounding error instead of 0. To divide by half
        # the range first keeps the squares of huge and tiny values from overflowing and underflowing.
        half_range = highest / 2 - lowest / 2
        constant = half_range < np.finfo(np.float64).tiny
        unit = np.where(constant, 1.0, half_range)
        middle = lowest / 2 + highest / 2
        rows, mean, squares = 0, np.zeros_like(lowest), np.zeros_like(lowest)
        for block in blocks:
            relative = (block - middle) / unit  # (b, d), within -1 and 1
            count, own_mean = len(block), relative.mean(axis=0)
            distance = own_mean - mean
            squares += ((relative - own_mean) ** 2).sum(axis=0) + distance**2 * (
                rows * count / (rows + count)
            )
            mean += distance * (count / (rows + count))
            rows += count
        if not rows:
            raise ValueError("there are no rows to learn a scaling from")
        deviation = np.sqrt(squares / rows)
        # Rows that were left out may have been all that differed.
        constant |= deviation == 0
        scale = np.where(constant, 1.0, deviation * unit)
        center = middle + mean * unit
        return cls(center if intercept else np.zeros_like(center), scale)

    def apply(self, features: Floats) -> NDArray[np.float64]:
        """Features (rows, features) in scaled units."""
        return np.asarray((features - self.mean) / self.scale, dtype=np.float64)

    def to_scaled(self, parameters: Mapping[str, Floats]) -> dict[str, NDArray[np.float64]]:
        """Parameters for scaled features that predict what these predict for features in their own units.

        From w x + b = (w scale) (x - mean) / scale + (b + w mean). "weight" is (targets, features), "bias"
        (targets,); of several layers it is the first that changes. Without a bias the mean is 0. A bias alone
        is left as it is: that of a weight of 0.
        """
        scaled = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
        weight, bias = _first_layer(scaled)
        if weight in scaled:
            if bias in scaled:
                scaled[bias] = scaled[bias] + scaled[weight] @ self.mean
            scaled[weight] = scaled[weight] * self.scale
        return scaled

    def to_own_units(self, parameters: Mapping[str, Floats]) -> dict[str, NDArray[np.float64]]:
        """The inverse of `to_scaled`."""
        own = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
        weight, bias = _first_layer(own)
        own[weight] = own[weight] / self.scale
        if bias in own:
            own[bias] = own[bias] - own[weight] @ self.mean
        return own


def _first_layer(parameters: Mapping[str, Floats]) -> tuple[str, str]:
    """Names of weight and bias of the layer that the features go into."""
    several = any("." in name for name in parameters)
    return ("0.weight", "0.bias") if several else ("weight", "bias")
