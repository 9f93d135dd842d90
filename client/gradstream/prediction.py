"""Rows to predict as messages of the Open Inference Protocol, piece by piece, and predictions out of them."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream.bundle.encoding import is_missing
from gradstream.bundle.faults import listed
from gradstream.bundle.table import Columns, Rows, columns_of, unmasked
from gradstream.errors import InvalidArgumentError
from gradstream.inference.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gradstream.tensor import refused

_PIECE_BYTES = 1 << 20
_PIECE_ROWS = 1 << 14
"""At most in one request: what is sent of rows is small against what may come back."""
_MATRIX = "features"
_DTYPES = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1",
    "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_DATATYPES = {np.dtype(dtype): datatype for datatype, dtype in _DTYPES.items()}
_TEXT = "BYTES"
_LENGTH_BYTES = 4


def read(rows: Rows) -> Columns | NDArray[Any]:
    """Rows as columns by name, or as a matrix: of numbers, or of objects.

    Raises InvalidArgumentError for what is neither.
    """
    columns = columns_of(rows)
    return _matrix(rows) if columns is None else columns


def needs_names(given: Columns | NDArray[Any]) -> bool:
    """Whether the columns of the model have to be known to send rows: all but matrices of numbers."""
    return isinstance(given, dict) or given.dtype.kind == "O"


def inputs_of(given: Columns | NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What is to be sent, by name: the columns that the model has, or one matrix.

    Args:
        names: the columns of the model in order; empty where they are not known.

    Raises InvalidArgumentError for what is neither numbers nor text.
    """
    if isinstance(given, np.ndarray):
        if given.dtype.kind in "fiub":
            return {_MATRIX: _numbers(given)}
        if given.dtype.kind != "O":
            raise _refused(f"are {given.dtype}; a matrix has to be numbers, or numbers and text")
        matrix = np.atleast_2d(given)
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            what = f"have shape {given.shape}, not all of numbers; the model has {len(names)} columns: "
            raise _refused(what + listed(names))
        given = {name: matrix[:, i] for i, name in enumerate(names)}
    chosen = {name: given[name] for name in names if name in given} if names else given
    return {name: _column(name, values) for name, values in chosen.items()}


def pieces(inputs: dict[str, NDArray[Any]]) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """The same in pieces, each with the number of its first row; at least one."""
    rows = max((len(values) for values in inputs.values()), default=0)
    row_bytes = sum(_size(values) for values in inputs.values()) / max(rows, 1)
    step = min(_PIECE_ROWS, max(1, int(_PIECE_BYTES / max(row_bytes, 1))))
    for start in range(0, max(rows, 1), step):
        yield start, {name: values[start : start + step] for name, values in inputs.items()}


def request(name: str, version: int, inputs: Mapping[str, NDArray[Any]], output: str) -> ModelInferRequest:
    """Asks for an output of a model."""
    made = ModelInferRequest(model_name=name, model_version=str(version))
    made.outputs.add(name=output)
    for column, values in inputs.items():
        datatype = _DATATYPES.get(values.dtype, _TEXT)
        made.inputs.add(name=column, datatype=datatype, shape=values.shape)
        made.raw_input_contents.append(_joined(values) if datatype == _TEXT else values.tobytes())
    return made


def output_of(response: ModelInferResponse) -> NDArray[Any]:
    """The output that was asked for."""
    (tensor,), (raw,) = response.outputs, response.raw_output_contents
    if tensor.datatype == _TEXT:
        return np.array(list(_split(raw)), str).reshape(tensor.shape)
    return np.frombuffer(raw, _DTYPES[tensor.datatype]).reshape(tensor.shape)


def _matrix(rows: Any) -> NDArray[Any]:
    try:
        matrix = np.asarray(unmasked(rows) if isinstance(rows, np.ma.MaskedArray) else rows)
        if matrix.dtype.kind in "US":
            matrix = np.asarray(rows, object)  # numbers beside text are still numbers
    except (TypeError, ValueError) as error:
        what = f"have to be a matrix with rows of one length, or columns by name: {error}"
        raise _refused(what) from error
    if matrix.dtype.kind == "O":
        numbers = _as_numbers(matrix)
        matrix = matrix if numbers is None else numbers
    if matrix.ndim == 0:
        return matrix.reshape(1)
    # So many numbers are no single row.
    return matrix[:, np.newaxis] if matrix.ndim == 1 and matrix.nbytes > _PIECE_BYTES else matrix


def _column(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind in "fiub":
        return _numbers(values)
    if values.dtype.kind not in "OUS":
        raise _refused(f"column {name!r} is {values.dtype}; it has to be numbers or text")
    values = values.astype(object)
    numbers = _as_numbers(values)
    if numbers is not None:
        return numbers
    # The protocol has no other word for a text that is missing.
    texts = ["" if is_missing(value) else value for value in values.tolist()]
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise _refused(f"row {row + 1} holds {text!r} in {name!r}, where others hold text")
    return np.array(texts, object)


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a type that travels."""
    wide = values.dtype.newbyteorder("=") not in _DATATYPES
    return np.ascontiguousarray(values, np.float64 if wide else values.dtype.newbyteorder("<"))


def _as_numbers(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Objects as numbers, NaN where one is missing; None where there are others."""
    flat = values.ravel().tolist()
    if not all(
        isinstance(value, int | float | Decimal | np.number | np.bool) or is_missing(value) for value in flat
    ):
        return None
    try:
        numbers = np.array([np.nan if is_missing(value) else float(value) for value in flat], np.float64)
    except (OverflowError, ValueError) as error:
        raise _refused("hold a number that is too large") from error
    return numbers.reshape(values.shape)


def _size(values: NDArray[Any]) -> int:
    """Bytes that values take when they travel."""
    return values.nbytes if values.dtype.kind != "O" else sum(map(len, values)) + _LENGTH_BYTES * len(values)


def _joined(texts: NDArray[Any]) -> bytes:
    try:
        encoded = [text.encode() for text in texts.tolist()]
    except UnicodeEncodeError as error:
        raise _refused(f"hold {error.object[:200]!r}, which is no text that can be sent") from error
    return b"".join(len(text).to_bytes(_LENGTH_BYTES, "little") + text for text in encoded)


def _split(raw: bytes) -> Iterator[str]:
    place = 0
    while place < len(raw):
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(raw[place:start], "little")
        yield raw[start:place].decode()


def _refused(what: str) -> InvalidArgumentError:
    return refused("rows", what, "INVALID_ROWS")
