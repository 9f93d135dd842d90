"""What happens to a server and its network: each method is one fault."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.damage import damage
from tests.chaos.scene import Scene

_LONGEST_AWAY_S = 1.0
_LONGEST_STALL_S = 3.0
_LONGEST_SUSPENSION_S = 2.0
_LONGEST_WAIT_S = 1.0
_LOOK_S = 0.0005


class Faults:
    """Causes faults, and counts them. The server is there, or there again, when a method returns."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._target = scene.target
        self._chance = scene.chance
        self._flow: threading.Timer | None = None
        self._wakers: list[threading.Timer] = []

    def kill_worker(self) -> None:
        """Kill one of the processes that train, whatever it is doing."""
        self._await_moment("checkpoints/*")
        self._signal_one(self._target.workers(), signal.SIGKILL, "workers killed")

    def kill_fork_server(self) -> None:
        """Kill the process that workers are forked from, as a system that runs out of memory does."""
        self._signal_one(self._target.fork_servers(), signal.SIGKILL, "fork servers killed")

    def suspend_worker(self) -> None:
        """Stop a worker in its tracks for a while: who pauses or cancels its job cannot wait for it."""
        if pid := self._signal_one(self._target.workers(), signal.SIGSTOP, "workers suspended"):
            seconds = self._chance.uniform(0, _LONGEST_SUSPENSION_S)
            waker = threading.Timer(seconds, lambda: _signal(pid, signal.SIGCONT))
            waker.start()
            self._wakers = [*filter(threading.Timer.is_alive, self._wakers), waker]

    def kill_server(self) -> None:
        """Kill the server, perhaps with all its workers, and perhaps the next one while it starts."""
        self._await_moment(*self._chance.choice((("data", "checkpoints"), ("gradstream.sqlite-wal",))))
        self._scene.count("faults: servers killed")
        if self._chance.random() < 0.3:
            self._target.kill_all()
            self._scene.count("faults: servers killed, with all workers")
        else:
            self._target.kill()
        self._come_back()

    def stop_server(self) -> None:
        """Stop the server as an operator does who may be impatient."""
        self._target.ask_to_stop()
        if self._chance.random() < 0.3:
            self._pause(0.5)
            self._target.kill()
            self._scene.count("faults: servers killed while they stopped")
        else:
            self._target.await_stop()
            self._scene.count("faults: servers stopped")
        self._come_back()

    def start_second(self) -> None:
        """Start another server on the same data directory: it has to leave, and leave all as it is."""
        second = self._target.second()
        self._scene.count("faults: second servers on the same data directory")
        if second.returncode != 1 or "another server" not in second.stderr:
            self._scene.find(f"a second server on the data directory: {second}")

    def cut(self) -> None:
        """Cut all connections."""
        self._await_moment("gradstream.sqlite-wal")
        self._scene.count("faults: connections cut", self._scene.proxy.cut())
        self._scene.count("faults: cuts of all connections")

    def stall(self) -> None:
        """Let nothing through for a while."""
        if self._flow and self._flow.is_alive():
            return
        self._scene.proxy.stall()
        self._flow = threading.Timer(self._chance.uniform(0.1, _LONGEST_STALL_S), self._scene.proxy.flow)
        self._flow.start()
        self._scene.count("faults: stalls of all connections")

    def end(self) -> None:
        """No more faults, and none that lasts."""
        for timer in (*self._wakers, *filter(None, [self._flow])):
            timer.join()

    def _come_back(self) -> None:
        self._pause(_LONGEST_AWAY_S)
        while self._chance.random() < 0.4:
            damage(self._scene)
        while self._chance.random() < 0.2:
            self._target.launch()
            self._pause(1.5)
            self._target.kill()
            self._scene.count("faults: servers killed while they started")
        self._target.start()
        self._scene.count("faults: servers started again")

    def _await_moment(self, *patterns: str) -> None:
        """Perhaps wait for a moment when something is written: what is half done then shows afterwards."""
        if self._chance.random() < 0.5:
            paths = [path for pattern in patterns for path in self._target.data_dir.glob(pattern)]
            before, until = _times(paths), time.monotonic() + _LONGEST_WAIT_S
            while _times(paths) == before and time.monotonic() < until:
                time.sleep(_LOOK_S)

    def _signal_one(self, pids: list[int], number: signal.Signals, what: str) -> int | None:
        """Send a signal to one of some processes: to which."""
        if not pids:
            return None
        pid = self._chance.choice(pids)
        _signal(pid, number)
        self._scene.count(f"faults: {what}")
        return pid

    def _pause(self, longest_s: float) -> None:
        time.sleep(self._chance.uniform(0, longest_s))


def _times(paths: list[Path]) -> list[int]:
    times = []
    for path in paths:
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime_ns)
    return times


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
