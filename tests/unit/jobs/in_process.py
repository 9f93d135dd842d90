"""Parts of a server in the test's own process: an executor on its event loop, and a store to hold up."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from gradstream_server.jobs.checkpoint import Checkpoint
from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.errors import Fault
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    Receipt,
    Started,
    StateChange,
)
from gradstream_server.jobs.executor import Device, Interrupted, Task
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.store import JobStore, StorageFull, Write

_PATIENCE_S = 20


class InProcessExecutor:
    """Tells of epochs, one an event. Each attempt waits after its first event until the test lets it go."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.begun: list[str] = []
        """Jobs whose attempts have begun, in order."""
        self.tasks: list[Task] = []
        """The same attempts."""
        self.most_at_once = 0
        self.tells: deque[Sequence[Event]] = deque()
        """What the next attempt tells first, once it is let go."""
        self.dies: deque[Fault] = deque()
        """What the workers of the next attempts die of, one each, once they are let go."""
        self.has_workers = asyncio.Event()
        """Cleared while the workers still start."""
        self.has_workers.set()
        self.fails: deque[StateChange] = deque()
        """What ends the next attempts, one each, once they are let go."""
        self._running = 0
        self._began: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._may_go_on: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._attempts: set[str] = set()
        self.stopped: set[str] = set()

    async def devices(self) -> Sequence[Device]:
        return [Device("cpu", "this process")]

    async def run(
        self, task: Task, begins: Callable[[], None]
    ) -> AsyncGenerator[Sequence[Event] | Interrupted, None]:
        self.begun.append(task.job)
        self.tasks.append(task)
        self._began[task.job].set()
        self._attempts.add(task.job)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            await self.has_workers.wait()
            begins()
            if not task.has_started:
                yield [Started(rows=4, features=1, targets=1, parameters={})]
            await self._may_go_on[task.job].wait()
            while self.tells:
                yield self.tells.popleft()
            if self.dies:
                yield Interrupted(died=self.dies.popleft())
                return
            if self.fails:
                yield [self.fails.popleft()]
                return
            for epoch in range(task.reported_epochs + 1, task.spec.epochs):
                yield [epochs(epoch)]
                if task.job in self.stopped:
                    yield [Checkpointed(epoch, f"{task.attempt}-{epoch}")]
                    yield Interrupted(result_so_far=completed(epoch))
                    return
            yield [epochs(task.spec.epochs), completed(task.spec.epochs)]
        finally:
            self._running -= 1
            self._attempts.remove(task.job)
            if task.job in self.stopped:
                self.stopped.remove(task.job)
                self._may_go_on[task.job].clear()
            self._ended[task.job].set()

    def stop(self, job: str) -> None:
        if job not in self._attempts:
            return
        self.stopped.add(job)
        self.has_workers.set()
        self._may_go_on[job].set()

    def let_go(self, *jobs: str) -> None:
        """Let jobs train to their end."""
        for job in jobs:
            self._may_go_on[job].set()

    async def has_begun(self, job: str) -> None:
        """Wait until a job has begun."""
        await self._began[job].wait()

    async def has_ended(self, job: str) -> None:
        """Wait until a job has told its last event."""
        await self._ended[job].wait()


def epochs(epoch: int) -> EpochUpdates:
    """What is told of an epoch."""
    return EpochUpdates(np.array([epoch]), np.array([1 / epoch]), {})


def completed(epochs: int) -> Completed:
    """What so many epochs lead to."""
    return Completed(epochs, 1 / epochs, {}, Receipt("", "", "cpu", 1, {}), training_s=0.0)


def checkpoint(epoch: int, numbers: int = 0) -> Checkpoint:
    """A checkpoint after so many epochs, of a model of so many numbers."""
    return Checkpoint(0, {}, replace(completed(epoch), parameters={"weight": np.zeros((1, numbers))}))


def _is_small(write: Write) -> bool:
    return sum(len(record.body) for record in write.events) < 1 << 10


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it happens."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


class _Gate:
    """Where threads wait while it is held."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self._changed = threading.Condition()
        self._held = False
        self._permits = 0

    def set(self, held: bool, permits: int = 0) -> None:
        with self._changed:
            self._held, self._permits = held, permits
            self._changed.notify_all()

    def go_through(self) -> None:
        with self._changed:
            if self._held:
                self.came.release()
                self._changed.wait_for(lambda: self._permits > 0 or not self._held)
                self._permits -= 1


class HeldStore:
    """A real store whose writes a test can hold up, or let fail."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.failures: deque[Exception] = deque()
        """What the next writes raise, one each."""
        self.full = False
        """Whether the disk is: all is refused then but what ends jobs, if that is without a result."""
        self.appends: list[Sequence[Write]] = []
        """The writes of each transaction."""
        self.reads: list[str] = []
        """The jobs whose events were read, in order."""
        self._gates = {"create": _Gate(), "append": _Gate()}

    def hold(self, *kinds: str) -> None:
        """Let writes of these kinds, or of all, wait from now on."""
        for kind in kinds or self._gates:
            self._gates[kind].set(held=True)

    def release(self, *kinds: str) -> None:
        """Let the writes that wait, and those to come, go on."""
        for kind in kinds or self._gates:
            self._gates[kind].set(held=False)

    def let_one_pass(self, kind: str) -> None:
        """Let one write go on, and hold those that follow."""
        self._gates[kind].set(held=True, permits=1)

    async def waits(self, kind: str) -> None:
        """Wait until a write of a kind waits."""
        came = await asyncio.to_thread(self._gates[kind].came.acquire, timeout=_PATIENCE_S)
        assert came, f"no write of kind {kind} has come"

    def create(self, write: Write) -> None:
        self._pass("create")
        if self.full:
            raise StorageFull
        self.store.create(write)

    def append(self, writes: Sequence[Write]) -> None:
        self._pass("append")
        if self.full and not any(write.job.ended and _is_small(write) for write in writes):
            raise StorageFull
        self.store.append(writes)
        self.appends.append(writes)

    def _pass(self, kind: str) -> None:
        self._gates[kind].go_through()
        if self.failures:
            raise self.failures.popleft()

    def delete(self, job: str) -> None:
        self.store.delete(job)

    def get(self, job: str) -> Job | None:
        return self.store.get(job)

    def find_request(self, request_id: str, owner: str = "") -> Job | None:
        return self.store.find_request(request_id, owner)

    def page(
        self,
        states: Collection[JobState],
        before: int | None,
        size: int,
        group: str = "",
        owner: str | None = None,
    ) -> tuple[list[Job], int | None]:
        return self.store.page(states, before, size, group, owner)

    def events(self, job: str, after: int, max_bytes: int) -> list[EventRecord]:
        self.reads.append(job)
        return self.store.events(job, after, max_bytes)

    def last_version(self, name: str) -> int:
        return self.store.last_version(name)

    def unfinished(self) -> list[Job]:
        return self.store.unfinished()

    def ended_before(self, time: datetime, limit: int) -> list[Job]:
        return self.store.ended_before(time, limit)

    def uses_data(self, digest: str, owner: str | None = None) -> bool:
        return self.store.uses_data(digest, owner)

    def data_digests(self) -> set[str]:
        return self.store.data_digests()
