"""Who watches: jobs that asked for it are cancelled when nobody has watched them for a while."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from gradstream_server.jobs.errors import RequestError
from gradstream_server.jobs.job import Job

_logger = logging.getLogger(__name__)

_LEAST_S = 0.01
"""For who has just started a job to begin to watch it, whatever the grace."""


class Presence:
    """Counts the watchers of jobs with `cancel_on_disconnect`. Lives on one event loop."""

    def __init__(self, grace_s: float, cancel: Callable[[str, str], Awaitable[Job]]) -> None:
        """
        Args:
            grace_s: how long a job may be without watchers.
            cancel: cancels a job, by its id, for a reason.
        """
        self._grace_s = grace_s
        self._cancel = cancel
        self._watchers: Counter[str] = Counter()
        self._absences: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def watching(self, job: Job) -> Iterator[None]:
        """Somebody watches a job while the block runs."""
        if not job.cancel_on_disconnect or job.ended:
            yield
            return
        self._watchers[job.id] += 1
        if absence := self._absences.pop(job.id, None):
            absence.cancel()
        try:
            yield
        finally:
            self._watchers[job.id] -= 1
            if not self._watchers[job.id]:
                del self._watchers[job.id]
                self.expect(job)

    def expect(self, job: Job) -> None:
        """Cancel a job that nobody watches, unless somebody comes in time."""
        if job.cancel_on_disconnect and job.id not in self._watchers and job.id not in self._absences:
            absence = asyncio.create_task(self._cancel_absent(job.id))
            self._absences[job.id] = absence
            absence.add_done_callback(lambda over: self._forget(job.id, over))

    def close(self) -> None:
        """Cancel nothing any more: watchers leave because the server stops."""
        self._grace_s = float("inf")
        for absence in list(self._absences.values()):
            absence.cancel()

    def _forget(self, job: str, over: asyncio.Task[None]) -> None:
        # Somebody may have come and left since it was cancelled: the absence that counts is then another.
        if self._absences.get(job) is over:
            del self._absences[job]

    async def _cancel_absent(self, job: str) -> None:
        await asyncio.sleep(max(self._grace_s, _LEAST_S))
        if job in self._watchers:
            return
        # It may have ended meanwhile.
        try:
            await self._cancel(job, f"nobody watched it for {self._grace_s:g} s")
            _logger.info("a job was cancelled because nobody watched it", extra={"job": job})
        except RequestError:
            pass
