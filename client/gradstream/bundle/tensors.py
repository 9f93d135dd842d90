"""model.safetensors: the parameters in the format of https://github.com/huggingface/safetensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstream.bundle.architecture import Shapes, count
from gradstream.bundle.faults import damaged
from gradstream.events import FloatArray

MEMBER = "model.safetensors"
_DTYPES = {"F32": "<f4", "F64": "<f8"}
_NAMES = {"float32": "F32", "float64": "F64"}
_MOST_HEADER = 4 << 20
"""Bytes of JSON before the numbers; of a model with a hundred layers it is 20 KB."""


def encode(parameters: Mapping[str, FloatArray]) -> bytes:
    """Parameters as a file that `safetensors.torch.load_file` reads; the same give the same bytes."""
    from safetensors.numpy import save

    # Contiguous, and in the machine's own byte order: that is what it takes as given.
    arrays = {
        name: np.array(value, value.dtype.newbyteorder("="), order="C") for name, value in parameters.items()
    }
    return save(arrays)


def most_bytes(shapes: Shapes, dtype: str) -> int:
    """How long a file of such parameters may be."""
    return 8 + _MOST_HEADER + count(shapes) * np.dtype(dtype).itemsize


def decode(content: bytes, shapes: Shapes, dtype: str) -> dict[str, FloatArray]:
    """The parameters in the order of `shapes`: read-only arrays that share the memory of the file.

    Raises:
        BundleError: the file is damaged, or holds other parameters than these.
    """
    from safetensors import SafetensorError, deserialize

    if len(content) < 8 or int.from_bytes(content[:8], "little") > min(_MOST_HEADER, len(content) - 8):
        raise damaged(MEMBER, "is damaged: its header is longer than it can be")
    try:
        tensors: dict[str, dict[str, Any]] = dict(deserialize(content))  # type: ignore[no-untyped-call]  # it has no types
    except (SafetensorError, ValueError) as error:
        raise damaged(MEMBER, f"is damaged: {str(error)[:200]}") from error
    if tensors.keys() != shapes.keys():
        odd = sorted(tensors.keys() ^ shapes.keys())[0]
        where = "is in" if odd in tensors else "is missing from"
        raise damaged(MEMBER, f"does not fit model.json: {odd[:200]!r} {where} the file")
    for name, shape in shapes.items():
        is_ = (tensors[name]["dtype"], tuple(tensors[name]["shape"]))
        if is_ != (_NAMES[dtype], shape):
            what = f"holds {name} as {is_[0]} {list(is_[1])}; it has to be {_NAMES[dtype]} {list(shape)}"
            raise damaged(MEMBER, what)
    return {
        name: np.frombuffer(bytes(tensors[name]["data"]), _DTYPES[_NAMES[dtype]]).reshape(shape)
        for name, shape in shapes.items()
    }
