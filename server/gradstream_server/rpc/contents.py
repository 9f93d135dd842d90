"""Tensors of the Open Inference Protocol as they travel: in fields by their type, or as raw bytes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.inference.open_inference_pb2 import (
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
)
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.models.tensor import DTYPES, TEXT, Tensor, TensorInfo

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    TEXT: "bytes_contents",
}
"""Where values are by their type; FP16 travels as raw bytes only."""
_MOST_DIMENSIONS = 32
_MOST_VALUES = 1 << 48
"""By a shape: more than any message holds, and no more than NumPy can count the bytes of."""
_LENGTH_BYTES = 4
_MOST_TEXTS = 1 << 22
"""Of one input: each takes some hundred bytes once it is read, however short."""


def inputs_of(request: ModelInferRequest) -> list[Tensor]:
    """The inputs of a request.

    Raises:
        InvalidRequest: what is there of one is not what its datatype and shape say.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        what = (
            f"has {len(raw)} entries for {len(request.inputs)} inputs; it has to have one for each, or none"
        )
        raise _refused("raw_input_contents", what)
    return [_input(i, tensor, raw[i] if raw else None) for i, tensor in enumerate(request.inputs)]


def fill(response: ModelInferResponse, outputs: Sequence[Tensor]) -> None:
    """Put outputs into a response, as raw bytes."""
    for tensor in outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.values.shape)
        response.raw_output_contents.append(_raw(tensor))


def to_metadata(info: TensorInfo) -> ModelMetadataResponse.TensorMetadata:
    """What an input has to be, or an output is."""
    return ModelMetadataResponse.TensorMetadata(name=info.name, datatype=info.datatype, shape=info.shape)


def _input(i: int, tensor: ModelInferRequest.InferInputTensor, raw: bytes | None) -> Tensor:
    where, datatype, shape = f"inputs[{i}]", tensor.datatype, tuple(tensor.shape)
    if datatype != TEXT and datatype not in DTYPES:
        what = f"is {datatype!r}; it has to be one of {', '.join(DTYPES)} and {TEXT}"
        raise _refused(f"{where}.datatype", what)
    if len(shape) > _MOST_DIMENSIONS:
        raise _refused(f"{where}.shape", f"has {len(shape)} sizes; a matrix has 2, and a column 1 or 2")
    if any(size < 0 for size in shape):
        raise _refused(f"{where}.shape", f"is {list(shape)}; its sizes have to be given, each at least 0")
    if math.prod(size or 1 for size in shape) > _MOST_VALUES:  # which may have no values all the same
        raise _refused(f"{where}.shape", f"is {list(shape)}, more than can be sent")
    if datatype == TEXT and math.prod(shape) > _MOST_TEXTS:
        what = f"is {list(shape)}; of {TEXT} there may be {_MOST_TEXTS} values: send fewer rows at once"
        raise _refused(f"{where}.shape", what)
    if raw is None:
        values = _typed(where, tensor.contents, datatype, shape)
    elif tensor.HasField("contents"):
        raise _refused(f"{where}.contents", "is set, and so is raw_input_contents; give one of the two")
    else:
        values = _from_raw(f"raw_input_contents[{i}]", raw, datatype, shape)
    return Tensor(tensor.name, values.reshape(shape))


def _typed(where: str, contents: InferTensorContents, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if datatype not in _FIELDS:
        raise _refused(f"{where}.contents", f"cannot hold {datatype}; send it as raw_input_contents")
    field = _FIELDS[datatype]
    for other, _ in contents.ListFields():
        if other.name != field:
            raise _refused(f"{where}.contents", f"has {other.name}; {datatype} has to be in {field}")
    given = getattr(contents, field)
    if len(given) != math.prod(shape):
        raise _refused(f"{where}.contents.{field}", _count(len(given), shape, "value"))
    if datatype == TEXT:
        return _texts(f"{where}.contents.{field}", given)
    wide = np.array(given, "<i8" if field in ("int_contents", "uint_contents") else DTYPES[datatype])
    values = wide.astype(DTYPES[datatype], copy=False)
    if (values != wide).any() and wide.dtype.kind == "i":
        raise _refused(f"{where}.contents.{field}", f"has values that are no {datatype}")
    return values


def _from_raw(where: str, raw: bytes, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    count = math.prod(shape)
    if datatype == TEXT:
        return _texts(where, list(_split(where, raw, shape, count)))
    dtype = np.dtype(DTYPES[datatype])
    if len(raw) != count * dtype.itemsize:
        what = f"{_count(len(raw), shape, 'byte')} of {datatype}, which are {count * dtype.itemsize} bytes"
        raise _refused(where, what)
    if dtype.kind == "b":  # of which any byte but 0 is true
        return np.frombuffer(raw, np.uint8).astype(np.bool_)
    return np.frombuffer(raw, dtype)


def _split(where: str, raw: bytes, shape: tuple[int, ...], count: int) -> Iterator[bytes]:
    """The values of BYTES, each behind its length."""
    place = found = 0
    while place < len(raw) and found < count:
        length = int.from_bytes(raw[place : place + _LENGTH_BYTES], "little")
        place += _LENGTH_BYTES
        if place + length > len(raw):
            raise _refused(
                where, f"ends within value {found + 1}, which has {length} bytes by what is said of it"
            )
        yield raw[place : place + length]
        place += length
        found += 1
    if found < count or place < len(raw):
        more = "more values" if place < len(raw) else f"{found} values"
        raise _refused(where, f"has {more}, where shape {list(shape)} has {count}")


def _texts(where: str, values: Sequence[bytes]) -> NDArray[Any]:
    texts = np.empty(len(values), object)
    try:
        texts[:] = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise _refused(where, f"has a value that is no text in UTF-8: {error.object[:50]!r}") from error
    return texts


def _raw(tensor: Tensor) -> bytes:
    if tensor.datatype != TEXT:
        return np.ascontiguousarray(tensor.values).tobytes()
    values = (str(value).encode() for value in tensor.values.ravel().tolist())
    return b"".join(len(value).to_bytes(_LENGTH_BYTES, "little") + value for value in values)


def _count(given: int, shape: tuple[int, ...], unit: str) -> str:
    plural = "" if given == 1 else "s"
    return f"has {given} {unit}{plural}; shape {list(shape)} has {math.prod(shape)} values"


def _refused(field: str, what: str) -> InvalidRequest:
    return InvalidRequest([Violation(field, what)])
