"""Runs jobs: a bounded queue, first come first served, and as many jobs at once as the executor has slots."""

import asyncio
import logging
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial

from gradstream_server.jobs.errors import Fault, FaultReason, QueueFull
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Executor, Task
from gradstream_server.jobs.job import IllegalTransition, Job, JobState
from gradstream_server.jobs.log import EventLog

_logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_MAX_AHEAD = 8


@dataclass(frozen=True)
class Place:
    """A reserved place: a free slot, or a place in the queue."""

    jobs_ahead: int
    starts: bool
    """Whether the job starts at once."""


class JobRunner:
    """Takes tasks in order and writes what happens into the logs of their jobs. Lives on one event loop."""

    def __init__(self, log: EventLog, executor: Executor, max_queued: int) -> None:
        self._log = log
        self._executor = executor
        self._max_queued = max_queued
        self._queue: deque[Task] = deque()
        self._reserved_slots = 0
        self._reserved_places = 0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._paused = False

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Jobs that run."""
        return len(self._running)

    def reserve(self) -> Place:
        """Reserve a place for a new job; `take` uses it, `release` gives it back.

        Raises:
            QueueFull: as many jobs wait as may.
        """
        ahead = len(self._queue) + self._reserved_places
        if ahead == 0 and self._free_slots > 0 and not self._paused:
            self._reserved_slots += 1
            return Place(0, starts=True)
        if ahead >= self._max_queued:
            raise QueueFull(self._max_queued, retry_after_s=1)
        self._reserved_places += 1
        return Place(ahead, starts=False)

    def release(self, place: Place) -> None:
        """Give back a reserved place."""
        if place.starts:
            self._reserved_slots -= 1
            self._start_next()
        else:
            self._reserved_places -= 1

    def take(self, place: Place, task: Task, created: "asyncio.Future[Job]") -> None:
        """Run a task in its reserved slot, its job being RUNNING; or queue it, its job being QUEUED.

        A worker does not wait until the job is stored. Where it cannot be, its task is stopped.
        """
        if place.starts:
            self._reserved_slots -= 1
            created.add_done_callback(partial(self._stop_unkept, task.job))
            self._start(task, created)
        else:
            self._reserved_places -= 1
            self.submit(task)

    def submit(self, task: Task) -> None:
        """Queue a task whose job is QUEUED, whether or not there is room."""
        self._queue.append(task)
        self._start_next()

    def jobs_ahead(self, job: str) -> int | None:
        """How many jobs are ahead of one that waits; None when it does not wait."""
        return next((i for i, task in enumerate(self._queue) if task.job == job), None)

    async def cancel(self, job: Job) -> Job:
        """Stop a job that lives, and return it as it then stands. Asked again it changes nothing."""
        running = job.id in self._running
        if not running:
            self._queue = deque(task for task in self._queue if task.job != job.id)
        asked = None
        # Not when another has asked already, or its last event is on its way to the store.
        with suppress(IllegalTransition):
            state = JobState.CANCELLING if running else JobState.CANCELLED
            asked = self._log.append(job.id, StateChange(state))
        if running:
            # At once: who does not wait for the store has cancelled the job all the same.
            self._executor.stop(job.id)
        if asked:
            return await asked
        if job.state is not JobState.CANCELLING:
            async for _ in self._log.tail(job.id, job.last_sequence):
                job = await self._log.get(job.id)
                if job.ended or job.state is JobState.CANCELLING:
                    break
        return job

    async def drain(self, patience_s: float) -> None:
        """Start nothing more; give running jobs time to end, then fail those that have not.

        Jobs that wait stay QUEUED; the next server on the same data goes on with them.
        """
        self._paused = True
        if self._running:
            _logger.info(
                "waiting for running jobs", extra={"jobs": list(self._running), "patience_s": patience_s}
            )
            await asyncio.wait(self._running.values(), timeout=patience_s)
        remaining = dict(self._running)
        for task in remaining.values():
            task.cancel()
        await asyncio.gather(*remaining.values(), return_exceptions=True)
        for job in remaining:
            # One whose last event is on its way to the store has ended.
            with suppress(IllegalTransition):
                if self._log.find(job):
                    await self._log.append(job, stopped())

    def _stop_unkept(self, job: str, created: "asyncio.Future[Job]") -> None:
        """Stop the task of a job that could not be kept: its caller is told, its worker is free again."""
        if created.exception():
            self._executor.stop(job)

    def _start_next(self) -> None:
        while self._queue and not self._paused and self._free_slots > 0:
            task = self._queue.popleft()
            self._start(task, self._log.append(task.job, StateChange(JobState.RUNNING)))

    @property
    def _free_slots(self) -> int:
        return self._executor.slots - len(self._running) - self._reserved_slots

    def _start(self, task: Task, stored: "asyncio.Future[Job]") -> None:
        running = asyncio.create_task(self._run(task, stored), name=f"job {task.job}")
        self._running[task.job] = running
        running.add_done_callback(partial(self._finished, task.job))

    def _finished(self, job: str, done: asyncio.Task[None]) -> None:
        del self._running[job]
        if not done.cancelled() and (error := done.exception()):
            _logger.error("a job's log could not be written", extra={"job": job}, exc_info=error)
        self._start_next()

    async def _run(self, task: Task, stored: "asyncio.Future[Job]") -> None:
        # The worker does not wait for the store, as long as it is not too far ahead of it.
        ahead = deque([stored])
        try:
            async with aclosing(self._executor.run(task)) as happenings:
                async for events in happenings:
                    if not self._log.is_live(task.job):
                        continue
                    while len(ahead) > _MAX_AHEAD or (ahead and ahead[-1].done()):
                        # Where one write has failed, none may follow.
                        await ahead.popleft()
                    ahead.append(self._log.append(task.job, *events))
            while ahead:
                await ahead.popleft()
        except Exception:
            if not self._log.is_live(task.job):
                return
            _logger.exception("a job cannot go on", extra={"job": task.job})
            await self._fail(task.job)

    async def _fail(self, job: str) -> None:
        """End a job whose log could not be written. Without that it would be RUNNING for ever."""
        message = f"the server could not keep what happened; its log tells more under job {job}"
        fault = Fault(FaultReason.TRAINER_FAILED, message)
        while True:
            try:
                await self._log.append(job, StateChange(JobState.FAILED, message, fault=fault))
            except IllegalTransition:
                return
            except Exception:
                _logger.exception("the end of a job cannot be stored; trying again", extra={"job": job})
                # Nothing tells when a disk has room again.
                await asyncio.sleep(_RETRY_S)
            else:
                return


def stopped() -> StateChange:
    """What ends a job that a stopping or dying server has left unfinished."""
    fault = Fault(
        FaultReason.SERVER_STOPPED, "the server stopped while the job was running; start the job again"
    )
    return StateChange(JobState.FAILED, reason=fault.message, fault=fault)
