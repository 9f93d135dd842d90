"""What it costs to survive a power cut, `--durability power`, and what a restart costs.

    python benchmarks/durability.py [--repeats N] [--calls N] [--fits N] [--restarts N]

The other choice, `process`, survives the death of the server alone. Both side by side in one run,
alternately, on the disk of the folder for temporary files; figures are medians. Commits: one or sixteen jobs,
each of which waits for its last event to be kept before it appends another; events that gather during a
commit share the next. Then two servers: the reference experiment from the call to the final prediction, and
the small fits of throughput.py, sixteen at a time.

Restart: a server is killed that has a hundred jobs, some of them running and with a checkpoint, and another
is started on its directory. The time is from the start of the process to the first epoch that is new, so to
train again what came after the checkpoint is part of it. It is compared with a server in a new directory that
is given a job as soon as it answers.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import get_args

import numpy as np
import throughput
import trainers
from harness.disk import sync_s
from harness.servers import RunningServer, gradstream_server, running, serve_command
from harness.timing import interleaved

from gradstream import Client, EpochUpdates, JobState
from gradstream_server.jobs import events, limits
from gradstream_server.jobs.job import Job
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import SpecRequest
from gradstream_server.jobs.store import Write
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.stores.sql import SqlJobStore
from gradstream_server.stores.sqlite import Durability
from gradstream_server.trainers.registry import TRAINERS

DURABILITIES: tuple[Durability, ...] = get_args(Durability)
APPENDS = 400
UPDATE = events.EpochUpdates(np.arange(1, 101), np.ones(100), {"weight": np.ones((100, 1, 1))})
EPOCHS = 100
JOBS = 100
# For longer than it takes to be checkpointed and killed, a few times.
LONG_EPOCHS = 10_000_000


class CountingStore(SqlJobStore):
    """Counts its commits of events."""

    commits = 0

    def append(self, writes: Sequence[Write]) -> None:
        self.commits += 1
        super().append(writes)


def appending(store: SqlJobStore, jobs: int) -> Callable[[], None]:
    """As many jobs at once that append to their logs, each when its last event is kept."""
    spec = resolve(SpecRequest("manual"), ["cpu"], TRAINERS, limits.Limits())
    encoded = ProtoCodec().encode_spec(spec)

    async def one(log: EventLog) -> None:
        job = Job(uuid.uuid4().hex, str(uuid.uuid4()), encoded, datetime.now(UTC))
        begun = events.StateChange("QUEUED"), events.StateChange("RUNNING")
        await log.create(job, *begun)
        for _ in range(APPENDS // jobs):
            await log.append(job.id, UPDATE)

    async def all_at_once() -> None:
        log = EventLog(store, ProtoCodec())
        await asyncio.gather(*(one(log) for _ in range(jobs)))
        await log.close()

    return lambda: asyncio.run(all_at_once())


def print_commits(folder: Path, repeats: int) -> None:
    """What the store does in a second."""
    stores = [CountingStore.open_sqlite(folder / f"{name}.sqlite", name) for name in DURABILITIES]
    for jobs in (1, 16):
        before = [store.commits for store in stores]
        times = interleaved([appending(store, jobs) for store in stores], repeats)
        commits = [
            (store.commits - first) / (repeats + 1) for store, first in zip(stores, before, strict=True)
        ]
        rates = [number / seconds for number, seconds in zip(commits, times, strict=True)]
        row(f"events a second, {jobs} at a time", [APPENDS / seconds for seconds in times], "")
        row("    in commits", rates, "")
    for store in stores:
        store.close()


def print_jobs(calls: int, fits: int) -> None:
    """What a client sees."""
    names = iter(count())
    with (
        gradstream_server("--durability", DURABILITIES[0]) as first,
        gradstream_server("--durability", DURABILITIES[1]) as second,
        Client(first.address) as to_first,
        Client(second.address) as to_second,
        ThreadPoolExecutor(throughput.AT_A_TIME) as pool,
    ):
        clients = to_first, to_second
        for client in clients:
            client.server_info()  # returns when the first worker is ready

        def short(client: Client) -> None:
            client.train(trainer="manual", epochs=EPOCHS).result()

        def many(client: Client) -> None:
            # The server keeps a table once: every round needs new ones.
            tables = [trainers.larger(1_000, 8, throughput.EPOCHS, next(names)) for _ in range(fits)]
            for _ in pool.map(partial(throughput.fit, client), tables):
                pass

        times = interleaved([partial(short, client) for client in clients], calls, warm_up=20)
        row(f"{EPOCHS} epochs, call to final prediction", [seconds * 1e3 for seconds in times], "ms")
        times = interleaved([partial(many, client) for client in clients], throughput.ROUNDS)
        row(f"jobs/s, {fits} fits, {throughput.AT_A_TIME} at a time", [fits / each for each in times], "")


def first_epoch_s(server: RunningServer, job: str, attempt: int, begin: float) -> float:
    """The time from `begin` to the first epoch that an attempt tells."""
    with Client(server.address) as client:
        for event in client.watch(job).events():
            if isinstance(event, EpochUpdates) and event.attempt == attempt:
                return event.time.timestamp() - begin
    raise SystemExit("the job has ended")


def print_restarts(restarts: int) -> None:
    """How long a server takes to go on."""
    fresh, again = [], []
    with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as folder:
        with running(serve_command(folder)) as server, Client(server.address) as client:
            jobs = [
                client.create(trainer="autograd", epochs=LONG_EPOCHS, report_every=1000, seed=seed)
                for seed in range(JOBS)
            ]
            kill_after_checkpoint(client, server, jobs[0].id)
        for attempt in range(2, restarts + 2):
            with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as new:
                begin = time.time()
                with running(serve_command(new)) as server, Client(server.address) as client:
                    job = client.create(trainer="autograd", epochs=LONG_EPOCHS)
                    fresh.append(first_epoch_s(server, job.id, 1, begin))
                    os.kill(server.process, signal.SIGKILL)
            begin = time.time()
            with running(serve_command(folder)) as server, Client(server.address) as client:
                again.append(first_epoch_s(server, jobs[0].id, attempt, begin))
                assert len(list(client.jobs([JobState.RUNNING, JobState.QUEUED]))) == JOBS
                kill_after_checkpoint(client, server, jobs[0].id)
    print("\nfrom the start of the server to the first epoch     seconds")
    print(f"a job that a server in a new directory is given  {median(fresh):>10.2f}")
    print(f"the first of {JOBS} jobs that a killed one has left  {median(again):>10.2f}")


def kill_after_checkpoint(client: Client, server: RunningServer, job: str) -> None:
    """Kill a server when one of its jobs has left another checkpoint."""
    last = client.get(job).checkpoint_epoch
    while client.get(job).checkpoint_epoch <= last:
        time.sleep(0.05)  # To watch the job instead would be work for the server that is measured.
    os.kill(server.process, signal.SIGKILL)


def row(name: str, figures: list[float], unit: str) -> None:
    """Print a figure of both."""
    power, process = figures
    print(f"{name:40} {power:>9.2f} {unit:2} {process:>9.2f} {unit:2} {power / process:>9.2f}")


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--repeats", type=int, default=7, help="of the commits")
    arguments.add_argument("--calls", type=int, default=300)
    arguments.add_argument("--fits", type=int, default=200)
    arguments.add_argument("--restarts", type=int, default=3)
    given = arguments.parse_args()
    assert DURABILITIES == ("power", "process")
    with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as name:
        print(f"one fsync of the disk: {sync_s(Path(name)) * 1e3:.2f} ms\n")
        print("durability                                  power       process         ratio")
        print_commits(Path(name), given.repeats)
    print_jobs(given.calls, given.fits)
    print_restarts(given.restarts)


if __name__ == "__main__":
    main()
