"""One job in its slot: as many attempts as it takes, and what becomes of it after each."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from enum import Enum, auto
from functools import partial

from gradstream_server.jobs.checkpoint import CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed, Completed, StateChange
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
        self._server_stops = False

    def stop(self, job: str, why: Stop) -> None:
        """Stop the attempt that runs, at the end of its epoch.

        What was asked first counts; but cancelling always does, and pausing before the stop of the server.
        """
        if (
            self.stopped_for is None
            or why is Stop.CANCEL
            or (why is Stop.PAUSE and self.stopped_for is Stop.SERVER_STOPS)
        ):
            self.stopped_for = why
        self._server_stops |= why is Stop.SERVER_STOPS
        self._executor.stop(job)

    async def run(self, task: Task, stored: "asyncio.Future[Job]", leave: Callable[[], None]) -> None:
        """Run a job.

        Args:
            task: the first attempt.
            stored: the job, being RUNNING, on its way to the store.
            leave: called when the job steps aside, before anybody can know.
        """
        try:
            job, interrupted = await self._attempt(task, stored)
            while interrupted:
                change = await self._after(job, interrupted)
                stored = self._log.append(job.id, change)
                if change.state != JobState.RUNNING:
                    # From here on it may be resumed: by then it must have left.
                    leave()
                    job = await stored
                    break
                task = next_attempt(await stored, task.spec)
                job, interrupted = await self._attempt(task, stored)
        except Exception as error:
            if not self._log.is_live(task.job):
                # It never was kept, which its caller is told.
                return
            _logger.error("a job cannot go on", extra={"job": task.job}, exc_info=_surprise(error))
            job = await self._fail(task.job, error)
        if job.ended and (job.checkpoints or job.attempt > 1):
            await asyncio.to_thread(self._checkpoints.remove, job.id)

    async def _attempt(self, task: Task, stored: "asyncio.Future[Job]") -> tuple[Job, Interrupted | None]:
        """Run a task to its end: the job as it then is stored, and what has come between, if anything."""
        if stored.done() or self.stopped_for:
            # Stopped between two attempts, or never kept: there is nothing to begin with.
            job = await stored
            if self.stopped_for:
                return job, Interrupted()
        timer = self._stop_in_time(task)
        # The worker does not wait for the store, as long as it is not too far ahead of it.
        ahead = deque([stored])
        kept = deque(reversed(task.checkpoints))
        kept_job: Job | None = None
        interrupted = None
        try:
            async with aclosing(self._executor.run(task)) as happenings:
                async for said in happenings:
                    if isinstance(said, Interrupted):
                        interrupted = said
                        break
                    if not self._log.is_live(task.job):
                        continue
                    while ahead and (len(ahead) > _MAX_AHEAD or ahead[0].done()):
                        # Where one write has failed, none may follow.
                        kept_job = await ahead.popleft()
                    ahead.append(self._log.append(task.job, *said))
                    kept.extend(event.name for event in said if isinstance(event, Checkpointed))
                    while len(kept) > KEPT_CHECKPOINTS:
                        ahead[-1].add_done_callback(partial(self._outdate, task.job, kept.popleft()))
            for stored in ahead:
                kept_job = await stored
            assert kept_job, "at least that it runs has been stored"
            return kept_job, interrupted
        finally:
            if timer:
                timer.cancel()

    async def _after(self, job: Job, interrupted: Interrupted) -> StateChange:
        """What becomes of a job whose attempt was interrupted."""
        killed = "the trainer did not stop in time and was killed; " if interrupted.killed else ""
        if self.stopped_for is Stop.CANCEL:
            result = interrupted.result_so_far or await result_so_far(self._checkpoints, job)
            return StateChange(JobState.CANCELLED, killed and killed[:-2], result_so_far=result)
        if self.stopped_for is Stop.PAUSE:
            return StateChange(JobState.PAUSED, killed + f"resumed, it {goes_on(job)}")
        if self.stopped_for is Stop.SERVER_STOPS:
            return queued(0, f"the server is stopping; after its next start the job {goes_on(job)}")
        if self.stopped_for is Stop.TIME_IS_UP:
            message = "it has run as long as its max_seconds allows; give it more, or fewer epochs"
            fault = Fault(FaultReason.TIME_LIMIT_EXCEEDED, message)
        else:
            died = interrupted.died or Fault(FaultReason.WORKER_DIED, "its worker stopped")
            if job.restarts < self._max_restarts:
                _logger.warning("a job is started again", extra={"job": job.id, "because": died.message})
                return StateChange(JobState.RUNNING, f"{died.message}; the job {goes_on(job)}")
            message = f"{died.message}, and the job had been started again {job.restarts} times already"
            fault = Fault(died.reason, message, died.facts)
        result = interrupted.result_so_far or await result_so_far(self._checkpoints, job)
        return StateChange(JobState.FAILED, fault.message, fault=fault, result_so_far=result)

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
        while not self._server_stops:
            try:
                return await self._log.append(job, StateChange(JobState.FAILED, message, fault=fault))
            except IllegalTransition:
                return await self._log.get(job)
            except Exception as again:
                what = "the end of a job cannot be stored; trying again"
                _logger.error(what, extra={"job": job}, exc_info=_surprise(again))
                # Nothing tells when a disk has room again.
                await asyncio.sleep(_RETRY_S)
        # The next server goes on with it.
        return await self._log.get(job)


async def result_so_far(checkpoints: CheckpointStore, job: Job) -> Completed | None:
    """What a job has reached by its newest checkpoint that can be used."""
    for kept in job.checkpoints:
        with suppress(CheckpointUnusable):
            return (await asyncio.to_thread(checkpoints.read, job.id, kept.name)).result
    return None


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
        checkpoints=tuple(kept.name for kept in job.checkpoints),
        earlier_attempts_s=job.earlier_attempts_s,
    )
