"""The logs of the jobs: append and tail.

An event is stored before anybody is told of it. The logs of jobs that live keep their newest events in memory
too, so that watchers who are up to date cost the store nothing; who is behind reads from the store, at his
own pace.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import ParamSpec, TypeVar

from gradstream_server.jobs.codec import Codec, EventRecord
from gradstream_server.jobs.errors import Draining, JobNotFound, SequenceBeyondLog
from gradstream_server.jobs.events import Event, result_of
from gradstream_server.jobs.job import IllegalTransition, Job, JobState, advance
from gradstream_server.jobs.log_writer import Entry, LogWriter
from gradstream_server.jobs.model import Model
from gradstream_server.jobs.store import JobStore, Write

P = ParamSpec("P")
T = TypeVar("T")

_TAIL_BYTES = 1 << 20
_PAGE_BYTES = 256 << 10
_ENDED = 16
"""Logs that have ended and are still at hand, as many as take `_ENDED_BYTES` together."""
_ENDED_BYTES = 4 << 20


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

    @property
    def size(self) -> int:
        """Bytes that it takes, as good as all of them."""
        return self.tail_bytes + len(self.stored.spec)

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
        self._ended: dict[str, _LiveLog] = {}
        """The logs that have ended last."""
        self._draining = False
        self.models_left = 0
        """How many models jobs have left since this log was opened."""
        self._writer = LogWriter(store, self._settle)

    def create(self, job: Job, *events: Event, gather_s: float = 0) -> "asyncio.Future[Job]":
        """Keep a new job with its first events, all or nothing.

        More can be appended at once; nobody finds the job before it is stored. The result fails with what the
        store raises, such as RequestIdTaken, and then there is no such job.

        Args:
            gather_s: how long to wait for what is appended next, to store both in one transaction.
        """
        self._live[job.id] = _LiveLog(job, job)
        return self._write(job.id, events, new=True, gather_s=gather_s)

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
        return self._write(job, events)

    def is_live(self, job: str) -> bool:
        """Whether a job lives, be it stored or on its way to the store."""
        return job in self._live

    def state(self, job: str) -> JobState | None:
        """What a job is after all that was appended, stored or not; None when it has ended, or never was."""
        live = self._live.get(job)
        return live.job.state if live else None

    def find(self, job: str) -> Job | None:
        """A job that lives, as it is stored; None when it has ended or never was."""
        live = self._live.get(job)
        return live.stored if live and live.stored.state else None

    async def get(self, job: str) -> Job:
        """A job, as it is stored.

        Raises:
            JobNotFound: there is no such job.
        """
        ended = self._ended.get(job)
        found = ended.stored if ended else self.find(job) or await asyncio.to_thread(self._store.get, job)
        if found is None:
            raise JobNotFound(job)
        return found

    async def delete(self, job: str) -> None:
        """Remove a job that has ended, and its log."""
        self._ended.pop(job, None)
        await self.in_turn(self._store.delete, job)

    async def in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what else writes, in turn with the logs."""
        return await self._writer.in_turn(partial(work, *args, **kwargs))

    async def tail(
        self, job: str, after: int, idle_s: float | None = None
    ) -> AsyncIterator[Sequence[EventRecord]]:
        """The events after a sequence, as they are there, to the end of the log.

        Args:
            idle_s: nothing is yielded, an empty sequence, whenever for so long nothing has happened, and at
                once when there is nothing to begin with.

        Raises:
            JobNotFound: there is no such job.
            SequenceBeyondLog: the log does not go as far.
            Draining: the server stops; there is more to come when it is back.
        """
        last = (await self.get(job)).last_sequence
        if after > last:
            raise SequenceBeyondLog(job, after, last)
        # Held on to: a log that ends meanwhile leaves `_live`, but its newest events are still here.
        live = self._live.get(job) or self._ended.get(job)
        patience_s = idle_s if idle_s is None or after < last else 0
        while True:
            grown = live.grown if live else None
            if records := await self._read(job, live, after):
                yield records
                after = records[-1].sequence
                patience_s = idle_s
            elif live is None or grown is None or live.stored.ended:
                if after < (live.stored.last_sequence if live else last):
                    # It was deleted meanwhile.
                    raise JobNotFound(job)
                return
            elif self._draining:
                raise Draining
            else:
                try:
                    async with asyncio.timeout(patience_s):
                        await grown.wait()
                except TimeoutError:
                    yield ()
                    patience_s = idle_s

    def dismiss(self) -> None:
        """Tell everybody who waits for something to happen that here nothing will any more."""
        self._draining = True
        for live in self._live.values():
            live.grown.set()

    async def close(self) -> None:
        """Finish writing."""
        await self._writer.close()

    async def _read(self, job: str, live: _LiveLog | None, after: int) -> Sequence[EventRecord]:
        if live:
            if after >= live.stored.last_sequence:
                return ()
            if live.tail and live.tail[0].sequence <= after + 1:
                # The tail has no gaps: as many as are new, from its end.
                new = live.tail[-1].sequence - after
                return list(islice(reversed(live.tail), new))[::-1]
        return await asyncio.to_thread(self._store.events, job, after, _PAGE_BYTES)

    def _encode(self, job: Job, events: Sequence[Event], time: datetime, version: int = 0) -> Write:
        """What is to be stored. Which version a model of a name gets, only the writer knows."""
        records = []
        model = None
        for event in events:
            job = advance(job, event, time)
            if version and job.model_version:
                job = replace(job, model_version=version)
            records.append(EventRecord(job.last_sequence, self._codec.encode_event(job, event, time)))
        if job.model_version and (result := result_of(events[-1])):
            outcome = self._codec.encode_outcome(result)
            model = Model(job.model_key, job.model_version, job.id, time, job.spec, outcome)
        return Write(job, records, model)

    def _write(
        self, job: str, events: Sequence[Event], new: bool = False, gather_s: float = 0
    ) -> "asyncio.Future[Job]":
        live = self._live.get(job)
        if live is None:
            raise IllegalTransition(f"job {job} has ended")
        encode = partial(self._encode, live.job, events, datetime.now(UTC))
        write = encode()
        live.job = write.job
        entry = Entry(write, new, asyncio.get_running_loop().create_future(), encode)
        self._writer.add(entry, gather_s)
        return entry.stored

    def _settle(self, batch: Sequence[Entry], error: Exception | None) -> None:
        """Tell those who wait what became of a batch."""
        if error:
            self._forget(error, batch)
            return
        for entry in batch:
            job = entry.write.job
            self.models_left += entry.write.model is not None
            self._live[job.id].publish(entry.write)
            if job.ended:
                self._remember(job.id, self._live.pop(job.id))
            if not entry.stored.cancelled():
                entry.stored.set_result(job)

    def _remember(self, job: str, ended: _LiveLog) -> None:
        """Keep a log that has just ended at hand: who has started the job is about to read it."""
        self._ended[job] = ended
        while len(self._ended) > _ENDED or sum(log.size for log in self._ended.values()) > _ENDED_BYTES:
            del self._ended[next(iter(self._ended))]

    def _forget(self, error: Exception, batch: Sequence[Entry]) -> None:
        """Nothing of a batch was stored, and so nothing that follows it can be: logs have no gaps."""
        failed = {entry.write.job.id for entry in batch}
        following = self._writer.take_back(failed)
        for job in failed:
            self._live[job].job = self._live[job].stored
        if batch[0].new:
            del self._live[batch[0].write.job.id]
        for entry in [*batch, *following]:
            if not entry.stored.cancelled():
                entry.stored.set_exception(error)
                entry.stored.exception()  # Who appends more than once waits for the last of them only.
