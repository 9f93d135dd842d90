"""Parts of a server in the test's own process: an executor on its event loop, and a store to hold up."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Collection, Sequence

from gradstream_server.executors.training import Environment, Training
from gradstream_server.jobs import reference
from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.events import Event
from gradstream_server.jobs.executor import Device, Task
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.store import JobStore, Write


class InProcessExecutor:
    """Trains reference experiments. Each task waits after its first event until the test lets it go."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.begun: list[str] = []
        """Jobs that have begun, in order."""
        self.most_at_once = 0
        self._running = 0
        self._began: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._may_go_on: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.stopped: list[str] = []

    async def devices(self) -> Sequence[Device]:
        return [Device("cpu", "this process")]

    async def run(self, task: Task) -> AsyncGenerator[Sequence[Event], None]:
        self.begun.append(task.job)
        self._began[task.job].set()
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            training = Training(task.spec, reference.DATA, Environment(1, {}))
            for events in training.run(lambda: task.job in self.stopped):
                yield events
                await self._may_go_on[task.job].wait()
        finally:
            self._running -= 1

    def stop(self, job: str) -> None:
        self.stopped.append(job)
        self._may_go_on[job].set()

    def let_go(self, *jobs: str) -> None:
        """Let jobs train to their end."""
        for job in jobs:
            self._may_go_on[job].set()

    async def has_begun(self, job: str) -> None:
        """Wait until a job has begun."""
        await self._began[job].wait()


class HeldStore:
    """A real store whose writes a test can hold up, or let fail."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.failures: deque[Exception] = deque()
        """What the next writes raise, one each."""
        self.appends: list[Sequence[Write]] = []
        """The writes of each transaction."""
        self._open = threading.Event()
        self._open.set()
        self._came = threading.Semaphore(0)

    def hold(self) -> None:
        """Let writes wait from now on."""
        self._open.clear()
        self._came = threading.Semaphore(0)

    def release(self) -> None:
        """Let the writes that wait, and those to come, go on."""
        self._open.set()

    async def write_waits(self) -> None:
        """Wait until a write waits."""
        await asyncio.to_thread(self._came.acquire)

    def create(self, write: Write) -> None:
        self._pass()
        self.store.create(write)

    def append(self, writes: Sequence[Write]) -> None:
        self._pass()
        self.store.append(writes)
        self.appends.append(writes)

    def _pass(self) -> None:
        if not self._open.is_set():
            self._came.release()
            self._open.wait()
        if self.failures:
            raise self.failures.popleft()

    def get(self, job: str) -> Job | None:
        return self.store.get(job)

    def find_request(self, request_id: str) -> Job | None:
        return self.store.find_request(request_id)

    def page(
        self, states: Collection[JobState], before: int | None, size: int
    ) -> tuple[list[Job], int | None]:
        return self.store.page(states, before, size)

    def events(self, job: str, after: int, max_bytes: int) -> list[EventRecord]:
        return self.store.events(job, after, max_bytes)

    def unfinished(self) -> list[Job]:
        return self.store.unfinished()
