"""The server that everything is done to: a data directory, a port, and a process that comes and goes."""

import os
import random
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from tests.processes import descendants, parent
from tests.server import SERVE, environment

_ANNOUNCEMENT = "gradstream is listening on "
_PATIENCE_S = 60
_MARK = "CHAOS_MARK"


class ServerFault(Exception):
    """The server did not start or did not stop as it has to."""


class Target:
    """A server on one data directory and one port."""

    def __init__(self, folder: Path, chance: random.Random, settings: tuple[str, ...]) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "server.log"
        """What all its processes have written to stderr."""
        self.address = f"127.0.0.1:{_free_port()}"
        self._command = (*SERVE, "--data-dir", str(self.data_dir), *settings)
        self._mark = f"{chance.getrandbits(64):x}-{folder}"
        self._environment = environment(**{_MARK: self._mark})
        self._process: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        """Begin to start the server."""
        command = [*self._command, "--address", self.address]
        with self.log.open("a") as stderr:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=self._environment
            )

    def await_start(self) -> None:
        """Wait until it answers. Raises ServerFault when it does not."""
        process = self._running
        assert process.stdout
        watchdog = threading.Timer(_PATIENCE_S, process.kill)
        watchdog.start()
        try:
            if not process.stdout.readline().startswith(_ANNOUNCEMENT):
                raise ServerFault(f"the server did not start; exit code {process.wait()}")
        finally:
            watchdog.cancel()

    def start(self) -> None:
        """Start the server."""
        self.launch()
        self.await_start()

    def kill(self) -> None:
        """Take the server away without a warning."""
        self._running.kill()
        self._reap()

    def kill_all(self) -> None:
        """Take all its processes away at once, as if the machine had died."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reap()

    def ask_to_stop(self) -> None:
        """Begin to stop the server."""
        self._running.send_signal(signal.SIGTERM)

    def await_stop(self) -> None:
        """Wait until it has stopped. Raises ServerFault when it does not, or not properly."""
        try:
            self._running.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerFault(f"the server did not stop within {_PATIENCE_S} s of SIGTERM") from error
        if code := self._reap():
            raise ServerFault(f"the server stopped with exit code {code}")

    def close(self) -> None:
        """Leave nothing running, whatever has gone wrong."""
        if self._process:
            self.kill()

    def second(self) -> subprocess.CompletedProcess[str]:
        """What becomes of another server on the same data directory."""
        command = [*self._command, "--address", "127.0.0.1:0"]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, env=self._environment, check=False
        )

    def workers(self) -> list[int]:
        """Its worker processes."""
        return sorted(self._worker_parents())

    def fork_servers(self) -> list[int]:
        """The processes that its workers were forked from: one, if there are workers."""
        return sorted(set(self._worker_parents().values()))

    def processes(self) -> set[int]:
        """All processes that it and the servers before it have ever started, as far as they still run."""
        mark, found = f"{_MARK}={self._mark}".encode(), set()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
        return found

    def _worker_parents(self) -> dict[int, int]:
        """Workers are grandchildren, through the fork server, which starts nothing else."""
        server, parents = self._running.pid, {}
        for pid in descendants(server):
            with suppress(FileNotFoundError, ProcessLookupError):
                parents[pid] = parent(pid)
        return {pid: of for pid, of in parents.items() if of != server}

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process, "the server has not been started"
        return self._process

    def _reap(self) -> int:
        process, self._process = self._running, None
        assert process.stdout
        process.stdout.close()
        return process.wait()


def _free_port() -> int:
    """A port that nobody is given while the server is away: below those for connections that go out."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, first_given)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
