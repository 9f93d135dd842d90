"""What callers can do with jobs: the use cases, free of transport."""

import asyncio
import base64
import logging
import secrets
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime

from gradstream_server.jobs.codec import Codec, EventRecord
from gradstream_server.jobs.errors import (
    Draining,
    InvalidRequest,
    JobAlreadyEnded,
    QueueFull,
    RequestIdReused,
    Violation,
)
from gradstream_server.jobs.estimate import Estimate, estimate
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Device, Executor, Task
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.runner import JobRunner, Place, stopped
from gradstream_server.jobs.spec import InlineData, Spec, SpecRequest
from gradstream_server.jobs.store import DataStore, JobStore, RequestIdTaken
from gradstream_server.trainers.registry import TRAINERS

_logger = logging.getLogger(__name__)

_ID_BYTES = 10  # 16 letters and digits in base 32
# Requests of this many numbers are checked beside the event loop, so that they do not hold up other calls.
_LARGE_REQUEST = 50_000


class JobService:
    """Creates, finds, lists, watches and cancels jobs."""

    def __init__(
        self,
        store: JobStore,
        data: DataStore,
        log: EventLog,
        runner: JobRunner,
        executor: Executor,
        codec: Codec,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self._store = store
        self._data = data
        self._log = log
        self._runner = runner
        self._executor = executor
        self._codec = codec
        self._draining = False
        self._admitting: set[asyncio.Task[Job]] = set()

    async def recover(self) -> None:
        """Take over the jobs that an earlier server has left: who waited waits on, the others have failed."""
        for job in await asyncio.to_thread(self._store.unfinished):
            self._log.adopt(job)
            if job.state is JobState.QUEUED:
                self._runner.submit(Task(job.id, self._codec.decode_spec(job.spec)))
            else:
                await self._log.append(job.id, stopped())
            _logger.info("took over a job", extra={"job": job.id, "state": job.state})

    async def drain(self, patience_s: float) -> None:
        """Admit no more jobs, and let those that run end within the patience."""
        self._draining = True
        if self._admitting:
            await asyncio.wait(self._admitting)
        await self._runner.drain(patience_s)

    async def create(self, request: SpecRequest, request_id: str) -> Job:
        """Start a job, or return the one that the request id has started before. An empty id is a new one.

        Raises:
            InvalidRequest, DeviceNotAvailable, RequestIdReused, QueueFull, Draining: nothing was kept.
        """
        if self._draining:
            raise Draining
        request_id = _checked_request_id(request_id)
        spec, data = await self._resolve(request)
        body = self._codec.encode_spec(spec)
        # What was refused leaves nothing, and that of an id used again is told before its data are kept.
        if spec.data.inline and (existing := await self._find(request_id)):
            return self._same(existing, body)
        if self._draining:  # Since.
            raise Draining
        try:
            place = self._runner.reserve()
        except QueueFull:
            if existing := await self._find(request_id):
                return self._same(existing, body)
            raise
        # A caller who leaves now must not leave half a job behind.
        admitting = asyncio.create_task(self._admit(spec, data, body, request_id, place))
        self._admitting.add(admitting)
        admitting.add_done_callback(self._admitting.discard)
        return await asyncio.shield(admitting)

    async def _admit(self, spec: Spec, data: InlineData, body: bytes, request_id: str, place: Place) -> Job:
        """Keep a job whose place is reserved, and queue it; or return the one of the same request."""
        try:
            if spec.data.inline:
                await asyncio.to_thread(self._data.put, spec.data.digest, data)
            job_id = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()
            job = Job(id=job_id, request_id=request_id, spec=body, create_time=datetime.now(UTC))
            first = [_queued(place.jobs_ahead)] + [StateChange(JobState.RUNNING)] * place.starts
            created = self._log.create(job, *first)
        except BaseException:
            self._runner.release(place)
            raise
        self._runner.take(place, Task(job.id, spec), created)
        try:
            return await created
        except RequestIdTaken:
            if existing := await self._find(request_id):
                return self._same(existing, body)
            raise

    async def _find(self, request_id: str) -> Job | None:
        return await asyncio.to_thread(self._store.find_request, request_id)

    async def validate(self, request: SpecRequest) -> tuple[Spec, Estimate]:
        """The spec that `create` would make, and what it would take.

        Raises:
            InvalidSpec, DeviceNotAvailable: as `create`.
        """
        spec, _ = await self._resolve(request)
        return spec, estimate(spec)

    async def get(self, job: str) -> Job:
        """A job, as it stands.

        Raises:
            JobNotFound: there is no such job.
        """
        return await self._log.get(job)

    async def page(
        self, states: Collection[JobState], before: int | None, size: int
    ) -> tuple[Sequence[Job], int | None]:
        """A page of jobs, newest first, and where the next begins."""
        return await asyncio.to_thread(self._store.page, states, before, size)

    def jobs_ahead(self, job: Job) -> int | None:
        """How many jobs are ahead of one that waits; None when it does not wait."""
        return self._runner.jobs_ahead(job.id) if job.state is JobState.QUEUED else None

    async def cancel(self, job: str) -> Job:
        """Ask a job to stop, and return it as it then stands.

        Raises:
            JobNotFound: there is no such job.
            JobAlreadyEnded: it has succeeded or failed.
        """
        found = await self._log.get(job)
        if found.state is JobState.CANCELLED:
            return found
        if found.ended:
            raise JobAlreadyEnded(job, str(found.state))
        job_now = await self._runner.cancel(found)
        if job_now.ended and job_now.state is not JobState.CANCELLED:
            raise JobAlreadyEnded(job, str(job_now.state))
        return job_now

    def watch(self, job: str, after: int) -> AsyncIterator[Sequence[EventRecord]]:
        """The events of a job after a sequence, as they come, to the end of its log.

        Raises:
            JobNotFound, SequenceBeyondLog: with the first item asked for.
        """
        return self._log.tail(job, after)

    async def devices(self) -> Sequence[Device]:
        """The devices there are, the preferred one first."""
        return await self._executor.devices()

    @property
    def load(self) -> tuple[int, int, int]:
        """Slots, jobs that run, and jobs that wait."""
        return self._executor.slots, self._runner.running, self._runner.queued

    async def _resolve(self, request: SpecRequest) -> tuple[Spec, InlineData]:
        # "cpu" is everywhere; every other name has to wait until a worker has told what there is.
        devices = ["cpu"] if request.device == "cpu" else [device.name for device in await self.devices()]
        arguments = (request, devices, TRAINERS, self.limits)
        if request.data and request.data.features.size > _LARGE_REQUEST:
            return await asyncio.to_thread(resolve, *arguments)
        return resolve(*arguments)

    @staticmethod
    def _same(existing: Job, spec: bytes) -> Job:
        if existing.spec != spec:
            raise RequestIdReused(existing.request_id, existing.id)
        return existing


def _checked_request_id(request_id: str) -> str:
    try:
        parsed = uuid.UUID(request_id) if request_id else uuid.uuid4()
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 4:
        what = f"is {request_id!r}; it has to be a UUID of version 4, such as {uuid.uuid4()}"
        raise InvalidRequest([Violation("request_id", what)])
    return str(parsed)


def _queued(ahead: int) -> StateChange:
    reason = f"waits for {ahead} {'job' if ahead == 1 else 'jobs'} ahead" if ahead else ""
    return StateChange(JobState.QUEUED, reason=reason, jobs_ahead=ahead)
