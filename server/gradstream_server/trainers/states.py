"""What a trainer leaves behind, and another one of the same problem goes on from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.problem import Array, State


def copied(arrays: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """C-contiguous copies on the host; of another layout the BLAS might take the sums in another order."""
    return {name: np.array(to_numpy(array), order="C") for name, array in arrays.items()}


def fitting(state: State, like: State) -> dict[str, NDArray[Any]]:
    """A copy of the state, which has the names, shapes and dtypes of `like`.

    Raises:
        ValueError: it has not; the message names each array that is missing, unknown or different.
    """
    faults = [f"{name!r} is missing" for name in like if name not in state]
    for name, array in state.items():
        if name not in like:
            faults.append(f"{name!r} is unknown")
        elif (array.shape, array.dtype) != (like[name].shape, like[name].dtype):
            faults.append(f"{name!r} is {_kind(array)} instead of {_kind(like[name])}")
    if faults:
        raise ValueError(f"the state is of another problem: {', '.join(faults)}")
    return copied(state)


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
