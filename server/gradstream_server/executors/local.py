"""Runs tasks in processes of this machine: forked from a server that has torch loaded already, kept warm.

This module lives in the server's main process and never imports torch; `worker.py` lives in the children.
"""

import asyncio
import logging
import multiprocessing
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from gradstream_server.executors.messages import Equipment, Hello
from gradstream_server.executors.worker_process import WorkerProcess, kill_fork_server
from gradstream_server.jobs.errors import NoWorker
from gradstream_server.jobs.events import Completed, Event, StateChange
from gradstream_server.jobs.executor import Device, Interrupted, Task
from gradstream_server.jobs.job import ENDED

_logger = logging.getLogger(__name__)

_RESPAWN_S = 1.0
_CLOSE_S = 2.0
_FORK_S = 0.2
"""For a worker to be forked, by a fork server that has loaded everything."""
_INBOX = 8
_TRIES = 3
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalExecutor:
    """A pool of worker processes, a task each at a time. Lives on one event loop."""

    def __init__(
        self,
        workers: int,
        equipment: Equipment,
        stop_grace_s: float,
    ) -> None:
        """
        Args:
            workers: how many processes, and so how many tasks at once.
            equipment: what each of them is given; picklable.
            stop_grace_s: how long a worker may take to stop a task before it is killed.
        """
        self.slots = workers
        self._equipment = equipment
        self._stop_grace_s = stop_grace_s
        self._idle: list[WorkerProcess] = []
        self._waiting: dict[str, asyncio.Future[WorkerProcess | None]] = {}
        self._tasks: set[str] = set()
        """Jobs whose tasks are in `run`."""
        self._stopped: set[str] = set()
        """Jobs that were stopped while they waited for a worker."""
        self._workers: set[WorkerProcess] = set()
        self._busy: dict[str, WorkerProcess] = {}
        self._background: set[asyncio.Task[None]] = set()
        """Workers that are being started, or whose end is waited for."""
        self._devices: asyncio.Future[Sequence[Device]] = asyncio.get_running_loop().create_future()
        self._failed_starts = 0
        self._closing = False

    def start(self) -> None:
        """Begin to start the workers, without waiting for them."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["gradstream_server.executors.preload"])
        # Read once, when the arithmetic libraries are loaded: in the fork server, for all its workers.
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(self._equipment.threads)))
        for _ in range(self.slots):
            self._spawn()

    async def devices(self) -> Sequence[Device]:
        return await asyncio.shield(self._devices)

    async def run(
        self, task: Task, begins: Callable[[], None]
    ) -> AsyncGenerator[Sequence[Event] | Interrupted, None]:
        self._tasks.add(task.job)
        try:
            worker, said = await self._begin(task, begins)
            while worker and not _ends(said):
                yield said
                said = await self._next(worker)
            if worker:
                self._release(worker, task)
            yield said
        finally:
            self._tasks.discard(task.job)
            self._stopped.discard(task.job)
            if left := self._busy.get(task.job):
                # It still trains: it is of no use to another task, and another takes its place.
                self._release(left, task, reusable=False)
                left.kill()

    def stop(self, job: str) -> None:
        if job in self._tasks and job not in self._busy:
            # It waits for a worker.
            self._stopped.add(job)
            if (waiting := self._waiting.get(job)) and not waiting.done():
                waiting.set_result(None)
        if (worker := self._busy.get(job)) and not worker.stopping:
            worker.stopping = True
            worker.send_stop()
            loop = asyncio.get_running_loop()
            worker.kill_timer = loop.call_later(self._stop_grace_s, worker.kill)

    async def close(self) -> None:
        """End every worker."""
        self._closing = True
        while self._background:
            _, left = await asyncio.wait(self._background, timeout=_FORK_S)
            if left and not self._workers:
                # It loads torch still, for seconds, and answers nobody meanwhile.
                kill_fork_server()
        workers = list(self._workers)
        for worker in workers:
            worker.pipe.close()
        await asyncio.gather(*(asyncio.to_thread(worker.join, _CLOSE_S) for worker in workers))

    async def _begin(
        self, task: Task, begins: Callable[[], None]
    ) -> tuple[WorkerProcess | None, Sequence[Event] | Interrupted]:
        """Give the task to a worker, and wait for what it says; no worker when it was stopped before."""
        for another in (True, False):
            worker = await self._free_worker(task.job)
            if worker is None:
                break
            self._busy[task.job] = worker
            worker.assign(task)
            begins()
            said = await self._next(worker)
            # One that was dying when it got the task has not touched it: another can have it.
            if worker in self._workers or worker.stopping or not another:
                return worker, said
            self._release(worker, task)
        return None, Interrupted()

    async def _next(self, worker: WorkerProcess) -> Sequence[Event] | Interrupted:
        said = await worker.inbox.get()
        if worker.inbox.empty():
            self._listen(worker)
        return worker.died() if said is None else said

    def _listen(self, worker: WorkerProcess) -> None:
        """Read what a worker says, from now on."""
        worker.pipe.listen(partial(self._receive, worker))

    async def _free_worker(self, job: str) -> WorkerProcess | None:
        """A worker for a job; None when the job is stopped before there is one."""
        while job not in self._stopped:
            worker: WorkerProcess | None
            if self._idle:
                # The one that worked last, whose caches are warm.
                worker = self._idle.pop()
            else:
                self._waiting[job] = asyncio.get_running_loop().create_future()
                try:
                    worker = await self._waiting[job]
                finally:
                    del self._waiting[job]
            if job in self._stopped and worker:
                self._offer(worker)
            elif worker in self._workers:
                return worker
        return None

    def _offer(self, worker: WorkerProcess) -> None:
        """Give a worker that is free to who waits longest, or keep it for who comes next."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(worker)
                return
        self._idle.append(worker)

    def _release(self, worker: WorkerProcess, task: Task, reusable: bool = True) -> None:
        del self._busy[task.job]
        worker.job = None
        worker.stopping = False
        if worker.kill_timer:
            worker.kill_timer.cancel()
            worker.kill_timer = None
        if reusable and worker in self._workers:
            self._offer(worker)
        # Its end has to be noticed, whatever it still has to say.
        self._listen(worker)

    def _spawn(self, delay_s: float = 0) -> None:
        self._do_in_background(self._start_worker(delay_s))

    def _do_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        doing = asyncio.create_task(work)
        self._background.add(doing)
        doing.add_done_callback(self._background.discard)

    async def _start_worker(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if self._closing:
            return
        try:
            worker = await asyncio.to_thread(WorkerProcess.start, self._equipment)
        except Exception:
            if self._closing:
                return
            # No memory, or no process, to be had now: without another try the slot would be lost for good.
            _logger.exception("a worker could not be started")
            self._spawn(_RESPAWN_S)
            return
        self._workers.add(worker)
        self._listen(worker)

    def _receive(self, worker: WorkerProcess) -> None:
        try:
            message = worker.pipe.receive()
        except (EOFError, OSError):
            self._workers.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            worker.pipe.close()
            self._do_in_background(self._lost(worker))
            return
        if isinstance(message, Hello):
            worker.ready = True
            if self._devices.done() and self._devices.exception():
                self._devices = asyncio.get_running_loop().create_future()
            if not self._devices.done():
                self._devices.set_result(message.devices)
            self._offer(worker)
        elif message is not None and worker.job:
            worker.inbox.put_nowait(message)
            if worker.inbox.qsize() >= _INBOX:
                # A worker that is faster than the store waits; so it costs the server no growing memory.
                worker.pipe.pause()

    async def _lost(self, worker: WorkerProcess) -> None:
        await asyncio.to_thread(worker.join, _CLOSE_S)
        worker.inbox.put_nowait(None)
        if self._closing:
            return
        _logger.warning("a worker has ended", extra={"exit_code": worker.exit_code, "job": worker.job})
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _TRIES and not self._devices.done():
                self._devices.set_exception(NoWorker())
                self._devices.exception()  # Whoever asks is told; nobody has to.
        self._spawn(0 if worker.ready else _RESPAWN_S)


def _ends(said: Sequence[Event] | Interrupted) -> bool:
    if isinstance(said, Interrupted):
        return True
    last = said[-1]
    return isinstance(last, Completed) or (isinstance(last, StateChange) and last.state in ENDED)
