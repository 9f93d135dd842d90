"""Servers in processes of their own, on a free port of 127.0.0.1, stopped at the end."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("gradstream"))
"""The command `gradstream` that belongs to this Python."""

_STOP_S = 30


@dataclass(frozen=True)
class RunningServer:
    """A process that has said where it listens."""

    address: str
    process: int


@contextmanager
def gradstream_server(*options: str) -> Iterator[RunningServer]:
    """A gradstream server with a data directory of its own, removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="gradstream-bench-") as folder,
        running(serve_command(folder, *options)) as server,
    ):
        yield server


def serve_command(data_dir: str, *options: str) -> list[str]:
    """What starts a gradstream server."""
    listen = ["--address", "127.0.0.1:0", "--data-dir", data_dir]
    return [COMMAND, "serve", *listen, "--log-level", "warning", *options]


@contextmanager
def minimal_server(kind: str) -> Iterator[RunningServer]:
    """The server of `minimal.py`: "threads" or "aio"."""
    with running([sys.executable, str(Path(__file__).with_name("minimal.py")), kind]) as server:
        yield server


@contextmanager
def running(command: list[str]) -> Iterator[RunningServer]:
    """A process that prints one line when it is ready, its address the last word."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server ended with exit code {process.wait()}: {' '.join(command)}")
        yield RunningServer(line.split()[-1], process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
