"""Brings what is appended to logs to the store, in order, in as few transactions as possible."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from gradstream_server.jobs.job import Job
from gradstream_server.jobs.store import JobStore, VersionTaken, Write

T = TypeVar("T")


@dataclass
class Entry:
    """What is on its way to the store."""

    write: Write
    new: bool
    """Whether the job is."""
    stored: "asyncio.Future[Job]"
    with_version: Callable[[int], Write]
    """The same with another version of the model that it leaves."""


class LogWriter:
    """Stores entries in the order in which they come. Lives on one event loop, and has one thread."""

    def __init__(self, store: JobStore, settle: Callable[[Sequence[Entry], Exception | None], None]) -> None:
        """
        Args:
            settle: called on the event loop with what was stored together, or was not and for which reason.
        """
        self._store = store
        self._settle = settle
        self._pending: deque[Entry] = deque()
        self._gathering: asyncio.TimerHandle | None = None
        """Runs while nothing is written because more is expected."""
        self._idle = asyncio.Event()
        self._idle.set()
        # One thread writes: SQLite has one writer, and appends that gather meanwhile share a transaction.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-writer")

    def add(self, entry: Entry, gather_s: float = 0) -> None:
        """Store an entry.

        Args:
            gather_s: how long to wait for the next entry, to store both together. Whichever comes ends it.
        """
        self._pending.append(entry)
        if self._idle.is_set():
            self._idle.clear()
            if gather_s:
                self._gathering = asyncio.get_running_loop().call_later(gather_s, self._write_next)
            else:
                self._write_next()
        elif self._gathering:
            self._write_next()

    def take_back(self, jobs: Collection[str]) -> list[Entry]:
        """Take back what is still to be stored of some jobs."""
        taken = [entry for entry in self._pending if entry.write.job.id in jobs]
        self._pending = deque(entry for entry in self._pending if entry.write.job.id not in jobs)
        return taken

    async def in_turn(self, work: Callable[[], T]) -> T:
        """Do what else writes, in turn with the logs."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Finish writing."""
        await self._idle.wait()
        self._thread.shutdown()

    def _write_next(self) -> None:
        """Hand over what has gathered: a new job and its events, or all events up to the next new job."""
        if self._gathering:
            self._gathering.cancel()
            self._gathering = None
        first = self._pending.popleft()
        batch = [first]
        while self._pending and not self._pending[0].new:
            if first.new and self._pending[0].write.job.id != first.write.job.id:
                break
            batch.append(self._pending.popleft())
        self._thread.submit(self._store_batch, batch, asyncio.get_running_loop())

    def _store_batch(self, batch: list[Entry], loop: asyncio.AbstractEventLoop) -> None:
        """The thread's part."""
        error = None
        try:
            self._store_versioned(batch)
        except Exception as caught:  # noqa: BLE001 - whatever it is, those who wait for it have to know
            error = caught
        loop.call_soon_threadsafe(self._stored, batch, error)

    def _store_versioned(self, batch: list[Entry]) -> None:
        """Store a batch, with versions for the models of names that were asked for."""
        named = [entry for entry in batch if entry.write.model and entry.write.job.model_name]
        while True:
            given: dict[str, int] = {}
            for entry in named:
                assert entry.write.model
                name = entry.write.model.name
                given[name] = 1 + (given.get(name) or self._store.last_version(name))
                entry.write = entry.with_version(given[name])
            try:
                if batch[0].new:
                    return self._store.create(_together([entry.write for entry in batch]))
                return self._store.append([entry.write for entry in batch])
            except VersionTaken:
                # Another server was faster; or somebody has called a model as a job is called.
                named = [entry for entry in batch if entry.write.model]

    def _stored(self, batch: list[Entry], error: Exception | None) -> None:
        self._settle(batch, error)
        if self._pending:
            self._write_next()
        else:
            self._idle.set()


def _together(writes: Sequence[Write]) -> Write:
    """Successive entries of one log as one."""
    return Write(writes[-1].job, [record for write in writes for record in write.events], writes[-1].model)
