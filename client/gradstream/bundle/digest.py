"""The digest of parameters, by which a receipt tells them."""

import hashlib
from collections.abc import Mapping

import numpy as np

from gradstream.events import FloatArray


def digest(parameters: Mapping[str, FloatArray]) -> str:
    """SHA-256 in hexadecimal of the values of each parameter in order, little-endian and row-major."""
    content = hashlib.sha256()
    for array in parameters.values():
        content.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return content.hexdigest()
