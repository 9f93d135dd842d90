"""A bound on the memory that a job may take."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch


@contextmanager
def memory_limit(max_bytes: int) -> Iterator[None]:
    """Let this process take at most so many bytes more while the block runs; 0 for as many as it likes.

    What would take more fails: with MemoryError in Python and NumPy, with RuntimeError in torch. It is the
    writable private memory that counts (RLIMIT_DATA), not the address space, of which libraries and threads
    reserve far more than they use. The stacks of threads that arithmetic libraries start do not count.
    """
    if not max_bytes:
        yield
        return
    _start_threads()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _start_threads() -> None:
    """Let the arithmetic libraries start their threads now, if they have not.

    They do when there is first enough work for several, and libgomp ends the process when it cannot.
    """
    matrix = np.ones((256, 256), np.float32)
    tensor = torch.from_numpy(matrix)
    # In this order: NumPy's BLAS, torch's, and torch's own loops.
    (matrix @ matrix, tensor @ tensor, tensor + tensor)


def _data_bytes() -> int:
    """Writable private memory of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmData":
            return int(value.split()[0]) * 1024
    raise OSError("/proc/self/status does not tell VmData")
