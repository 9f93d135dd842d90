"""What a server does with the jobs that an earlier one has left."""

import asyncio
import logging
from collections.abc import Sequence

from gradstream_server.jobs.codec import Codec
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.presence import Presence
from gradstream_server.jobs.queue import queued
from gradstream_server.jobs.run import goes_on
from gradstream_server.jobs.runner import JobRunner
from gradstream_server.jobs.shared_data import SharedData
from gradstream_server.jobs.store import JobStore, StorageFull

_logger = logging.getLogger(__name__)

_RETRY_S = 1.0


class Recovery:
    """Goes on with jobs. One that cannot go on now keeps neither the server down nor the others waiting."""

    def __init__(
        self,
        store: JobStore,
        data: SharedData,
        log: EventLog,
        runner: JobRunner,
        codec: Codec,
        presence: Presence,
        slots: int,
    ) -> None:
        """
        Args:
            slots: jobs that start at once.
        """
        self._store = store
        self._data = data
        self._log = log
        self._runner = runner
        self._codec = codec
        self._presence = presence
        self._slots = slots
        self._again: asyncio.Task[None] | None = None

    async def recover(self) -> None:
        """Go on with all that has not ended: those of higher priority first, and among equals the oldest."""
        unfinished = sorted(await asyncio.to_thread(self._store.unfinished), key=lambda job: -job.priority)
        for job in unfinished:
            self._log.adopt(job)
        without_room = await self._take_up(unfinished)
        try:
            await self._runner.remove_strays({job.id for job in unfinished})
            await self._data.remove_strays()
        except Exception:
            _logger.exception("what an earlier server has left behind could not be removed")
        if without_room:
            self._again = asyncio.create_task(self._try_again(without_room))

    def close(self) -> None:
        """Leave to the next server what could not go on."""
        if self._again:
            self._again.cancel()

    async def _take_up(self, jobs: Sequence[Job]) -> list[Job]:
        """Go on with jobs; those for which the disk has no room now."""
        without_room = []
        waiting = 0
        for job in jobs:
            try:
                if job.state is JobState.CANCELLING:
                    await self._runner.cancel(job)
                    continue
                if job.state in (JobState.RUNNING, JobState.QUEUED):
                    await self._queue(job, max(0, waiting - self._slots))
                    waiting += 1
                self._presence.expect(job)
                _logger.info("goes on with a job", extra={"job": job.id, "state": job.state})
            except StorageFull:
                _logger.warning("the disk is full; a job waits for room", extra={"job": job.id})
                without_room.append(job)
            except Exception:
                _logger.exception("cannot go on with a job", extra={"job": job.id})
        self._runner.start()
        return without_room

    async def _queue(self, job: Job, ahead: int) -> None:
        spec = self._codec.decode_spec(job.spec)
        if job.state is JobState.RUNNING:
            change = queued(ahead, f"its server died; the job {goes_on(job)}")
            job = await self._log.append(job.id, change)
        self._runner.submit(job, spec)

    async def _try_again(self, jobs: Sequence[Job]) -> None:
        while jobs:
            await asyncio.sleep(_RETRY_S)
            # As they are by now: they may have been cancelled meanwhile.
            jobs = await self._take_up([now for job in jobs if (now := self._log.find(job.id))])
