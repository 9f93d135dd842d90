"""A job service wired from a real log, runner and codec, with an executor in the test's own process."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.jobs.in_process import HeldStore, InProcessExecutor

from gradstream.v1 import event_pb2
from gradstream_server.access.principal import Principal
from gradstream_server.data.dataset import Dataset
from gradstream_server.jobs.errors import DatasetNotFound
from gradstream_server.jobs.job import Job
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.runner import JobRunner
from gradstream_server.jobs.service import JobService
from gradstream_server.jobs.spec import InlineData, SpecRequest
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.stores.checkpoints import FileCheckpoints


@dataclass
class DataInMemory:
    """A data store that forgets when the test is over."""

    kept: dict[str, InlineData] = field(default_factory=dict)

    def put(self, digest: str, data: InlineData) -> None:
        self.kept[digest] = InlineData(data.features, data.targets)

    def get(self, digest: str) -> InlineData | None:
        return self.kept.get(digest)

    def remove(self, digest: str) -> None:
        self.kept.pop(digest, None)

    def digests(self) -> set[str]:
        return set(self.kept)


@dataclass
class KeptModels:
    """Keeps nothing but the names of the jobs that were about to be deleted."""

    asked: list[str] = field(default_factory=list)

    def keep(self, job: str) -> None:
        self.asked.append(job)


@dataclass
class Serving:
    """A service and what it is made of."""

    service: JobService
    executor: InProcessExecutor
    store: HeldStore
    data: DataInMemory
    models: KeptModels
    checkpoints: FileCheckpoints
    log: EventLog

    async def create(self, request_id: str = "", **fields: Any) -> Job:
        """Start a job: the manual reference experiment, unless fields say otherwise."""
        beside = ("priority", "cancel_on_disconnect", "group", "model_name")
        asked = {name: fields.pop(name) for name in beside if name in fields}
        return await self.service.create(SpecRequest("manual", device="cpu", **fields), request_id, **asked)

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
                what = {"state_change": state, "completed": "SUCCEEDED", "warning": event.warning.reason}
                name = what.get(str(event.WhichOneof("event")), "...")
                if [name] != told[-1:]:
                    told.append(name)
        return told

    async def last_event(self, job: str) -> event_pb2.TrainingEvent:
        """The last event of a job's log as it stands."""
        last = (await self.service.get(job)).last_sequence
        (record,) = self.store.events(job, last - 1, 1)
        return event_pb2.TrainingEvent.FromString(record.body)

    async def end(self, *jobs: Job) -> list[str]:
        """Let jobs go on, and return the states they end in."""
        self.executor.let_go(*(job.id for job in jobs))
        return [(await self.story(job.id))[-1] for job in jobs]


def no_dataset(digest: str, _caller: Principal) -> Dataset:
    """Where there are no data sets."""
    raise DatasetNotFound(digest)


@asynccontextmanager
async def serving(
    store: HeldStore,
    slots: int = 1,
    max_queued: int = 100,
    max_restarts: int = 3,
    disconnect_grace_s: float = 60,
    keep_ended_s: float = 0,
    checkpoints: Path | None = None,
    data: DataInMemory | None = None,
) -> AsyncIterator[Serving]:
    """A service that serves until the block ends, and is then drained."""
    with tempfile.TemporaryDirectory() as folder:
        executor, codec, data = InProcessExecutor(slots), ProtoCodec(), data or DataInMemory()
        files = FileCheckpoints(checkpoints or Path(folder))
        models = KeptModels()
        log = EventLog(store, codec)
        runner = JobRunner(log, executor, files, max_queued, max_restarts)
        service = JobService(
            store,
            data,
            models,
            log,
            runner,
            executor,
            no_dataset,
            codec,
            Limits(max_queued_jobs=max_queued),
            disconnect_grace_s=disconnect_grace_s,
            keep_ended_s=keep_ended_s,
        )
        try:
            yield Serving(service, executor, store, data, models, files, log)
        finally:
            store.release()
            await service.drain()
            await log.close()
