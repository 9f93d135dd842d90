"""Tensors of the Open Inference Protocol: what goes into a model and comes out, by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXT = "BYTES"
DTYPES = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""How NumPy calls the datatypes of numbers. Beside them there is TEXT."""
_DATATYPES = {np.dtype(dtype): datatype for datatype, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What an input has to be, or an output is."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """With -1 for the number of rows."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values with a name: numbers, or of TEXT an array of objects that are str."""

    name: str
    values: NDArray[Any]

    @property
    def datatype(self) -> str:
        """What the protocol calls that which it holds."""
        return _DATATYPES.get(self.values.dtype, TEXT)
