"""The logs of the jobs: append and tail.

An event is stored before anybody is told of it. The logs of jobs that live keep their newest events in memory
too, so that watchers who are up to date cost the store nothing; who is behind reads from the store, at his
own pace.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from gradstream_server.jobs.codec import Codec, EventRecord
from gradstream_server.jobs.errors import JobNotFound, SequenceBeyondLog
from gradstream_server.jobs.events import Event
from gradstream_server.jobs.job import Job, advance
from gradstream_server.jobs.store import JobStore, Write

_TAIL_BYTES = 1 << 20
_PAGE_BYTES = 256 << 10


@dataclass
class _LiveLog:
    """The log of a job that has not ended."""

    job: Job
    """After every event that was appended, stored or on its way to the store."""
    stored: Job
    """After every event that is stored: what the world may know."""
    tail: deque[EventRecord] = field(default_factory=deque)
    tail_bytes: int = 0
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, write: Write) -> None:
        """Show what was stored, and wake who waits for it."""
        self.stored = write.job
        self.tail.extend(write.events)
        self.tail_bytes += sum(len(record.body) for record in write.events)
        while self.tail_bytes > _TAIL_BYTES and len(self.tail) > 1:
            self.tail_bytes -= len(self.tail.popleft().body)
        self.grown.set()
        self.grown = asyncio.Event()


class EventLog:
    """Appends to logs and tails them. Lives on one event loop."""

    def __init__(self, store: JobStore, codec: Codec) -> None:
        self._store = store
        self._codec = codec
        self._live: dict[str, _LiveLog] = {}
        self._pending: list[tuple[Write, asyncio.Future[Job]]] = []
        self._writing: asyncio.Task[None] | None = None
        # One thread writes: SQLite has one writer, and appends that gather meanwhile share a transaction.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="log-writer")

    async def create(self, job: Job, *events: Event) -> Job:
        """Keep a new job with its first events, all or nothing.

        Raises:
            RequestIdTaken: a job with its request id is there already.
        """
        write = self._encode(job, events)
        live = _LiveLog(write.job, job)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._store.create, write)
        self._live[job.id] = live
        live.publish(write)
        return write.job

    def adopt(self, job: Job) -> None:
        """Go on with the log of an unfinished job that an earlier server has left."""
        self._live[job.id] = _LiveLog(job, job)

    def append(self, job: str, *events: Event) -> "asyncio.Future[Job]":
        """Add events to the log of a job that lives.

        The order is that of the calls. The result, the job after the events, is there once they are stored;
        it fails with what the store raises, and then nothing appended since is stored either.

        Raises:
            IllegalTransition: the job's state does not allow an event.
        """
        live = self._live[job]
        write = self._encode(live.job, events)
        live.job = write.job
        stored: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._pending.append((write, stored))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_pending())
        return stored

    def find(self, job: str) -> Job | None:
        """A job that lives, as it is stored; None when it has ended or never was."""
        live = self._live.get(job)
        return live.stored if live else None

    async def get(self, job: str) -> Job:
        """A job, as it is stored.

        Raises:
            JobNotFound: there is no such job.
        """
        found = self.find(job) or await asyncio.to_thread(self._store.get, job)
        if found is None:
            raise JobNotFound(job)
        return found

    async def tail(self, job: str, after: int) -> AsyncIterator[Sequence[EventRecord]]:
        """The events after a sequence, as they are there, to the end of the log.

        Raises:
            JobNotFound: there is no such job.
            SequenceBeyondLog: the log does not go as far.
        """
        last = (await self.get(job)).last_sequence
        if after > last:
            raise SequenceBeyondLog(job, after, last)
        # Held on to: a log that ends meanwhile leaves `_live`, but its newest events are still here.
        live = self._live.get(job)
        while True:
            grown = live.grown if live else None
            if records := await self._read(job, live, after):
                yield records
                after = records[-1].sequence
            elif live is None or grown is None or live.stored.ended:
                return
            else:
                await grown.wait()

    async def close(self) -> None:
        """Finish writing."""
        while self._writing:
            await asyncio.wait([self._writing])
        self._writer.shutdown()

    async def _read(self, job: str, live: _LiveLog | None, after: int) -> Sequence[EventRecord]:
        if live:
            if after >= live.stored.last_sequence:
                return ()
            if live.tail and live.tail[0].sequence <= after + 1:
                # The tail has no gaps: as many as are new, from its end.
                new = live.tail[-1].sequence - after
                return list(islice(reversed(live.tail), new))[::-1]
        return await asyncio.to_thread(self._store.events, job, after, _PAGE_BYTES)

    def _encode(self, job: Job, events: Sequence[Event]) -> Write:
        time = datetime.now(UTC)
        records = []
        for event in events:
            job = advance(job, event, time)
            records.append(EventRecord(job.last_sequence, self._codec.encode_event(job, event, time)))
        return Write(job, records)

    async def _write_pending(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                writes = [write for write, _ in batch]
                try:
                    await loop.run_in_executor(self._writer, self._store.append, writes)
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for it have to know
                    self._forget(error, batch)
                    continue
                for write, stored in batch:
                    self._live[write.job.id].publish(write)
                    if write.job.ended:
                        del self._live[write.job.id]
                    if not stored.cancelled():
                        stored.set_result(write.job)
        finally:
            self._writing = None

    def _forget(self, error: Exception, batch: list[tuple[Write, asyncio.Future[Job]]]) -> None:
        """Nothing of a batch was stored, and so nothing that follows it can be: logs have no gaps."""
        failed = {write.job.id for write, _ in batch}
        following = [entry for entry in self._pending if entry[0].job.id in failed]
        self._pending = [entry for entry in self._pending if entry[0].job.id not in failed]
        for job in failed:
            self._live[job].job = self._live[job].stored
        for _, stored in batch + following:
            if not stored.cancelled():
                stored.set_exception(error)
                stored.exception()  # Who appends more than once waits for the last of them only.
