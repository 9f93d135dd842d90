"""A worker as the server sees it: a process, and the pipe to it."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Self

from gradstream_server.executors.messages import Assignment, Equipment, Stop
from gradstream_server.executors.pipe import WorkerPipe
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Event
from gradstream_server.jobs.executor import Interrupted, Task


class WorkerProcess:
    """The server's end of a worker, and what it is busy with."""

    def __init__(self, process: BaseProcess, pipe: WorkerPipe) -> None:
        self.pipe = pipe
        self.inbox: asyncio.Queue[Sequence[Event] | Interrupted | None] = asyncio.Queue()
        self.ready = False
        self.job: str | None = None
        self.stopping = False
        self.kill_timer: asyncio.TimerHandle | None = None
        self._process = process
        self._killed = False

    @classmethod
    def start(cls, equipment: Equipment) -> Self:
        """Fork a worker from the fork server, which is started if it does not run. Blocks."""
        context = multiprocessing.get_context("forkserver")
        pipe, theirs = WorkerPipe.pair()
        process = context.Process(
            target=_serve_tasks, args=(theirs, equipment), name="gradstream-worker", daemon=True
        )
        with theirs:
            try:
                process.start()
            except BaseException:
                pipe.close()
                raise
        return cls(process, pipe)

    def assign(self, task: Task) -> None:
        """Give it the task of a job, which is then its own."""
        self.job = task.job
        self.pipe.send(Assignment(task))

    def send_stop(self) -> None:
        """Tell it to stop its job."""
        if self.job:
            self.pipe.send(Stop(self.job))

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

    def join(self, timeout_s: float) -> None:
        """Wait for the process to end, and kill it when it takes too long. Blocks."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def kill_fork_server() -> None:
    """Kill the process that workers are forked from, if there is one. Who waits for one gets an error."""
    # That pid has no public name. It is that of a child that was not waited for, and so of nobody else.
    if pid := getattr(forkserver._forkserver, "_forkserver_pid", None):
        os.kill(pid, signal.SIGKILL)


def _serve_tasks(connection: Connection, equipment: Equipment) -> None:
    """What a worker process runs. Imported by name: only there may torch come with it."""
    import_module("gradstream_server.executors.worker").main(connection, equipment)
