"""Those who watch: from the first event or from any, to the end or not, in each of the ways there are."""

import random
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing

from tests.chaos.clients import Clients
from tests.chaos.fingerprints import fingerprint, together
from tests.chaos.scene import Scene
from tests.chaos.strict_reader import read_strictly
from tests.chaos.tracked import LEFT, SAW_THE_END, STILL_WATCHES, TOLD_DELETED, TrackedJob, Watch

from gradstream import AsyncRun, EpochUpdates, Event, NotFoundError, Run

_MOST_ONE_BY_ONE = 10_000
_LEAVES_FOR_A_MOMENT = 0.03

Events = Generator[Event, None, None]


class Watchers:
    """Lets jobs be watched."""

    def __init__(self, scene: Scene, clients: Clients) -> None:
        self._scene = scene
        self._clients = clients
        self._ways: dict[str, Callable[[str, int, random.Random], Events]] = {
            "the client": self._by_client,
            "the client, epoch by epoch": self._by_client_one_by_one,
            "the asyncio client": self._by_asyncio_client,
            "a plain stub": self._by_stub,
        }

    def watch_all(self, job: TrackedJob, chance: random.Random, run: Run | None = None) -> None:
        """See all of a job, which is known to have ended by this. With a run: where that has begun."""
        watch = self._new_watch(job, "the client that started it" if run else self._way(job, chance), 0)
        events = _by_run(run, chance) if run else self._ways[watch.way](job.id, 0, chance)
        self._see(job, watch, events, first=True)
        if watch.end == SAW_THE_END:
            job.ended.set()
        else:
            self._scene.find(f"{job}: its first watcher, by {watch.way}, {watch.end}")

    def watch(self, job: TrackedJob, chance: random.Random) -> None:
        """See some of a job, perhaps in several visits."""
        after = chance.choice((0, chance.randint(0, job.last_sequence), job.last_sequence))
        watch = self._new_watch(job, self._way(job, chance), after)
        leaves = chance.random() < 0.5
        while True:
            stay = chance.randint(1, 40) if leaves else None
            self._see(job, watch, self._ways[watch.way](job.id, watch.sequence, chance), stay)
            if watch.end != LEFT or chance.random() < 0.3:
                return
            self._scene.count("watchers: left and came back")
            self._scene.closing.wait(chance.uniform(0, 1))

    def _new_watch(self, job: TrackedJob, way: str, after: int) -> Watch:
        watch = Watch(way, after)
        job.watches.append(watch)
        self._scene.count("watchers: attached")
        return watch

    def _way(self, job: TrackedJob, chance: random.Random) -> str:
        few = job.plan.options["epochs"] <= _MOST_ONE_BY_ONE
        return chance.choice([way for way in self._ways if few or way != "the client, epoch by epoch"])

    def _see(
        self, job: TrackedJob, watch: Watch, events: Events, stay: int | None = None, first: bool = False
    ) -> None:
        """Read events, all or so many."""
        watch.end, left = STILL_WATCHES, stay
        with closing(events):
            try:
                for event in events:
                    watch.seen.append((event.sequence, fingerprint(event)))
                    job.last_sequence = max(job.last_sequence, event.sequence)
                    if first and isinstance(event, EpochUpdates):
                        self._scene.epoch_events += 1
                    if left is not None:
                        left -= 1
                        if not left:
                            watch.end = LEFT
                            return
                watch.end = SAW_THE_END
            except NotFoundError:
                if not job.being_deleted:
                    raise
                watch.end = TOLD_DELETED

    def _by_client(self, job: str, after: int, chance: random.Random) -> Events:
        with self._clients.one(chance) as client:
            yield from _by_run(self._clients.patiently(lambda: client.watch(job, after)), chance)

    def _by_client_one_by_one(self, job: str, after: int, chance: random.Random) -> Events:
        with self._clients.one(chance) as client:
            yield from together(self._clients.patiently(lambda: client.watch(job, after)))

    def _by_asyncio_client(self, job: str, after: int, chance: random.Random) -> Events:
        with self._clients.one_async(chance) as client:
            run: AsyncRun = self._clients.patiently(lambda: self._clients.run(client.watch(job, after)))
            events = run.events()
            assert isinstance(events, AsyncGenerator)

            async def following() -> Event | None:
                return await anext(events, None)

            try:
                while event := self._clients.run(following()):
                    yield event
            finally:
                self._clients.run(events.aclose())

    def _by_stub(self, job: str, after: int, _: random.Random) -> Events:
        with self._clients.channel() as channel:
            yield from read_strictly(channel, job, after, self._scene.closing)


def _by_run(run: Run, chance: random.Random) -> Events:
    """What a run gives, left now and then for a moment."""
    while True:
        for event in run.events():
            yield event
            if chance.random() < _LEAVES_FOR_A_MOMENT:
                break
        else:
            return
