"""Runs jobs: a bounded queue, as many jobs at once as the executor has slots, and as many attempts at each as
it takes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from gradstream_server.jobs.checkpoint import CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.errors import Fault, FaultReason, JobBeingCancelled, QueueFull
from gradstream_server.jobs.events import Checkpointed, Completed, StateChange
from gradstream_server.jobs.executor import Executor, Interrupted, Task
from gradstream_server.jobs.job import KEPT_CHECKPOINTS, IllegalTransition, Job, JobState
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.queue import JobQueue
from gradstream_server.jobs.spec import Spec
from gradstream_server.jobs.store import StorageFull

_logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_MAX_AHEAD = 8


@dataclass(frozen=True)
class Place:
    """A reserved place: a free slot, or a place in the queue."""

    jobs_ahead: int
    starts: bool
    """Whether the job starts at once."""


class _Stop(Enum):
    """What a running job was stopped for."""

    CANCEL = auto()
    PAUSE = auto()
    TIME_IS_UP = auto()
    SERVER_STOPS = auto()


@dataclass
class _Running:
    """A job that runs."""

    attempts: asyncio.Task[None]
    stop: _Stop | None = None


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
        self._running: dict[str, _Running] = {}
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
            self._start_next()
        else:
            self._reserved_places -= 1

    def take(self, place: Place, job: Job, spec: Spec, stored: "asyncio.Future[Job]") -> None:
        """Run a job in its reserved slot, being RUNNING; or queue it, being QUEUED.

        Args:
            stored: the job being that, on its way to the store. A worker does not wait until the job is
                stored. Where it cannot be, its task is stopped.
        """
        if place.starts:
            self._reserved_slots -= 1
            stored.add_done_callback(partial(self._stop_unkept, job.id))
            self._start(_task(job, spec), stored)
        else:
            self._reserved_places -= 1
            self.submit(job, spec)

    def submit(self, job: Job, spec: Spec) -> None:
        """Queue a job, being QUEUED, whether or not there is room."""
        self._queue.add(_task(job, spec), job.priority)
        self._start_next()

    def jobs_ahead(self, job: str) -> int | None:
        """How many jobs are ahead of one that waits; None when it does not wait."""
        return self._queue.ahead_of(job)

    async def cancel(self, job: Job) -> Job:
        """Stop a job that lives for good, and return it as it then stands. Asked again it changes nothing."""
        result = None if job.id in self._running else await self._reached(job)
        asked = None
        # Not when another has asked already, or its last event is on its way to the store.
        with suppress(IllegalTransition):
            if running := self._running.get(job.id):
                asked = self._log.append(job.id, StateChange(JobState.CANCELLING))
                running.stop = _Stop.CANCEL
            else:
                self._queue.remove(job.id)
                asked = self._log.append(job.id, StateChange(JobState.CANCELLED, result_so_far=result))
        if running:
            # At once: who does not wait for the store has cancelled the job all the same.
            self._executor.stop(job.id)
        if asked:
            job = await asked
            if job.ended:
                await self._remove_checkpoints(job)
            return job
        return await self._when(job, lambda now: now.ended or now.state is JobState.CANCELLING)

    async def cancel_left(self, job: Job) -> None:
        """End a job that an earlier server was cancelling."""
        result = await self._reached(job)
        job = await self._log.append(job.id, StateChange(JobState.CANCELLED, result_so_far=result))
        await self._remove_checkpoints(job)

    async def remove_strays(self, living: Collection[str]) -> None:
        """Remove what an earlier server has left of jobs that have ended."""
        for job in set(await asyncio.to_thread(self._checkpoints.jobs)) - set(living):
            await asyncio.to_thread(self._checkpoints.remove, job)

    async def pause(self, job: Job) -> Job:
        """Put a job that lives aside, and return it once it is PAUSED, or has ended before it could be.

        Raises:
            JobBeingCancelled: it will not be there to go on.
        """
        if running := self._running.get(job.id):
            if running.stop is _Stop.CANCEL:
                raise JobBeingCancelled(job.id)
            if running.stop is not _Stop.TIME_IS_UP:
                running.stop = _Stop.PAUSE
            self._executor.stop(job.id)
        else:
            self._queue.remove(job.id)
            with suppress(IllegalTransition):
                return await self._log.append(job.id, StateChange(JobState.PAUSED))
        return await self._when(job, lambda now: now.state is not JobState.RUNNING)

    async def resume(self, job: Job, spec: Spec) -> Job:
        """Queue a job again that is paused, or about to be; return any other that lives as it is.

        Raises:
            JobBeingCancelled: it is not there to go on.
            QueueFull: as many jobs wait as may.
        """
        if running := self._running.get(job.id):
            if running.stop is _Stop.CANCEL:
                raise JobBeingCancelled(job.id)
            if running.stop is not _Stop.PAUSE:
                return job
            job = await self._when(job, lambda now: now.state is not JobState.RUNNING)
        if job.state is not JobState.PAUSED:
            return job
        place = self.reserve(job.priority)
        try:
            change = queued(place.jobs_ahead, "resumed")
            changes = [change] + [StateChange(JobState.RUNNING)] * place.starts
            stored = self._log.append(job.id, *changes)
        except IllegalTransition:
            # Another has resumed or cancelled it.
            self.release(place)
            return await self._log.get(job.id)
        self.take(place, job, spec, stored)
        return await stored

    async def drain(self) -> None:
        """Start nothing more, and stop what runs with a checkpoint, for the next server to go on with."""
        self._draining = True
        if self._running:
            _logger.info("running jobs are put aside", extra={"jobs": list(self._running)})
        attempts = []
        for job, running in self._running.items():
            running.stop = running.stop or _Stop.SERVER_STOPS
            self._executor.stop(job)
            attempts.append(running.attempts)
        if attempts:
            await asyncio.wait(attempts)

    def _stop_unkept(self, job: str, stored: "asyncio.Future[Job]") -> None:
        """Stop the task of a job that could not be kept: its caller is told, its worker is free again."""
        if stored.exception():
            self._executor.stop(job)

    def _start_next(self) -> None:
        while len(self._queue) and not self._draining and self._free_slots > 0:
            task = self._queue.pop()
            self._start(task, self._log.append(task.job, StateChange(JobState.RUNNING)))

    @property
    def _free_slots(self) -> int:
        return self._executor.slots - len(self._running) - self._reserved_slots

    def _start(self, task: Task, stored: "asyncio.Future[Job]") -> None:
        attempts = asyncio.create_task(self._run(task, stored), name=f"job {task.job}")
        self._running[task.job] = _Running(attempts)
        attempts.add_done_callback(partial(self._finished, task.job))

    def _finished(self, job: str, done: asyncio.Task[None]) -> None:
        del self._running[job]
        if not done.cancelled() and (error := done.exception()):
            _logger.error("a job was lost sight of", extra={"job": job}, exc_info=error)
        self._start_next()

    async def _run(self, task: Task, stored: "asyncio.Future[Job]") -> None:
        """Run a job, in as many attempts as it takes, until it leaves its slot."""
        try:
            while interrupted := await self._attempt(task, stored):
                if not self._log.is_live(task.job):
                    return
                job = await self._log.get(task.job)
                stored = self._log.append(job.id, await self._after(job, interrupted))
                job = await stored
                if job.state is not JobState.RUNNING:
                    break
                task = _task(job, task.spec)
        except Exception as error:
            if not self._log.is_live(task.job):
                return
            _logger.exception("a job cannot go on", extra={"job": task.job})
            await self._fail(task.job, error)
        job = await self._log.get(task.job)
        if job.ended and (job.checkpoints or job.attempt > 1):
            await self._remove_checkpoints(job)

    async def _attempt(self, task: Task, stored: "asyncio.Future[Job]") -> Interrupted | None:
        """Run a task to its end; what has come between, if something has."""
        timer = self._stop_in_time(task)
        # The worker does not wait for the store, as long as it is not too far ahead of it.
        ahead = deque([stored])
        kept = deque(reversed(task.checkpoints))
        try:
            async with aclosing(self._executor.run(task)) as happenings:
                async for said in happenings:
                    if not self._log.is_live(task.job):
                        continue
                    if isinstance(said, Interrupted):
                        while ahead:
                            await ahead.popleft()
                        return said
                    while len(ahead) > _MAX_AHEAD or (ahead and ahead[-1].done()):
                        # Where one write has failed, none may follow.
                        await ahead.popleft()
                    ahead.append(self._log.append(task.job, *said))
                    kept.extend(event.name for event in said if isinstance(event, Checkpointed))
                    while len(kept) > KEPT_CHECKPOINTS:
                        ahead[-1].add_done_callback(partial(self._outdate, task.job, kept.popleft()))
            while ahead:
                await ahead.popleft()
            return None
        finally:
            if timer:
                timer.cancel()

    async def _after(self, job: Job, interrupted: Interrupted) -> StateChange:
        """What becomes of a job whose attempt was interrupted."""
        stop = self._running[job.id].stop
        goes_on = f"goes on after epoch {job.checkpoints[0].epoch}" if job.checkpoints else "begins again"
        killed = "the trainer did not stop in time and was killed; " if interrupted.killed else ""
        if stop is _Stop.CANCEL:
            result = interrupted.result_so_far or await self._reached(job)
            return StateChange(JobState.CANCELLED, killed and killed[:-2], result_so_far=result)
        if stop is _Stop.PAUSE:
            return StateChange(JobState.PAUSED, killed + f"resumed, it {goes_on}")
        if stop is _Stop.SERVER_STOPS:
            return queued(0, f"the server is stopping; after its next start the job {goes_on}")
        if stop is _Stop.TIME_IS_UP:
            message = "it has run as long as its max_seconds allows; give it more, or fewer epochs"
            fault = Fault(FaultReason.TIME_LIMIT_EXCEEDED, message)
        else:
            died = interrupted.died or Fault(FaultReason.WORKER_DIED, "its worker stopped")
            if job.restarts < self._max_restarts:
                _logger.warning("a job is started again", extra={"job": job.id, "because": died.message})
                return StateChange(JobState.RUNNING, f"{died.message}; the job {goes_on}")
            message = f"{died.message}, and the job had been started again {job.restarts} times already"
            fault = Fault(died.reason, message, died.facts)
        result = interrupted.result_so_far or await self._reached(job)
        return StateChange(JobState.FAILED, fault.message, fault=fault, result_so_far=result)

    def _stop_in_time(self, task: Task) -> asyncio.TimerHandle | None:
        if not task.spec.max_seconds:
            return None
        left_s = max(0.0, task.spec.max_seconds - task.earlier_attempts_s)
        return asyncio.get_running_loop().call_later(left_s, self._time_is_up, task.job)

    def _time_is_up(self, job: str) -> None:
        running = self._running[job]
        running.stop = running.stop or _Stop.TIME_IS_UP
        self._executor.stop(job)

    def _outdate(self, job: str, name: str, stored: "asyncio.Future[Job]") -> None:
        """Remove a checkpoint that newer ones, now in the log, have made superfluous."""
        if not stored.cancelled() and not stored.exception():
            asyncio.get_running_loop().run_in_executor(None, self._checkpoints.discard, job, name)

    async def _reached(self, job: Job) -> Completed | None:
        """What a job has reached by its newest checkpoint."""
        for kept in job.checkpoints:
            with suppress(CheckpointUnusable):
                return (await asyncio.to_thread(self._checkpoints.read, job.id, kept.name)).result
        return None

    async def _remove_checkpoints(self, job: Job) -> None:
        await asyncio.to_thread(self._checkpoints.remove, job.id)

    async def _when(self, job: Job, so: Callable[[Job], bool]) -> Job:
        """A job, once it stands so, or has ended."""
        job = await self._log.get(job.id)
        if so(job) or job.ended:
            return job
        async for _ in self._log.tail(job.id, job.last_sequence):
            job = await self._log.get(job.id)
            if so(job) or job.ended:
                break
        return job

    async def _fail(self, job: str, error: Exception) -> None:
        """End a job whose log could not be written. Without that it would be RUNNING for ever."""
        if isinstance(error, StorageFull):
            message = "the server's disk is full, and what came next was lost; make room, then start it again"
            fault = Fault(FaultReason.STORAGE_FULL, message)
        else:
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


def queued(ahead: int, reason: str = "") -> StateChange:
    """What is said to a job that waits."""
    waits = f"waits for {ahead} {'job' if ahead == 1 else 'jobs'} ahead" if ahead else ""
    return StateChange(JobState.QUEUED, "; ".join(filter(None, (reason, waits))), jobs_ahead=ahead)


def _task(job: Job, spec: Spec) -> Task:
    """The next attempt at a job; the one that runs, where it is RUNNING already."""
    return Task(
        job=job.id,
        spec=spec,
        attempt=job.attempt if job.state is JobState.RUNNING else job.attempt + 1,
        has_started=job.has_started,
        reported_epochs=job.epochs_done,
        checkpoints=tuple(kept.name for kept in job.checkpoints),
        earlier_attempts_s=job.earlier_attempts_s,
    )
