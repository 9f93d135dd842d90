"""Tensors: the numbers that arrive are those that were sent, or the caller is told what does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradstream.v1 import spec_pb2
from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.spec import FloatArray
from gradstream_server.rpc.tensors import to_array, to_tensor

F64, F32 = spec_pb2.DTYPE_FLOAT64, spec_pb2.DTYPE_FLOAT32
ARRAYS = st.sampled_from(["float32", "float64"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=5))
)


@given(ARRAYS)
def test_numbers_arrive_bit_for_bit(array: FloatArray) -> None:
    """A model would be trained on, or be given out as, other numbers."""
    back = to_array(to_tensor(array), "t")
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_bytes_are_row_major_and_little_endian() -> None:
    """A client in another language, written after the contract, would send a transposed matrix."""
    tensor = to_tensor(np.array([[1, 2, 3], [4, 5, 6]], ">f4").T.astype("float32"))
    assert list(tensor.shape) == [3, 2]
    assert tensor.data.hex() == "0000803f00008040000000400000a040000040400000c040"
    assert to_array(spec_pb2.Tensor(dtype=F64, shape=[1], data=bytes(7) + b"@"), "t").tolist() == [2.0]


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (spec_pb2.Tensor(shape=[1], data=bytes(4)), "t.dtype: is missing"),
        (spec_pb2.Tensor(dtype=5, shape=[1], data=bytes(4)), "t.dtype: is 5"),
        (
            spec_pb2.Tensor(dtype=F32, shape=[2], data=bytes(7)),
            "t.data: has 7 bytes; shape [2] of float32 needs 8",
        ),
        (
            spec_pb2.Tensor(dtype=F64, shape=[2, 3], data=bytes(24)),
            "t.data: has 24 bytes; shape [2, 3] of float64",
        ),
        (spec_pb2.Tensor(dtype=F64, shape=[], data=b""), "t.data: has 0 bytes; shape [] of float64 needs 8"),
        (
            spec_pb2.Tensor(dtype=F64, shape=[0], data=bytes(8)),
            "t.data: has 8 bytes; shape [0] of float64 needs 0",
        ),
        (spec_pb2.Tensor(dtype=F64, shape=[-1, -1], data=bytes(8)), "t.shape: is [-1, -1]"),
        (spec_pb2.Tensor(dtype=F64, shape=[2**62, 0]), f"t.shape: is [{2**62}, 0]"),
        (spec_pb2.Tensor(dtype=F64, shape=[2**31, 2**31]), "t.data: has 0 bytes"),
        (spec_pb2.Tensor(dtype=F64, shape=[1, 1, 1], data=bytes(8)), "t.shape: has 3 dimensions"),
        (spec_pb2.Tensor(dtype=F64, shape=[1] * 100_000, data=bytes(8)), "t.shape: has 100000 dimensions"),
    ],
)
def test_what_does_not_fit_is_refused_by_path(tensor: spec_pb2.Tensor, text: str) -> None:
    """A user would get a fault of the server, or numbers in a wrong shape."""
    with pytest.raises(InvalidSpec) as raised:
        to_array(tensor, "t")
    assert str(raised.value).startswith(text)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4), st.binary(max_size=32), st.integers(-3, 3))
def test_any_tensor_is_read_or_refused(shape: list[int], data: bytes, dtype: int) -> None:
    """A client could make the server fail with a few numbers."""
    tensor = spec_pb2.Tensor(dtype=dtype, shape=shape, data=data)
    try:
        array = to_array(tensor, "t")
    except InvalidSpec:
        return
    assert list(array.shape) == shape
    assert array.tobytes() == data
