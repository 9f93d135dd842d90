"""What all parts of a round share: the server, the network, the jobs, and what was found and counted."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.chaos.plans import Plan
from tests.chaos.target import Target
from tests.chaos.tracked import TrackedJob
from tests.proxy import CuttingProxy

_THREADS = 200


@dataclass(eq=False)
class Scene:
    """A round's stage."""

    target: Target
    proxy: CuttingProxy
    plans: list[Plan]
    chance: random.Random
    """Of the main thread; others get their own from it."""
    jobs: list[TrackedJob] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    """What is not as it was promised."""
    counts: Counter[str] = field(default_factory=Counter)
    epoch_events: int = 0
    """How many the first watchers have seen: whether there is any progress."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when nobody is to try anything again any more."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))
    _under_way: dict[Future[None], str] = field(default_factory=dict)

    def find(self, what: str) -> None:
        """Note that something is wrong."""
        with self._lock:
            self.findings.append(what)

    def count(self, what: str, times: int = 1) -> None:
        """Count something that was caused or seen."""
        with self._lock:
            self.counts[what] += times

    def split_chance(self) -> random.Random:
        """Random numbers for another thread."""
        return random.Random(self.chance.getrandbits(64))

    def spawn(self, what: str, work: Callable[[], object]) -> Future[None]:
        """Let a thread do something; whatever it raises is a finding."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - nothing was to be raised at all
                self.find(f"{what}: {type(error).__name__}: {error}")

        future = self._pool.submit(guarded)
        with self._lock:
            self._under_way[future] = what
        future.add_done_callback(self._done)
        return future

    def under_way(self) -> dict[Future[None], str]:
        """What threads are doing."""
        with self._lock:
            return dict(self._under_way)

    def close(self) -> None:
        """Let threads end that still wait for something."""
        self.closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self._under_way.pop(future, None)
