"""A job service wired from a real log, runner and codec, with an executor in the test's own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.jobs.in_process import HeldStore, InProcessExecutor

from gradstream.v1 import event_pb2
from gradstream_server.jobs.job import Job
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.runner import JobRunner
from gradstream_server.jobs.service import JobService
from gradstream_server.jobs.spec import InlineData, SpecRequest
from gradstream_server.rpc.codec import ProtoCodec


@dataclass
class DataDigests:
    """A data store that remembers what it was given."""

    kept: set[str] = field(default_factory=set)

    def put(self, digest: str, data: InlineData) -> None:
        assert len(data.features)
        self.kept.add(digest)


@dataclass
class Serving:
    """A service and what it is made of."""

    service: JobService
    executor: InProcessExecutor
    store: HeldStore
    data: DataDigests

    async def create(self, request_id: str = "", **fields: Any) -> Job:
        """Start a job: the manual reference experiment, unless fields say otherwise."""
        return await self.service.create(SpecRequest("manual", device="cpu", **fields), request_id)

    async def running(self, **fields: Any) -> Job:
        """Start a job, and wait until it has told that it runs."""
        job = await self.create(**fields)
        await self.executor.has_begun(job.id)
        async for _ in self.service.watch(job.id, 2):
            break  # All that it tells before it waits is stored.
        return job

    async def story(self, job: str) -> list[str]:
        """What happens to a job, to its end: its states, with `...` for training between them."""
        told: list[str] = []
        async for records in self.service.watch(job, 0):
            for record in records:
                event = event_pb2.TrainingEvent.FromString(record.body)
                state = event_pb2.JobState.Name(event.state_change.state).removeprefix("JOB_STATE_")
                name = {"state_change": state, "completed": "SUCCEEDED"}.get(event.WhichOneof("event"), "...")
                if [name] != told[-1:]:
                    told.append(name)
        return told

    async def end(self, *jobs: Job) -> list[str]:
        """Let jobs go on, and return the states they end in."""
        self.executor.let_go(*(job.id for job in jobs))
        return [(await self.story(job.id))[-1] for job in jobs]


@asynccontextmanager
async def serving(store: HeldStore, slots: int = 1, max_queued: int = 100) -> AsyncIterator[Serving]:
    """A service that serves until the block ends, and is then drained at once."""
    executor, codec, data = InProcessExecutor(slots), ProtoCodec(), DataDigests()
    log = EventLog(store, codec)
    runner = JobRunner(log, executor, max_queued)
    service = JobService(store, data, log, runner, executor, codec, Limits(max_queued_jobs=max_queued))
    try:
        yield Serving(service, executor, store, data)
    finally:
        store.release()
        await service.drain(0)
        await log.close()
