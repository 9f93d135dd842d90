"""Runs jobs: a bounded queue, and as many jobs at once as the executor has slots."""

import asyncio
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.ending import cancelled, keep, result_so_far, why_cancelled
from gradstream_server.jobs.errors import JobBeingCancelled, QueueFull
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Executor, Task
from gradstream_server.jobs.job import IllegalTransition, Job, JobState
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.queue import Entry, JobQueue, queued
from gradstream_server.jobs.run import JobRun, Stop, next_attempt
from gradstream_server.jobs.spec import Spec
from gradstream_server.jobs.store import StorageFull

_logger = logging.getLogger(__name__)

_PAUSED = {JobState.PAUSED, JobState.CANCELLING}
_GOES_ON = {JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING}


@dataclass(frozen=True)
class Place:
    """A reserved place: a free slot, or a place in the queue."""

    jobs_ahead: int
    starts: bool
    """Whether the job starts at once."""


class JobRunner:
    """Takes tasks in order and writes what happens into the logs of their jobs. Lives on one event loop."""

    def __init__(
        self,
        log: EventLog,
        executor: Executor,
        checkpoints: CheckpointStore,
        max_queued: int,
        max_restarts: int,
    ) -> None:
        """
        Args:
            max_queued: jobs that may wait.
            max_restarts: how often a job is started again because its worker has died.
        """
        self._log = log
        self._executor = executor
        self._checkpoints = checkpoints
        self._max_queued = max_queued
        self._max_restarts = max_restarts
        self._queue = JobQueue()
        self._reserved_slots = 0
        self._reserved_places = 0
        self._running: dict[str, JobRun] = {}
        self._runs: dict[asyncio.Task[None], JobRun] = {}
        """Those of jobs that run, and of jobs that have left, which may still be on its way to the store."""
        self._draining = False

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Jobs that run."""
        return len(self._running)

    def reserve(self, priority: int = 0) -> Place:
        """Reserve a place for a job; `take` uses it, `release` gives it back.

        Raises:
            QueueFull: as many jobs wait as may.
        """
        waiting = len(self._queue) + self._reserved_places
        if waiting == 0 and self._free_slots > 0 and not self._draining:
            self._reserved_slots += 1
            return Place(0, starts=True)
        if waiting >= self._max_queued:
            raise QueueFull(self._max_queued, retry_after_s=1)
        self._reserved_places += 1
        return Place(self._queue.ahead_of_new(priority) + self._reserved_places - 1, starts=False)

    def release(self, place: Place) -> None:
        """Give back a reserved place."""
        if place.starts:
            self._reserved_slots -= 1
            self.start()
        else:
            self._reserved_places -= 1

    async def take(self, place: Place, job: Job, spec: Spec, stored: "asyncio.Future[Job]") -> Job:
        """Run a job in its reserved slot, or queue it, and return it once it is stored.

        Args:
            job: RUNNING when the place is a slot, else QUEUED.
            stored: the same, on its way to the store. A worker does not wait for it; where it fails, its task
                is stopped. The queue does.
        """
        if place.starts:
            self._reserved_slots -= 1
            stored.add_done_callback(partial(self._stop_unkept, job.id))
            self._start(next_attempt(job, spec), stored)
            return await stored
        try:
            job = await stored
        finally:
            self._reserved_places -= 1
        # Meanwhile it may have been paused, and even resumed again.
        if self._log.state(job.id) is JobState.QUEUED and self.jobs_ahead(job.id) is None:
            self.submit(job, spec)
            self.start()
        return job

    def submit(self, job: Job, spec: Spec) -> None:
        """Queue a job, being QUEUED, whether or not there is room; `start` lets it begin."""
        self._queue.add(next_attempt(job, spec), job.priority)

    def jobs_ahead(self, job: str) -> int | None:
        """How many jobs are ahead of one that is QUEUED; None when it does not wait."""
        # One that has a slot is QUEUED until it is stored that it runs.
        return 0 if job in self._running else self._queue.ahead_of(job)

    async def cancel(self, job: Job, reason: str = "") -> Job:
        """Stop a job that lives for good, and return it as it then stands. Asked again it changes nothing."""
        result = None
        if job.id not in self._running:
            result = await result_so_far(self._checkpoints, job.id, job.checkpoint_names)
        if running := self._running.get(job.id):
            return await self._cancel_running(job, running, reason)
        with self._taken_out(job.id), suppress(IllegalTransition):
            why = why_cancelled(job, result, reason)
            job = await keep(self._log, job.id, *cancelled(self._log.state(job.id), why, result))
            await self.remove_checkpoints(job.id)
            return job
        return await self._when(job, {JobState.CANCELLING})

    async def _cancel_running(self, job: Job, running: JobRun, reason: str) -> Job:
        asked = None
        # Not when another has asked already, or its last event is on its way to the store.
        with suppress(IllegalTransition):
            asked = self._log.append(job.id, StateChange(JobState.CANCELLING, reason))
        # At once: who does not wait for the store has cancelled the job all the same.
        running.stop(job.id, Stop.CANCEL, reason)
        with suppress(StorageFull):
            if asked:
                return await asked
        return await self._when(job, {JobState.CANCELLING})

    async def remove_strays(self, living: Collection[str]) -> None:
        """Remove what an earlier server has left of jobs that have ended."""
        for job in set(await asyncio.to_thread(self._checkpoints.jobs)) - set(living):
            await self.remove_checkpoints(job)

    async def remove_checkpoints(self, job: str) -> None:
        """Remove the checkpoints of a job that has ended."""
        await asyncio.to_thread(self._checkpoints.remove, job)

    async def pause(self, job: Job) -> Job:
        """Put a job that lives aside, and return it once it is PAUSED, or has ended before it could be.

        Raises:
            JobBeingCancelled: it will not be there to go on.
        """
        if running := self._running.get(job.id):
            if running.stopped_for is Stop.CANCEL:
                raise JobBeingCancelled(job.id)
            running.stop(job.id, Stop.PAUSE)
        else:
            with self._taken_out(job.id), suppress(IllegalTransition):
                return await self._log.append(job.id, StateChange(JobState.PAUSED))
        return await self._when(job, _PAUSED)

    async def resume(self, job: Job, spec: Spec) -> Job:
        """Queue a job again that is paused, or about to be; return any other that lives as it is.

        Raises:
            JobBeingCancelled: it is not there to go on.
            QueueFull: as many jobs wait as may.
        """
        if running := self._running.get(job.id):
            if running.stopped_for is Stop.CANCEL:
                raise JobBeingCancelled(job.id)
            if running.stopped_for is not Stop.PAUSE:
                return await self._when(job, _GOES_ON)
            job = await self._when(job, _PAUSED)
        if job.state is not JobState.PAUSED:
            return job
        if self._log.state(job.id) is not JobState.PAUSED:
            # Another has resumed or cancelled it, which is on its way to the store.
            return await self._when(job, _GOES_ON)
        place = self.reserve(job.priority)
        change = queued(place.jobs_ahead, "resumed")
        stored = self._log.append(job.id, change, *[StateChange(JobState.RUNNING)] * place.starts)
        started = replace(job, state=JobState.RUNNING, attempt=job.attempt + 1) if place.starts else job
        return await self.take(place, started, spec, stored)

    async def drain(self) -> None:
        """Start nothing more, and stop what runs with a checkpoint, for the next server to go on with."""
        self._draining = True
        if self._running:
            _logger.info("running jobs are put aside", extra={"jobs": list(self._running)})
        for job, running in self._running.items():
            running.stop(job, Stop.SERVER_STOPS)
        for running in self._runs.values():
            running.give_up()
        if self._runs:
            await asyncio.wait(self._runs)

    @contextmanager
    def _taken_out(self, job: str) -> Iterator[None]:
        """A job does not wait any more, unless the block fails."""
        entry = self._queue.remove(job)
        try:
            yield
        except BaseException:
            self._put_back(entry)
            raise

    def _put_back(self, entry: Entry | None) -> None:
        if entry and self._log.state(entry[2].job) is JobState.QUEUED:
            self._queue.put_back(entry)
            self.start()

    def _stop_unkept(self, job: str, stored: "asyncio.Future[Job]") -> None:
        """Stop the task of a job that could not be kept: its caller is told, its worker is free again."""
        if stored.exception() and job in self._running:
            self._executor.stop(job)

    def start(self) -> None:
        """Start what waits, as far as there are slots for it."""
        while len(self._queue) and not self._draining and self._free_slots > 0:
            task = self._queue.pop()
            # Not when it was cancelled or paused at the very moment when it was queued.
            with suppress(IllegalTransition):
                self._start(task, self._log.append(task.job, StateChange(JobState.RUNNING)))

    @property
    def _free_slots(self) -> int:
        return self._executor.slots - len(self._running) - self._reserved_slots

    def _start(self, task: Task, stored: "asyncio.Future[Job]") -> None:
        running = JobRun(self._log, self._executor, self._checkpoints, self._max_restarts)
        self._running[task.job] = running
        if self._draining:
            # It was admitted before.
            running.stop(task.job, Stop.SERVER_STOPS)
        leave = partial(self._leave, task.job, running)
        run = asyncio.create_task(running.run(task, stored, leave), name=f"job {task.job}")
        self._runs[run] = running
        run.add_done_callback(partial(self._finished, task.job, running))

    def _finished(self, job: str, running: JobRun, run: asyncio.Task[None]) -> None:
        del self._runs[run]
        self._leave(job, running)
        if not run.cancelled() and (error := run.exception()):
            _logger.error("a job was lost sight of", extra={"job": job}, exc_info=error)

    def _leave(self, job: str, running: JobRun) -> None:
        """Give the slot of a job free, if it has one still."""
        if self._running.get(job) is running:
            del self._running[job]
            self.start()

    async def _when(self, job: Job, states: Collection[JobState]) -> Job:
        """A job, once it is in one of some states, or has ended."""
        job = await self._log.get(job.id)
        if job.ended or job.state in states:
            return job
        async for _ in self._log.tail(job.id, job.last_sequence):
            job = await self._log.get(job.id)
            if job.ended or job.state in states:
                break
        return job
