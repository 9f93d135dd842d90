"""Where arrays live: the devices of this machine, and the way there and back.

torch is imported when a function needs it, and by name, so that importing this module costs nothing and
nothing that imports it depends on torch: the manual trainer runs on a machine without torch.
"""

import platform
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gradstream_server.trainers.problem import Array, Parameters


class UnknownDeviceError(ValueError):
    """A device that this machine does not have."""

    def __init__(self, device: str, available: Iterable[str]) -> None:
        self.device = device
        self.available = tuple(available)
        super().__init__(f"no device {device!r} here; available: {', '.join(self.available)}")


def available() -> list[tuple[str, str]]:
    """Name and description of each device of this machine, the preferred one first. Imports torch."""
    torch = _torch()
    devices = [(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(("mps", "Apple GPU, Metal (float32 only)"))
    return [*devices, ("cpu", platform.processor() or platform.machine())]


def resolve(device: str, names: Iterable[str]) -> str:
    """The one of `names`, in order of preference, that is meant by "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UnknownDeviceError: there is no such device; there is no fall-back.
    """
    names = tuple(names)
    for name in names:
        if device in ("auto", name) or (device == "cuda" and name.startswith("cuda:")):
            return name
    raise UnknownDeviceError(device, names)


def to_tensor(array: NDArray[np.generic], device: str) -> Any:
    """The array as a torch.Tensor on the device; on the CPU without a copy.

    Except where the array is not C-contiguous, or lies askew in memory: at an address that is not a multiple
    of 16 torch's products round otherwise, so the address would show in the numbers. Nothing may be written
    to it: the array may be a file that is mapped into memory.

    Raises:
        UnknownDeviceError: the device is not one of `available()`.
    """
    torch = _torch()
    if device != "cpu":
        resolve(device, (name for name, _ in available()))
    with warnings.catch_warnings():
        # torch has no read-only tensors and warns of arrays that are.
        if not array.flags.writeable:
            warnings.simplefilter("ignore", UserWarning)
        # Not ascontiguousarray(), which makes an array of one number of a number, such as a count of steps.
        tensor = torch.from_numpy(np.asarray(array, order="C"))
    # The BLAS takes another path there. An array of NumPy's own never lies so, one out of a message may.
    return (tensor.clone() if tensor.data_ptr() % 16 else tensor).to(device)


def to_device(array: NDArray[np.generic], device: str) -> Array:
    """The array as the manual trainer wants it: as it is on the CPU, a torch.Tensor elsewhere."""
    return array if device == "cpu" else to_tensor(array, device)


def to_numpy(array: Array) -> NDArray[Any]:
    """An array of any kind, on any device, as a NumPy array."""
    return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)


def views(tensors: Mapping[str, Any]) -> Parameters:
    """The same numbers in the same storage, without gradients: NumPy arrays on the CPU, tensors elsewhere."""
    detached = {name: tensor.detach() for name, tensor in tensors.items()}
    return {name: t.numpy() if t.device.type == "cpu" else t for name, t in detached.items()}


def reader(device: str) -> Callable[[Any], Array]:
    """What to do with the tensor of a loss (0-d) before it is kept.

    On the CPU a number is cheaper to keep; elsewhere to read it would be to wait for the device.
    """
    tensor = _torch().Tensor
    return cast(Callable[[Any], Array], tensor.item if device == "cpu" else tensor.detach)


def _torch() -> Any:
    return import_module("torch")
