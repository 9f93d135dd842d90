"""Tensors of the contract and NumPy arrays, one from the other."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gradstream.v1 import spec_pb2
from gradstream_server.jobs.errors import InvalidSpec, Violation
from gradstream_server.jobs.spec import Dtype, FloatArray

DTYPES: dict[Dtype, spec_pb2.Dtype.ValueType] = {
    "float32": spec_pb2.DTYPE_FLOAT32,
    "float64": spec_pb2.DTYPE_FLOAT64,
}
# More than any message can hold, and few enough that NumPy can compute with them beside an extent of 0.
_MAX_EXTENT = 2**31
_DTYPE_NAMES = {value: name for name, value in DTYPES.items()}


def dtype_name(value: int, field: str) -> Dtype | None:
    """The name of a dtype; None for an unset one.

    Raises:
        InvalidSpec: no such dtype.
    """
    if value == spec_pb2.DTYPE_UNSPECIFIED:
        return None
    if (name := _DTYPE_NAMES.get(cast("spec_pb2.Dtype.ValueType", value))) is None:
        raise InvalidSpec([Violation(field, f"is {value}; it has to be DTYPE_FLOAT32 or DTYPE_FLOAT64")])
    return name


def to_array(tensor: spec_pb2.Tensor, field: str) -> FloatArray:
    """The numbers of a tensor.

    Raises:
        InvalidSpec: dtype, shape and bytes do not fit together; it names the field.
    """
    name = dtype_name(tensor.dtype, f"{field}.dtype")
    if name is None:
        raise InvalidSpec(
            [Violation(f"{field}.dtype", "is missing; it has to be DTYPE_FLOAT32 or DTYPE_FLOAT64")]
        )
    dtype = np.dtype(name).newbyteorder("<")
    shape = tuple(tensor.shape)
    if len(shape) > 2:
        what = f"has {len(shape)} dimensions; at most 2 are used"
        raise InvalidSpec([Violation(f"{field}.shape", what)])
    if any(not 0 <= extent <= _MAX_EXTENT for extent in shape):
        what = f"is {list(shape)}; each extent has to be from 0 to {_MAX_EXTENT}"
        raise InvalidSpec([Violation(f"{field}.shape", what)])
    expected = math.prod(shape) * dtype.itemsize
    # Asked for once: protobuf copies it each time.
    content = tensor.data
    if len(content) != expected:
        what = f"has {len(content)} bytes; shape {list(shape)} of {name} needs {expected}"
        raise InvalidSpec([Violation(f"{field}.data", what)])
    return cast(FloatArray, np.frombuffer(content, dtype).reshape(shape))


def from_tensor(tensor: spec_pb2.Tensor) -> FloatArray:
    """The numbers of a tensor that `to_tensor` has made, of any shape. ValueError when it is damaged."""
    if (name := _DTYPE_NAMES.get(tensor.dtype)) is None:
        raise ValueError(f"a tensor has dtype {tensor.dtype}")
    array = np.frombuffer(tensor.data, np.dtype(name).newbyteorder("<")).reshape(tuple(tensor.shape))
    return cast(FloatArray, array)


def to_tensor(array: NDArray[Any], dtype: Literal["float32", "float64"] | None = None) -> spec_pb2.Tensor:
    """A tensor of an array, in the array's own dtype or another."""
    name = cast(Dtype, dtype or array.dtype.name)
    content = np.ascontiguousarray(array, np.dtype(name).newbyteorder("<"))
    return spec_pb2.Tensor(dtype=DTYPES[name], shape=array.shape, data=content.tobytes())


def to_parameters(parameters: Mapping[str, NDArray[Any]]) -> Iterable[spec_pb2.Parameter]:
    """Named tensors."""
    return [spec_pb2.Parameter(name=name, value=to_tensor(value)) for name, value in parameters.items()]
