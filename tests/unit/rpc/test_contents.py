"""Tensors of the Open Inference Protocol: what one library writes the server reads, or says what is wrong."""

from typing import Any

import numpy as np
import pytest

from gradstream_server.inference.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gradstream_server.jobs.errors import InvalidRequest
from gradstream_server.models.tensor import DTYPES, Tensor
from gradstream_server.rpc.contents import fill, inputs_of

TEXTS = b"\x03\0\0\0red\0\0\0\0\x02\0\0\0\xc3\xb6"


def raw(datatype: str, shape: list[int], content: bytes) -> ModelInferRequest:
    request = ModelInferRequest(raw_input_contents=[content])
    request.inputs.add(name="x", datatype=datatype, shape=shape)
    return request


def typed(datatype: str, shape: list[int], **contents: Any) -> ModelInferRequest:
    request = ModelInferRequest()
    request.inputs.add(name="x", datatype=datatype, shape=shape, contents=contents)
    return request


@pytest.mark.parametrize("datatype", DTYPES)
def test_raw_numbers(datatype: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], DTYPES[datatype])
    (tensor,) = inputs_of(raw(datatype, [2, 3], values.tobytes()))
    assert (tensor.name, tensor.datatype) == ("x", datatype)
    np.testing.assert_array_equal(tensor.values, values, strict=True)


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT32", "int_contents", [-(2**31), 1]),
        ("INT64", "int64_contents", [-(2**63), 1]),
        ("UINT16", "uint_contents", [0, 2**16 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, -1.5]),
        ("FP64", "fp64_contents", [0.1, 1e300]),
    ],
)
def test_typed_numbers(datatype: str, field: str, values: list[Any]) -> None:
    (tensor,) = inputs_of(typed(datatype, [2], **{field: values}))
    assert (tensor.datatype, tensor.values.tolist()) == (datatype, values)


def test_texts() -> None:
    for request in (
        raw("BYTES", [3, 1], TEXTS),
        typed("BYTES", [3, 1], bytes_contents=[b"red", b"", "ö".encode()]),
    ):
        (tensor,) = inputs_of(request)
        assert (tensor.datatype, tensor.values.tolist()) == ("BYTES", [["red"], [""], ["ö"]])


def test_outputs() -> None:
    response = ModelInferResponse()
    texts = np.array(["red", "", "ö"], object)
    fill(response, [Tensor("a", np.array([[1.0], [2.0]], np.float32)), Tensor("b", texts)])
    assert [(each.name, each.datatype, list(each.shape)) for each in response.outputs] == [
        ("a", "FP32", [2, 1]),
        ("b", "BYTES", [3]),
    ]
    assert list(response.raw_output_contents) == [np.array([1, 2], "<f4").tobytes(), TEXTS]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (
            raw("FP64", [2], b"\0" * 15),
            r"raw_input_contents\[0\]: has 15 bytes; shape \[2\] has 2 values of FP64, wh",
        ),
        (raw("FP64", [2**62, 2**62], b"\0"), "more than can be sent"),
        (raw("FP64", [-1, 2], b""), r"inputs\[0\].shape: is \[-1, 2\]; its sizes have to be given"),
        (raw("FP64", [1] * 33, b"\0" * 8), "has 33 sizes; a matrix has 2, and a column 1 or 2"),
        (raw("FP64", [0, 2**62], b""), r"inputs\[0\].shape: is \[0, 4611686018427387904\], more than can"),
        (typed("BYTES", [2**62, 2**62, 0]), "more than can be sent"),
        (raw("BYTES", [2**22 + 1], b""), r"there may be 4194304 values: send fewer rows at once"),
        (
            raw("float", [1], b"\0" * 8),
            r"inputs\[0\].datatype: is 'float'; it has to be one of BOOL, .* and BYTES",
        ),
        (raw("BYTES", [2], TEXTS), r"raw_input_contents\[0\]: has more values, where shape \[2\] has 2"),
        (raw("BYTES", [4], TEXTS), "has 3 values, where"),
        (raw("BYTES", [1], b"\xff\xff\xff\x7fred"), "ends within value 1, which has 2147483647 bytes"),
        (raw("BYTES", [1], b"\x01"), "ends within value 1"),
        (raw("BYTES", [1], b"\x01\0\0\0\xff"), r"no text in UTF-8: b'\\xff'"),
        (
            typed("FP64", [2], fp64_contents=[1]),
            r"inputs\[0\].contents.fp64_contents: has 1 value; shape \[2\] has 2",
        ),
        (
            typed("FP64", [1], fp32_contents=[1]),
            r"contents: has fp32_contents; FP64 has to be in fp64_contents",
        ),
        (typed("FP64", [1]), "has 0 values"),
        (typed("FP16", [1], fp32_contents=[1]), "cannot hold FP16; send it as raw_input_contents"),
        (typed("INT8", [1], int_contents=[128]), "has values that are no INT8"),
    ],
)
def test_what_is_refused(request_: ModelInferRequest, told: str) -> None:
    """A model would be asked something that nobody meant, or the server would fail."""
    with pytest.raises(InvalidRequest, match=told):
        inputs_of(request_)


def test_raw_contents_are_for_all_inputs_or_none() -> None:
    request = raw("FP64", [1], b"\0" * 8)
    request.inputs[0].contents.fp64_contents.append(1)
    with pytest.raises(InvalidRequest, match=r"inputs\[0\].contents: is set, and so is raw_input_contents"):
        inputs_of(request)
    request.inputs.add(name="y", datatype="FP64", shape=[1])
    with pytest.raises(InvalidRequest, match="raw_input_contents: has 1 entries for 2 inputs"):
        inputs_of(request)
