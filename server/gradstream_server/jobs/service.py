"""What callers can do with jobs: the use cases, free of transport."""

import asyncio
import base64
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from gradstream_server.access.principal import UNRESTRICTED, Principal
from gradstream_server.data.dataset import Dataset
from gradstream_server.jobs.codec import Codec, EventRecord
from gradstream_server.jobs.errors import (
    Draining,
    InvalidSpec,
    JobAlreadyEnded,
    JobBeingCancelled,
    JobNotEnded,
    JobNotFound,
    NoRoom,
    QueueFull,
    RequestIdReused,
    Violation,
)
from gradstream_server.jobs.estimate import Estimate, estimate
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Device, Executor
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.presence import Presence
from gradstream_server.jobs.queue import queued
from gradstream_server.jobs.recovery import Recovery
from gradstream_server.jobs.request_fields import check_name, check_priority, checked_request_id
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.retention import delete_outdated
from gradstream_server.jobs.runner import JobRunner, Place
from gradstream_server.jobs.shared_data import SharedData
from gradstream_server.jobs.spec import InlineData, KnownData, Spec, SpecRequest
from gradstream_server.jobs.store import DataStore, JobStore, ModelKeeper, RequestIdTaken, StorageFull
from gradstream_server.trainers.registry import TRAINERS

_logger = logging.getLogger(__name__)
T = TypeVar("T")

_DIGEST = re.compile("[0-9a-f]{64}")
_ID_BYTES = 10  # 16 letters and digits in base 32
_GATHER_S = 0.02
# Requests of this many numbers are checked beside the event loop, so that they do not hold up other calls.
_LARGE_REQUEST = 50_000


