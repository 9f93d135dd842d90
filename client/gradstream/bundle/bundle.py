"""A trained model as a value: all that is needed to predict, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gradstream.bundle.architecture import LOSSES
from gradstream.events import FloatArray, Receipt, Scaling
from gradstream.spec import JsonValue, Part

if TYPE_CHECKING:
    from gradstream.bundle.predictor import Predictor
    from gradstream.bundle.table import Rows

Value: TypeAlias = str | int | bool
"""A class or a category."""


@dataclass(frozen=True, slots=True)
class InputColumn:
    """A column of a table that the model learnt from."""

    name: str
    categories: tuple[Value, ...] = ()
    """Of a column that is encoded as one feature for each of its values: these, text or whole numbers, in
    order. Empty for a column of numbers, which is a feature as it is."""
    mean: float | None = None
    """What stands in for a missing number, with `nulls` "mean"."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bundle comes from. Empty, or 0, what is not known."""

    name: str = ""
    """Of the model, such as "house-prices"."""
    version: int = 0
    """Of the model of that name, from 1."""
    job: str = ""
    """The job that trained it."""
    gradstream: str = ""
    """The version of gradstream that wrote the bundle."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle:
    """A trained model. `gradstream.load` reads one, `predict` asks it, `save` writes it.

    Raises:
        BundleError: its parts do not go together.
    """

    model: Part
    """What was trained, with all its options."""
    loss: Part
    """What was made small; it decides whether predictions are numbers or probabilities of classes."""
    intercept: bool
    """Whether layers have a bias."""
    dtype: Literal["float32", "float64"]
    """The precision of training, and of the parameters."""
    parameters: Mapping[str, FloatArray]
    """The parameters as trained, for scaled features, by torch's names and in its order."""
    features: tuple[str, ...]
    """The names of the features in order, after the encoding of columns."""
    targets: tuple[str, ...]
    columns: tuple[InputColumn, ...]
    """The columns that rows have, in order, each one feature or several. Without encoded ones they are the
    features."""
    nulls: Literal["error", "drop", "mean"] = "error"
    """What was done about missing values. With "mean" that is done in rows to predict too; otherwise
    such rows are refused."""
    scaling: Scaling | None = None
    """How features are scaled; None when they are not."""
    classes: tuple[Value, ...] = ()
    """The classes in the order of their numbers; empty where the targets are numbers."""
    receipt: Receipt
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What training reached, such as "final_loss"."""
    spec: Mapping[str, JsonValue] = field(default_factory=dict)
    """The resolved spec of the job as the contract's JSON has it: enough to train it again."""
    origin: Origin = Origin()

    def __post_init__(self) -> None:
        from gradstream.bundle.checking import check

        check(self)

    @property
    def is_plugin(self) -> bool:
        """Whether the model is an installed module, which only a server that has it can ask."""
        return self.model.name not in LOSSES

    @property
    def outputs(self) -> int:
        """Numbers that a prediction is: one for each target, or the probability of each class; of two classes
        with log_loss that of the second alone."""
        return len(self.classes) if self.loss.name == "cross_entropy" else len(self.targets)

    def predict(self, rows: Rows, dtype: DTypeLike | None = None) -> NDArray[np.floating[Any]]:
        """Predictions (rows, targets); of a model of classes probabilities: of the second class (rows, 1)
        with `log_loss`, of each (rows, classes) with `cross_entropy`.

        Args:
            rows: in the data's own units. Columns by name: a mapping, a list of mappings, a table of pandas,
                polars or pyarrow; columns that the model does not know are ignored. Or a matrix: of numbers
                (rows, features), encoded, or of values (rows, columns), in the order of `columns`. A flat
                list is one row, or one row a number where there is one feature.
            dtype: the precision to compute in, float32 or float64. Default: that of training, so that
                predictions are those of the server.

        Raises:
            InvalidArgumentError: rows that the model cannot be asked: columns missing, of another type,
                values missing or not finite, or a category that is none of those it learnt from.
            FailedPreconditionError: the model is an installed module, which NumPy cannot compute.
        """
        return self.predictor(dtype).predict(rows)

    def classify(self, rows: Rows, dtype: DTypeLike | None = None) -> NDArray[Any]:
        """The most probable class of each row, shape (rows), as `classes` has it. Arguments and errors as
        those of `predict`; InvalidArgumentError also for a model of numbers."""
        return self.predictor(dtype).classify(rows)

    def predictor(self, dtype: DTypeLike | None = None) -> Predictor:
        """What computes predictions, prepared once. Safe to use from several threads.

        Raises:
            InvalidArgumentError: the dtype is neither float32 nor float64.
            FailedPreconditionError: the model is an installed module.
        """
        from gradstream.bundle.predictor import Predictor

        wanted = np.dtype(self.dtype if dtype is None else dtype).name
        if wanted not in self._predictors:
            self._predictors[wanted] = Predictor(self, wanted)
        return self._predictors[wanted]

    @cached_property
    def _predictors(self) -> dict[str, Predictor]:
        return {}

    @property
    def parameters_in_own_units(self) -> Mapping[str, FloatArray]:
        """The parameters for features that are not scaled: what `initial_parameters` takes."""
        # What those of an installed module have to do with units only it knows.
        if self.scaling is None or self.is_plugin:
            return self.parameters
        # From w (x - mean) / scale + b. Of several layers it is the first that changes.
        own = {name: value.astype(np.float64) for name, value in self.parameters.items()}
        weight = next(iter(own))
        bias = weight.removesuffix("weight") + "bias"
        own[weight] = own[weight] / self.scaling.scale
        if bias in own:
            own[bias] = own[bias] - own[weight] @ self.scaling.mean
        return own

    def __getstate__(self) -> dict[str, Any]:
        # What is prepared holds functions, which are not for pickle; it is prepared anew.
        return {name: value for name, value in vars(self).items() if name != "_predictors"}

    def to_bytes(self) -> bytes:
        """The bundle as a zip archive; the same bundle gives the same bytes."""
        from gradstream.bundle.writing import archive

        return archive(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle as a zip archive. OSError when that is not possible."""
        Path(path).write_bytes(self.to_bytes())

    def __repr__(self) -> str:
        named = f" {self.origin.name} version {self.origin.version}" if self.origin.name else ""
        return f"<Bundle{named}: {self.model.name}, {len(self.features)} features, {self.dtype}>"
