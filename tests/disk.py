"""A small disk for tests, and how to fill it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, mib: int, options: str = "rw") -> Iterator[Path]:
    """A disk of its own, mounted on a folder; `ro` for one that cannot be written to."""
    size = ["-o", f"size={mib}m,{options}"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left, to the last byte."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler
