"""What the disk takes to keep something."""

import os
import time
from pathlib import Path
from statistics import median

_BLOCK = bytes(4096)


def sync_s(folder: Path, times: int = 200) -> float:
    """The median time of one fsync after 4 KiB more in a file; the file is removed."""
    path = folder / "fsync"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(_BLOCK)
            start = time.perf_counter()
            os.fsync(file)
            took.append(time.perf_counter() - start)
    path.unlink()
    return median(took)
