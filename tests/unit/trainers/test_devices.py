"""The device is the one asked for, or an error that names those there are."""

import numpy as np
import pytest

from gradstream_server.trainers import devices

NAMES = ["cuda:0", "cuda:1", "cpu"]


@pytest.mark.parametrize(
    ("asked", "got"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_resolve(asked: str, got: str) -> None:
    assert devices.resolve(asked, NAMES) == got


@pytest.mark.parametrize("asked", ["cuda:7", "mps", "", "tpu", "CPU"])
def test_no_silent_fall_back(asked: str) -> None:
    with pytest.raises(devices.UnknownDeviceError, match="cuda:0, cuda:1, cpu") as error:
        devices.resolve(asked, NAMES)
    assert error.value.available == tuple(NAMES)


def test_the_cpu_is_always_there_and_last() -> None:
    name, description = devices.available()[-1]
    assert name == "cpu"
    assert description


def test_arrays_there_and_back() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert devices.to_device(array, "cpu") is array
    np.testing.assert_array_equal(devices.to_numpy(devices.to_tensor(array, "cpu")), array)
    with pytest.raises(devices.UnknownDeviceError, match="'cuda:99'"):
        devices.to_device(array, "cuda:99")