class JobService:
    """Creates, finds, lists, watches, stops and deletes jobs."""

    def __init__(
        self,
        store: JobStore,
        data: DataStore,
        models: ModelKeeper,
        log: EventLog,
        runner: JobRunner,
        executor: Executor,
        find_dataset: Callable[[str, Principal], Dataset],
        codec: Codec,
        limits: Limits,
        disconnect_grace_s: float,
        keep_ended_s: float,
    ) -> None:
        """
        Args:
            find_dataset: the data set of a digest, as a caller has it; raises DatasetNotFound.
            limits: what a request may ask for at most.
            disconnect_grace_s: how long nobody may watch a job with `cancel_on_disconnect`.
            keep_ended_s: how long jobs are kept that have ended; 0 for ever.
        """
        self.limits = limits
        self.disconnect_grace_s = disconnect_grace_s
        self._keep_ended_s = keep_ended_s
        self._store = store
        self._data = SharedData(store, data)
        self._models = models
        self._log = log
        self._runner = runner
        self._executor = executor
        self._find_dataset = find_dataset
        self._codec = codec
        self._presence = Presence(disconnect_grace_s, self.cancel)
        self._retention: asyncio.Task[None] | None = None
        self._draining = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self._recovery = Recovery(store, self._data, log, runner, codec, self._presence, executor.slots)

    async def recover(self) -> None:
        """Go on with the jobs that an earlier server has left."""
        await self._recovery.recover()
        if self._keep_ended_s:
            self._retention = asyncio.create_task(
                delete_outdated(self._store, self.delete, self._keep_ended_s)
            )

    async def drain(self) -> None:
        """Admit no more jobs, and put those that run aside, for the next server to go on with."""
        self._draining = True
        self._presence.close()
        self._recovery.close()
        if self._retention:
            self._retention.cancel()
        await self._runner.drain()
        # What waits for something to happen to a job ends with it.
        self._log.dismiss()
        if self._under_way:
            await asyncio.wait(self._under_way)
        # Jobs that were being admitted may have begun since.
        await self._runner.drain()

    async def create(
        self,
        request: SpecRequest,
        request_id: str = "",
        priority: int = 0,
        cancel_on_disconnect: bool = False,
        group: str = "",
        model_name: str = "",
        caller: Principal = UNRESTRICTED,
    ) -> Job:
        """Start a job, or return the one that the request id has started before. An empty id is a new one.

        Raises:
            InvalidRequest, DatasetNotFound, DeviceNotAvailable, RequestIdReused, Busy, Draining: nothing was
                kept.
        """
        if self._draining:
            raise Draining
        check_priority(priority)
        check_name("group", group)
        check_name("model_name", model_name)
        spec, data = await self.resolve(request, caller)
        job = Job(
            id=base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower(),
            owner=caller.name,
            request_id=checked_request_id(request_id),
            spec=self._codec.encode_spec(spec),
            create_time=datetime.now(UTC),
            data_digest=spec.data.digest if spec.data.inline or spec.data.selection else "",
            validation_digest=spec.validation.dataset if spec.validation else "",
            priority=priority,
            cancel_on_disconnect=cancel_on_disconnect,
            group=group,
            model_name=model_name,
        )
        # What was refused leaves nothing, and that of an id used again is told before its data are kept.
        if spec.data.inline and (existing := await self._find(job)):
            return existing
        if self._draining:  # Since.
            raise Draining
        try:
            place = self._runner.reserve(priority)
        except QueueFull:
            if existing := await self._find(job):
                return existing
            raise
        return await self._to_the_end(self._admit(job, spec, data, place))

    async def _admit(self, job: Job, spec: Spec, data: InlineData | None, place: Place) -> Job:
        """Keep a job whose place is reserved, and queue it; or return the one of the same request."""
        taken = False
        try:
            async with self._data.kept(job.data_digest, data) if data else nullcontext():
                first = [queued(place.jobs_ahead)] + [StateChange(JobState.RUNNING)] * place.starts
                # A short training has ended within moments: then one transaction keeps all of it.
                created = self._log.create(job, *first, gather_s=_GATHER_S if place.starts else 0)
                taken = True
                started = replace(job, state=JobState.RUNNING, attempt=1) if place.starts else job
                kept = await self._runner.take(place, started, spec, created)
            self._presence.expect(kept)
            return kept
        except RequestIdTaken:
            if existing := await self._find(job):
                return existing
            raise
        finally:
            if not taken:
                self._runner.release(place)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it even when the caller leaves: he must not leave half a job behind.

        Raises:
            NoRoom: the disk is full.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except StorageFull as error:
            raise NoRoom from error

    async def _find(self, job: Job) -> Job | None:
        """The job that the same request has made before.

        Raises:
            RequestIdReused: it was another request with the same id.
        """
        existing = await asyncio.to_thread(self._store.find_request, job.request_id, job.owner)
        if existing is None:
            return None
        for same in ("spec", "priority", "cancel_on_disconnect", "group", "model_name"):
            if getattr(existing, same) != getattr(job, same):
                raise RequestIdReused(existing.request_id, existing.id)
        return existing

    async def validate(self, request: SpecRequest, caller: Principal = UNRESTRICTED) -> tuple[Spec, Estimate]:
        """The spec that `create` would make, and what it would take.

        Raises:
            InvalidSpec, DeviceNotAvailable: as `create`.
        """
        spec, _ = await self.resolve(request, caller)
        return spec, estimate(spec)

    async def get(self, job: str, caller: Principal = UNRESTRICTED) -> Job:
        """A job, as it stands.

        Raises:
            JobNotFound: there is no such job, or it is somebody else's.
        """
        found = await self._log.get(job)
        if not caller.sees(found.owner):
            raise JobNotFound(job)
        return found

    async def page(
        self,
        states: Collection[JobState],
        before: int | None,
        size: int,
        group: str = "",
        caller: Principal = UNRESTRICTED,
    ) -> tuple[Sequence[Job], int | None]:
        """A page of the caller's jobs, newest first, of a group or of all, and where the next begins.

        Raises:
            InvalidRequest: no job can be of such a group.
        """
        check_name("group", group)
        return await asyncio.to_thread(self._store.page, states, before, size, group, caller.only)

    def jobs_ahead(self, job: Job) -> int | None:
        """How many jobs are ahead of one that waits; None when it does not wait."""
        return self._runner.jobs_ahead(job.id) if job.state is JobState.QUEUED else None

    async def cancel(self, job: str, reason: str = "", caller: Principal = UNRESTRICTED) -> Job:
        """Ask a job to stop, for a reason that its log tells, and return it as it then stands.

        Raises:
            JobNotFound: there is no such job.
            JobAlreadyEnded: it has succeeded or failed.
        """
        found = await self.get(job, caller)
        if not found.ended:
            found = await self._to_the_end(self._runner.cancel(found, reason))
        if found.ended and found.state is not JobState.CANCELLED:
            raise JobAlreadyEnded(job, str(found.state), "cancelled")
        return found

    async def pause(self, job: str, caller: Principal = UNRESTRICTED) -> Job:
        """Put a job aside, and return it once it is PAUSED.

        Raises:
            JobNotFound: there is no such job.
            JobAlreadyEnded: it has ended, at last before it could be paused.
            JobBeingCancelled: it will not be there to go on.
        """
        found = await self.get(job, caller)
        if not found.ended:
            found = await self._to_the_end(self._runner.pause(found))
        return _living(found, "paused")

    async def resume(self, job: str, caller: Principal = UNRESTRICTED) -> Job:
        """Queue a paused job again, and return it as it then stands.

        Raises:
            JobNotFound: there is no such job.
            JobAlreadyEnded, JobBeingCancelled: it is not there to go on.
            QueueFull, Draining: not now.
        """
        found = await self.get(job, caller)
        if self._draining and found.state is JobState.PAUSED:
            raise Draining
        if not found.ended:
            found = await self._to_the_end(self._runner.resume(found, self._codec.decode_spec(found.spec)))
        return _living(found, "resumed")

    async def delete(self, job: str, caller: Principal = UNRESTRICTED) -> None:
        """Delete a job that has ended, with its log, and its data when no other job has the same.

        Its model is kept.

        Raises:
            NoRoom: the disk has none for the model.
            JobNotFound: there is no such job.
            JobNotEnded: it lives.
        """
        found = await self.get(job, caller)
        if not found.ended:
            raise JobNotEnded(job, str(found.state))
        await self._to_the_end(self._delete(found))

    async def _delete(self, job: Job) -> None:
        await self._log.in_turn(self._models.keep, job.id)
        await self._log.delete(job.id)
        await self._runner.remove_checkpoints(job.id)
        if job.data_digest:
            await self._data.forget(job.data_digest)

    async def watch(
        self, job: str, after: int, idle_s: float | None = None, caller: Principal = UNRESTRICTED
    ) -> AsyncIterator[Sequence[EventRecord]]:
        """The events of a job after a sequence, as they come, to the end of its log.

        Args:
            idle_s: nothing is yielded, an empty sequence, whenever for so long nothing has happened.

        Raises:
            JobNotFound, SequenceBeyondLog: with the first item asked for.
        """
        with self._presence.watching(await self.get(job, caller)):
            async for records in self._log.tail(job, after, idle_s):
                yield records

    async def devices(self) -> Sequence[Device]:
        """The devices there are, the preferred one first."""
        return await self._executor.devices()

    @property
    def load(self) -> tuple[int, int, int]:
        """Slots, jobs that run, and jobs that wait."""
        return self._executor.slots, self._runner.running, self._runner.queued

    async def resolve(
        self, request: SpecRequest, caller: Principal = UNRESTRICTED
    ) -> tuple[Spec, InlineData | None]:
        """The resolved spec, and the inline data of it, which nobody has kept yet.

        Raises:
            InvalidSpec, DatasetNotFound, DeviceNotAvailable: as `create`.
        """
        if request.known_data and request.data is None:
            request = replace(request, data=await self._known(request.known_data, caller))
        # "cpu" is everywhere; every other name has to wait until a worker has told what there is.
        devices = ["cpu"] if request.device == "cpu" else [device.name for device in await self.devices()]
        dataset = self._find_dataset(request.selection.dataset, caller) if request.selection else None
        other = request.validation.dataset if request.validation else None
        validation_dataset = self._find_dataset(other, caller) if other is not None else None
        arguments = (request, devices, TRAINERS, self.limits, dataset, validation_dataset)
        if request.data and request.data.features.size > _LARGE_REQUEST:
            return await asyncio.to_thread(resolve, *arguments), request.data
        return resolve(*arguments), request.data

    async def _known(self, table: KnownData, caller: Principal) -> InlineData:
        """The data that a request names by their digest."""
        found = None
        if _DIGEST.fullmatch(table.digest):
            found = await self._data.get(table.digest, caller.only)
        if found is None:
            what = f"is {table.digest!r}, which this server does not have; send the numbers too"
            raise InvalidSpec([Violation("spec.inline_data.digest", what)])
        return replace(found, feature_names=table.feature_names, target_names=table.target_names)


def _living(job: Job, done: str) -> Job:
    """A job that can go on."""
    if job.ended:
        raise JobAlreadyEnded(job.id, str(job.state), done)
    if job.state is JobState.CANCELLING:
        raise JobBeingCancelled(job.id)
    return job
