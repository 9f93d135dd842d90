"""A worker as the server sees it: a process, and the pipe to it."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Self

from gradstream_server.executors.messages import Assignment, Equipment, Stop
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Event
from gradstream_server.jobs.executor import Interrupted

_PIPE_BYTES = 64 << 10
"""As many find room in an empty pipe, whether or not its other end is read."""


class WorkerProcess:
    """The server's end of a worker, and what it is busy with."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.connection = connection
        self.inbox: asyncio.Queue[Sequence[Event] | Interrupted | None] = asyncio.Queue()
        self.ready = False
        self.listened_to = False
        self.job: str | None = None
        self.has_task = False
        """Whether the task of its job has been sent to it."""
        self.stopping = False
        self.kill_timer: asyncio.TimerHandle | None = None
        self._process = process
        self._killed = False

    @classmethod
    def start(cls, equipment: Equipment) -> Self:
        """Fork a worker from the fork server, which is started if it does not run. Blocks."""
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve_tasks, args=(theirs, equipment), name="gradstream-worker", daemon=True
        )
        process.start()
        theirs.close()
        return cls(process, ours)

    async def assign(self, assignment: Assignment) -> None:
        """Send the task of its job, and that it is to stop, if that has come meanwhile."""
        content = ForkingPickler.dumps(assignment)
        if len(content) <= _PIPE_BYTES:
            _send(self.connection, content)
        else:
            # It may be slow to read, or suspended: that must not hold up the server.
            # The handle is a copy, since the other may be closed meanwhile.
            pipe = Connection(os.dup(self.connection.fileno()))
            await asyncio.to_thread(_send, pipe, content)
        self.has_task = True
        if self.stopping:
            self.send_stop()

    def send_stop(self) -> None:
        """Tell it to stop its job; if its task is still on the way, `assign` does."""
        if self.has_task and self.job:
            _send(self.connection, ForkingPickler.dumps(Stop(self.job)))

    def died(self) -> Interrupted:
        """What its end means for its job."""
        if self._killed:
            return Interrupted(killed=True)
        code = self.exit_code or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        fault = Fault(FaultReason.WORKER_DIED, f"its worker {how}", {"exit_code": str(code)})
        return Interrupted(died=fault)

    @property
    def exit_code(self) -> int | None:
        """Below 0 for the signal that killed it; None while it lives."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it by force."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        """Close the pipe, which is what ends a worker."""
        if not self.connection.closed:
            asyncio.get_running_loop().remove_reader(self.connection.fileno())
            self.connection.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the process to end, and kill it when it takes too long. Blocks."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _send(pipe: Connection, content: memoryview) -> None:
    # A worker that has died is noticed where its answers are read.
    with contextlib.suppress(OSError):
        pipe.send_bytes(content)


def _serve_tasks(connection: Connection, equipment: Equipment) -> None:
    """What a worker process runs. Imported by name: only there may torch come with it."""
    import_module("gradstream_server.executors.worker").main(connection, equipment)
