"""Arrays on the wire."""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstream.arguments import argument_of_field
from gradstream.errors import InvalidArgumentError, Violation
from gradstream.v1 import spec_pb2

T = TypeVar("T")

_WIRE_DTYPE = {
    np.dtype(np.float32): (spec_pb2.DTYPE_FLOAT32, "<f4"),
    np.dtype(np.float64): (spec_pb2.DTYPE_FLOAT64, "<f8"),
}
_DTYPE_OF_WIRE = {spec_pb2.DTYPE_FLOAT32: "<f4", spec_pb2.DTYPE_FLOAT64: "<f8"}


def refused(field: str, description: str, reason: str = "INVALID_SPEC") -> InvalidArgumentError:
    """The error for a value that cannot even be sent."""
    return InvalidArgumentError(
        f"{argument_of_field(field)}: {description}",
        code="INVALID_ARGUMENT",
        reason=reason,
        violations=[Violation(field, description)],
    )


def as_floats(values: ArrayLike, field: str) -> NDArray[np.floating]:
    """The values as an array of float32 or float64: those two are kept, other real numbers become float64.

    Raises InvalidArgumentError for what is not an array of real numbers.
    """
    try:
        array = np.asarray(unmasked(values, field))
    except (ValueError, TypeError) as error:
        raise refused(field, f"must be an array of numbers with rows of one length: {error}") from error
    if array.dtype.newbyteorder("=") in _WIRE_DTYPE:
        return array
    if array.dtype.kind not in "fiub":
        raise refused(field, f"must be real numbers, not {array.dtype} values")
    return array.astype(np.float64)


def unmasked(values: T, field: str, reason: str = "INVALID_SPEC") -> T:
    """The values, unless some are masked, which NumPy would let pass as if they were not."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        what = (
            "is a masked array with values that are masked; fill them, such as with array.filled(numpy.nan)"
        )
        raise refused(field, what, reason)
    return values


def fill(tensor: spec_pb2.Tensor, array: NDArray[np.floating]) -> None:
    """Make an empty message that of an array of float32 or float64, of any shape and byte order.

    In its place: what is put into another message once it is made is copied, and that may be a gigabyte.
    """
    tensor.dtype, wire = _WIRE_DTYPE[array.dtype.newbyteorder("=")]
    tensor.shape.extend(array.shape)
    tensor.data = array.astype(wire, copy=False).tobytes()


def array_of(tensor: spec_pb2.Tensor) -> NDArray[np.floating]:
    """The array in a message; read-only, for it shares the message's bytes."""
    array: NDArray[np.floating] = np.frombuffer(tensor.data, _DTYPE_OF_WIRE[tensor.dtype])
    return array.reshape(tuple(tensor.shape))
