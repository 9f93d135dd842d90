"""A real server in a process of its own, for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Warnings of the server and of its workers are errors too.
SERVE = (sys.executable, "-W", "error", "-c", "from gradstream.cli import main; main()", "serve")
"""`gradstream serve`."""

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
    data_dir: Path

    def stop(self) -> int:
        """Ask it to stop, wait until it has, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_TIMEOUT_S)


def environment(**settings: str) -> dict[str, str]:
    """The environment of this process, with no settings of gradstream but those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GRADSTREAM_")}
    return inherited | settings


@contextmanager
def running_server(
    data_dir: Path, *args: str, address: str = "127.0.0.1:0", env: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """`gradstream serve` until the block ends, then stopped by SIGTERM if it still runs."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_suffix(".log")
    command = [*SERVE, "--address", address, "--data-dir", str(data_dir), *args]
    with (
        log.open("a") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env or environment()
        ) as process,
    ):
        assert process.stdout is not None
        try:
            announcement = process.stdout.readline()
            assert announcement.startswith(_ANNOUNCEMENT), f"the server did not start: {log.read_text()}"
            yield RunningServer(announcement.removeprefix(_ANNOUNCEMENT).strip(), process, log, data_dir)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
