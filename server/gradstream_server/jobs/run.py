"""One job in its slot: as many attempts as it takes, and what becomes of it after each."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from functools import partial

from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.ending import cancelled, keep, leaves_result, result_so_far, why_cancelled
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed, Completed, Event, StateChange, Warned
from gradstream_server.jobs.executor import Executor, Interrupted, Task
from gradstream_server.jobs.job import KEPT_CHECKPOINTS, IllegalTransition, Job, JobState
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.queue import queued
from gradstream_server.jobs.spec import Spec
from gradstream_server.jobs.store import StorageFull

_logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_MAX_AHEAD = 8


class Stop(Enum):
    """What a job that runs is stopped for."""

    CANCEL = auto()
    PAUSE = auto()
    TIME_IS_UP = auto()
    SERVER_STOPS = auto()


class JobRun:
    """Runs one job until it has ended or steps aside. Lives on one event loop."""

    def __init__(
        self, log: EventLog, executor: Executor, checkpoints: CheckpointStore, max_restarts: int
    ) -> None:
        """
        Args:
            max_restarts: how often a job is started again because its worker has died.
        """
        self._log = log
        self._executor = executor
        self._checkpoints = checkpoints
        self._max_restarts = max_restarts
        self.stopped_for: Stop | None = None
        self._cancelled_because = ""
        self._server_stops = False
        self._may_have_checkpoints = False

    def stop(self, job: str, why: Stop, reason: str = "") -> None:
        """Stop the attempt that runs, at the end of its epoch. The reason is for the log of a cancelled job.

        What was asked first counts; but cancelling always does, and pausing before the stop of the server.
        """
        if (
            self.stopped_for is None
            or why is Stop.CANCEL
            or (why is Stop.PAUSE and self.stopped_for is Stop.SERVER_STOPS)
        ):
            self.stopped_for = why
        self._cancelled_because = self._cancelled_because or reason
        if why is Stop.SERVER_STOPS:
            self.give_up()
        self._executor.stop(job)

    def give_up(self) -> None:
        """Wait for room no longer: the next server goes on."""
        self._server_stops = True

    async def run(self, task: Task, stored: "asyncio.Future[Job]", leave: Callable[[], None]) -> None:
        """Run a job.

        Args:
            task: the first attempt.
            stored: the job, being RUNNING, on its way to the store.
            leave: called when the job steps aside, before anybody can know.
        """
        try:
            job = await self._attempts(task, stored, leave)
        except Exception as error:
            if self._log.state(task.job) in (None, JobState.PAUSED):
                # That it runs never was kept, which its caller is told.
                return
            _logger.error("a job cannot go on", extra={"job": task.job}, exc_info=_surprise(error))
            job = await self._fail(task.job, error)
        # A first attempt that succeeds has told of each checkpoint that it wrote, or could not write.
        if job.ended and (self._may_have_checkpoints or job.attempt > 1 or job.state != JobState.SUCCEEDED):
            leave()
            await asyncio.to_thread(self._checkpoints.remove, job.id)

    async def _attempts(self, task: Task, stored: "asyncio.Future[Job]", leave: Callable[[], None]) -> Job:
        """Run a job's attempts until it has ended or steps aside."""
        job, interrupted = await self._first_attempt(task, stored)
        while interrupted:
            *before, change = await self._after(job, interrupted)
            if change.state != JobState.RUNNING:
                # From here on it may be resumed: by then it must have left.
                leave()
                return await self._keep(job.id, *before, change)
            if again := await self._begin(job.id, change):
                job, interrupted = await self._attempt(next_attempt(await again, task.spec), again)
            else:
                interrupted = Interrupted()
        return job

    async def _first_attempt(
        self, task: Task, stored: "asyncio.Future[Job]"
    ) -> tuple[Job, Interrupted | None]:
        try:
            return await self._attempt(task, stored)
        except StorageFull:
            if self._log.state(task.job) is not JobState.QUEUED:
                raise
        # It waits still, and has lost nothing; what was trained meanwhile is trained again.
        _logger.warning("the disk is full; a job waits for room", extra={"job": task.job})
        if self.stopped_for is Stop.TIME_IS_UP:
            self.stopped_for = None
        if begun := await self._begin(task.job, StateChange(JobState.RUNNING)):
            return await self._attempt(task, begun)
        return await self._log.get(task.job), Interrupted()

    async def _begin(self, job: str, change: StateChange) -> "asyncio.Future[Job] | None":
        """Store that an attempt begins, as soon as there is room; None when it is stopped before."""
        while not self.stopped_for:
            stored = self._log.append(job, change)
            try:
                await stored
            except StorageFull:
                await asyncio.sleep(_RETRY_S)
            else:
                return stored
        return None

    async def _attempt(self, task: Task, stored: "asyncio.Future[Job]") -> tuple[Job, Interrupted | None]:
        """Run a task to its end: the job as it then is stored, and what has come between, if anything."""
        if stored.done() or self.stopped_for:
            # Stopped between two attempts, or never kept: there is nothing to begin with.
            job = await stored
            if self.stopped_for:
                return job, Interrupted()
        timer = None

        def begins() -> None:
            # That a worker has to be started is no time of the job's.
            nonlocal timer
            timer = timer or self._stop_in_time(task)

        # The worker does not wait for the store, as long as it is not too far ahead of it.
        ahead = deque([stored])
        kept = deque(reversed(task.checkpoints))
        kept_job: Job | None = None
        interrupted = None
        try:
            async with aclosing(self._executor.run(task, begins)) as happenings:
                async for said in happenings:
                    if isinstance(said, Interrupted):
                        interrupted = said
                        break
                    if not self._log.is_live(task.job):
                        continue
                    while ahead and (len(ahead) > _MAX_AHEAD or ahead[0].done()):
                        # Where one write has failed, none may follow.
                        kept_job = await ahead.popleft()
                    outdated = self._note_checkpoints(task.job, kept, said)
                    ahead.append(self._log.append(task.job, *await self._with_result(task, said, kept)))
                    for name in outdated:
                        ahead[-1].add_done_callback(partial(self._outdate, task.job, name))
            for stored in ahead:
                kept_job = await stored
            assert kept_job, "at least that it runs has been stored"
            return kept_job, interrupted
        finally:
            if timer:
                timer.cancel()

    def _note_checkpoints(self, job: str, kept: deque[str], said: Sequence[Event]) -> list[str]:
        """Bring the names of those that are kept, the oldest first, up to date; those that go."""
        gone = []
        for event in said:
            if isinstance(event, Warned):
                _logger.warning("a job warns", extra={"job": job, "because": event.message})
            match event:
                case Checkpointed(name=name):
                    kept.append(name)
                case Warned(checkpoint=name) if name in kept:
                    kept.remove(name)
                    gone.append(name)
            self._may_have_checkpoints |= isinstance(event, Checkpointed | Warned)
        while len(kept) > KEPT_CHECKPOINTS:
            gone.append(kept.popleft())
        return gone

    async def _with_result(self, task: Task, said: Sequence[Event], kept: deque[str]) -> Sequence[Event]:
        """What was said; if it fails the job, with what this had reached."""
        *before, last = said
        if not isinstance(last, StateChange) or not last.fault or not leaves_result(last.fault):
            return said
        result = await result_so_far(self._checkpoints, task.job, reversed(kept))
        return [*before, replace(last, result_so_far=result)]

    async def _after(self, job: Job, interrupted: Interrupted) -> list[StateChange]:
        """What becomes of a job whose attempt was interrupted."""
        killed = "the trainer did not stop in time and was killed; " if interrupted.killed else ""
        if self.stopped_for is Stop.CANCEL:
            result = interrupted.result_so_far or await self._result_so_far(job)
            why = why_cancelled(job, result, self._cancelled_because, killed[:-2])
            return cancelled(self._log.state(job.id), why, result)
        if self.stopped_for is Stop.PAUSE:
            return [StateChange(JobState.PAUSED, killed + f"resumed, it {goes_on(job)}")]
        if self.stopped_for is Stop.SERVER_STOPS:
            return [queued(0, f"the server is stopping; after its next start the job {goes_on(job)}")]
        if self.stopped_for is Stop.TIME_IS_UP:
            message = "it has run as long as its max_seconds allows; give it more, or fewer epochs"
            fault = Fault(FaultReason.TIME_LIMIT_EXCEEDED, message)
        else:
            died = interrupted.died or Fault(FaultReason.WORKER_DIED, "its worker stopped")
            if job.restarts < self._max_restarts:
                _logger.warning("a job is started again", extra={"job": job.id, "because": died.message})
                return [StateChange(JobState.RUNNING, f"{died.message}; the job {goes_on(job)}")]
            message = f"{died.message}, and the job had been started again {job.restarts} times already"
            fault = Fault(died.reason, message, died.facts)
        result = interrupted.result_so_far or await self._result_so_far(job)
        return [StateChange(JobState.FAILED, fault.message, fault=fault, result_so_far=result)]

    async def _result_so_far(self, job: Job) -> Completed | None:
        return await result_so_far(self._checkpoints, job.id, job.checkpoint_names)

    def _stop_in_time(self, task: Task) -> asyncio.TimerHandle | None:
        if not task.spec.max_seconds:
            return None
        left_s = max(0.0, task.spec.max_seconds - task.earlier_attempts_s)
        return asyncio.get_running_loop().call_later(left_s, self.stop, task.job, Stop.TIME_IS_UP)

    def _outdate(self, job: str, name: str, stored: "asyncio.Future[Job]") -> None:
        """Remove a checkpoint that newer ones, now in the log, have made superfluous."""
        if not stored.cancelled() and not stored.exception():
            asyncio.get_running_loop().run_in_executor(None, self._checkpoints.discard, job, name)

    async def _fail(self, job: str, error: Exception) -> Job:
        """End a job whose log could not be written. Without that it would be RUNNING for ever."""
        if isinstance(error, StorageFull):
            message = "the server's disk is full, and what came next was lost; make room, then start it again"
            fault = Fault(FaultReason.STORAGE_FULL, message)
        else:
            message = f"the server could not keep what happened; its log tells more under job {job}"
            fault = Fault(FaultReason.TRAINER_FAILED, message)
        kept = await self._log.get(job)
        if self._server_stops:
            # The next server goes on with it.
            return kept
        result = await self._result_so_far(kept)
        if self.stopped_for is Stop.CANCEL:
            return await self._keep(job, *cancelled(self._log.state(job), message, result))
        return await self._keep(job, StateChange(JobState.FAILED, message, fault=fault, result_so_far=result))

    async def _keep(self, job: str, *changes: StateChange) -> Job:
        """Store what becomes of a job, as soon as that is possible, unless the server stops before."""
        while True:
            try:
                return await keep(self._log, job, *changes)
            except IllegalTransition:
                break
            except Exception as error:
                what = "what becomes of a job cannot be stored; trying again"
                _logger.error(what, extra={"job": job}, exc_info=_surprise(error))
            if self._server_stops:
                break
            # Nothing tells when a disk has room again.
            await asyncio.sleep(_RETRY_S)
        return await self._log.get(job)


def goes_on(job: Job) -> str:
    """From where the next attempt at a job trains, for people."""
    return f"goes on after epoch {job.checkpoints[0].epoch}" if job.checkpoints else "begins again"


def _surprise(error: Exception) -> Exception | None:
    """An error whose origin the log has to tell."""
    return None if isinstance(error, StorageFull) else error


def next_attempt(job: Job, spec: Spec) -> Task:
    """The next attempt at a job; the one that runs, where it is RUNNING already."""
    return Task(
        job=job.id,
        spec=spec,
        attempt=job.attempt if job.state is JobState.RUNNING else job.attempt + 1,
        has_started=job.has_started,
        reported_epochs=job.epochs_done,
        checkpoints=job.checkpoint_names,
        earlier_attempts_s=job.earlier_attempts_s,
    )
