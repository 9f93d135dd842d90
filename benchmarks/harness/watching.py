"""Many watchers of one job, in a process of their own.

    python benchmarks/harness/watching.py ADDRESS JOB WATCHERS [--never-read]

Each has a connection of its own, as if it were a client for itself, and checks that it is told everything
once and in order. Prints "attached" when all have been told something, and at the end a line of JSON: how
many events all of them were told, and when the last of them was told the last one, by the monotonic clock.
With --never-read, "attached" when all have called, and they stay until standard input ends.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import grpc

from gradstream.channel import channel_options
from gradstream.v1.event_pb2 import TrainingEvent
from gradstream.v1.training_service_pb2 import WatchJobRequest
from gradstream.v1.training_service_pb2_grpc import TrainingServiceStub


@dataclass
class Watcher:
    """A client that watches from the first event to the last."""

    address: str
    attached: asyncio.Event = field(default_factory=asyncio.Event)
    events: int = 0
    epochs: int = 0
    ended_at: float = 0.0

    async def watch(self, job: str) -> None:
        """Watch a job, and check what is told."""
        async with grpc.aio.insecure_channel(self.address, channel_options(self.address)) as channel:
            async for event in TrainingServiceStub(channel).WatchJob(WatchJobRequest(job=job)):
                self._take(event)
        self.ended_at = time.monotonic()
        assert event.HasField("completed"), event
        assert event.completed.epochs == self.epochs, f"{self.epochs} of {event.completed.epochs} epochs"

    def _take(self, event: TrainingEvent) -> None:
        if event.HasField("heartbeat"):
            return
        self.events += 1
        assert event.sequence == self.events, f"event {event.sequence} instead of {self.events}"
        if epochs := event.epoch_updates.epochs:
            expected = range(self.epochs + 1, self.epochs + 1 + len(epochs))
            assert list(epochs) == list(expected), f"epochs {epochs[0]} to {epochs[-1]} after {self.epochs}"
            self.epochs = epochs[-1]
        self.attached.set()


async def watch(address: str, job: str, watchers: int) -> None:
    """Watch a job to its end, many times."""
    several = [Watcher(address) for _ in range(watchers)]
    async with asyncio.TaskGroup() as group:
        for watcher in several:
            group.create_task(watcher.watch(job))
        for watcher in several:
            await watcher.attached.wait()
        print("attached", flush=True)
    told = {
        "events": sum(watcher.events for watcher in several),
        "ended_at": max(watcher.ended_at for watcher in several),
    }
    print(json.dumps(told), flush=True)


async def never_read(address: str, job: str, watchers: int) -> None:
    """Call, and never look at what comes."""
    channels = [grpc.aio.insecure_channel(address, channel_options(address)) for _ in range(watchers)]
    calls = [TrainingServiceStub(channel).WatchJob(WatchJobRequest(job=job)) for channel in channels]
    for call in calls:
        await call.wait_for_connection()
    print("attached", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for call, channel in zip(calls, channels, strict=True):
        call.cancel()
        await channel.close()


def main() -> None:
    """Watch as the command line says."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("address")
    arguments.add_argument("job")
    arguments.add_argument("watchers", type=int)
    arguments.add_argument("--never-read", action="store_true")
    given = arguments.parse_args()
    run = never_read if given.never_read else watch
    asyncio.run(run(given.address, given.job, given.watchers))


if __name__ == "__main__":
    main()
