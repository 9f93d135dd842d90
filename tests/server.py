"""A real server in a process of its own, for tests."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ANNOUNCEMENT = "gradstream is listening on "
_STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    address: str
    """Where it listens, HOST:PORT."""
    process: subprocess.Popen[str]
    log: Path
    """What it writes to stderr."""


@contextmanager
def running_server(data_dir: Path, *args: str, address: str = "127.0.0.1:0") -> Iterator[RunningServer]:
    """`gradstream serve` until the block ends, then stopped by SIGTERM if it still runs."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_suffix(".log")
    command = [sys.executable, "-c", "from gradstream.cli import main; main()"]
    command += ["serve", "--address", address, "--data-dir", str(data_dir), *args]
    with (
        log.open("a") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            announcement = process.stdout.readline()
            assert announcement.startswith(_ANNOUNCEMENT), f"the server did not start: {log.read_text()}"
            yield RunningServer(announcement.removeprefix(_ANNOUNCEMENT).strip(), process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
