"""What a model is to be given and what it gives, as the Open Inference Protocol tells it."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstream.bundle import Bundle, InputColumn
from gradstream.bundle.faults import listed, nearest
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.models.tensor import DTYPES, TEXT, Tensor, TensorInfo

MATRIX = "features"
PREDICTIONS = "predictions"
CLASSES = "classes"

Rows: TypeAlias = "NDArray[Any] | dict[str, NDArray[Any]]"
"""A matrix, or columns by name: what a predictor takes."""
_NUMBERS = ", ".join(DTYPES)


class Signature:
    """The inputs and outputs of a model."""

    def __init__(self, bundle: Bundle) -> None:
        self._features = len(bundle.features)
        self._columns = {column.name: column for column in bundle.columns}
        self._is_encoded = any(column.categories for column in bundle.columns)
        # What is scaled is scaled in float64.
        numbers = "FP64" if bundle.scaling or bundle.dtype == "float64" else "FP32"
        self.inputs: tuple[TensorInfo, ...]
        """What clients are told to give: a matrix, or where columns are encoded each column."""
        if self._is_encoded:
            self.inputs = tuple(
                TensorInfo(column.name, _datatype(column, numbers), (-1, 1)) for column in bundle.columns
            )
        else:
            self.inputs = (TensorInfo(MATRIX, numbers, (-1, self._features)),)
        predictions = "FP64" if bundle.dtype == "float64" else "FP32"
        self.outputs: tuple[TensorInfo, ...] = (TensorInfo(PREDICTIONS, predictions, (-1, bundle.outputs)),)
        if bundle.classes:
            self.outputs += (TensorInfo(CLASSES, _kind(bundle.classes[0]), (-1, 1)),)

    def rows(self, inputs: Sequence[Tensor]) -> Rows:
        """The rows that inputs are: one matrix, or a column each.

        Raises:
            InvalidRequest: they are not what the model has to be given.
        """
        names = [tensor.name for tensor in inputs]
        if names == [MATRIX] and (len(self._columns) > 1 or MATRIX not in self._columns):
            return self._matrix(inputs[0])
        for i, tensor in enumerate(inputs):
            if tensor.name not in self._columns and tensor.name == MATRIX:
                what = f"is {MATRIX!r}, which is all columns in one, and comes alone; {self._asked()}"
                raise _refused(f"inputs[{i}].name", what)
            if tensor.name not in self._columns:
                what = f"is {tensor.name!r}, which is no input of this model"
                hint = nearest(tensor.name, [*self._columns, MATRIX])
                raise _refused(f"inputs[{i}].name", f"{what}{hint}; {self._asked()}")
            if tensor.name in names[:i]:
                raise _refused(f"inputs[{i}].name", f"is {tensor.name!r} for the second time")
        missing = [name for name in self._columns if name not in names]
        if missing:
            raise _refused("inputs", f"lack {listed(missing)}; {self._asked()}")
        columns = {tensor.name: self._column(i, tensor) for i, tensor in enumerate(inputs)}
        first = next(iter(columns))
        for i, (name, values) in enumerate(columns.items()):
            if len(values) != len(columns[first]):
                what = f"has {len(values)} rows, and {first!r} {len(columns[first])}; they have to be as many"
                raise _refused(f"inputs[{i}].shape", f"{what}: {name!r}" if not name.isidentifier() else what)
        return columns

    def wanted(self, names: Sequence[str]) -> tuple[str, ...]:
        """The outputs to give, in their order; all of them where none are named.

        Raises:
            InvalidRequest: the model has no such output, or it is named twice.
        """
        there = tuple(output.name for output in self.outputs)
        for i, name in enumerate(names):
            if name not in there:
                what = f"is {name!r}, which is no output of this model; there are {listed(there)}"
                raise _refused(f"outputs[{i}].name", what)
            if name in names[:i]:
                raise _refused(f"outputs[{i}].name", f"is {name!r} for the second time")
        return tuple(names) or there

    def _matrix(self, tensor: Tensor) -> NDArray[Any]:
        if tensor.datatype == TEXT:
            what = f"is {TEXT}, text; a matrix has to be numbers: {_NUMBERS}"
            raise _refused("inputs[0].datatype", what)
        shape = tensor.values.shape
        # A flat one is one row, or a row a number where there is one feature.
        if len(shape) in (1, 2) and (shape[-1] == self._features or (len(shape) == self._features == 1)):
            return tensor.values.reshape(-1, self._features)
        what = f"is {list(shape)}; it has to be [rows, {self._features}]"
        if self._is_encoded:
            what += ", of features that are encoded already; or give each column as an input of its own"
        raise _refused("inputs[0].shape", f"{what}: {listed(self._columns)}")

    def _column(self, i: int, tensor: Tensor) -> NDArray[Any]:
        column, values = self._columns[tensor.name], tensor.values
        if values.ndim not in (1, 2) or values.shape[1:] not in ((), (1,)):
            what = f"is {list(values.shape)}; a column, here {tensor.name!r}, has to be [rows] or [rows, 1]"
            raise _refused(f"inputs[{i}].shape", what)
        texts = column.categories and isinstance(column.categories[0], str)
        if texts and values.dtype.kind == "f" and np.isnan(values).all():
            return np.full(values.size, None, object)  # missing, of whatever type
        if texts and tensor.datatype != TEXT:
            what = f"is {tensor.datatype}; {tensor.name!r} holds text, as {TEXT}: {listed(column.categories)}"
            raise _refused(f"inputs[{i}].datatype", what)
        if tensor.datatype == TEXT and not column.categories:
            what = f"is {TEXT}, text; {tensor.name!r} has to be numbers: {_NUMBERS}"
            raise _refused(f"inputs[{i}].datatype", what)
        values = values.reshape(-1)
        if tensor.datatype == TEXT and "" not in column.categories:
            # The protocol has no other word for a text that is missing.
            values[values == ""] = None
        return values

    def _asked(self) -> str:
        """What the model has to be given."""
        if self._is_encoded:
            return f"it takes each of {listed(self._columns)}"
        return f"it takes {MATRIX!r} as [rows, {self._features}], or each of {listed(self._columns)}"


def _datatype(column: InputColumn, numbers: str) -> str:
    return _kind(column.categories[0]) if column.categories else numbers


def _kind(value: object) -> str:
    """The datatype of a category or class."""
    if isinstance(value, str):
        return TEXT
    return "BOOL" if isinstance(value, bool) else "INT64"


def _refused(field: str, what: str) -> InvalidRequest:
    return InvalidRequest([Violation(field, what)])
