"""Many watchers of one job: those that read get everything, those that never read cost no growing memory.

    python benchmarks/watchers.py [--watchers N] [--epochs N] [--never-reading N] [--log-epochs N]

Watchers are in two client processes, each watcher with a connection of its own. First a thousand that read.
The job is paused until all are there; each checks that every event comes once and in order, and with the
events every epoch. The time is from the resumption to the last event at the last watcher; that of the job
until it has succeeded. When the job has ended, as many read all of it again, from the store.

Then a hundred that call and never read, of a job whose log grows to some tens of MiB. Whether the server's
memory grows with it shows in the second half of the log: by then whatever has a bound has reached it. If the
log were held once for all of them, memory would grow by as much as the log does; if for each, by a hundred
times as much.

Memory is what the server's main process has allocated (Linux); libraries, which it shares, come to it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import trainers
from harness.memory_curve import MemoryCurve
from harness.processes import memory
from harness.servers import RunningServer, gradstream_server

from gradstream import Client, Completed
from gradstream.v1.training_service_pb2 import WatchJobRequest
from gradstream.v1.training_service_pb2_grpc import TrainingServiceStub
from gradstream_server.jobs.limits import Limits

PROCESSES = 2
# How long the server rests before its memory is looked at: what it gives back, it gives back by then.
REST_S = 2.0
FLAT = 0.2
"""Growth of memory over growth of the log, up to which it counts as none: looks at it jump by as much."""
_PROGRAM = str(Path(__file__).parent / "harness" / "watching.py")


@contextmanager
def attached(
    server: RunningServer, job: str, watchers: int, *options: str
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes with as many watchers in all. All are attached when the block begins."""
    with ExitStack() as stack:
        processes = []
        for i in range(PROCESSES):
            share = (watchers + i) // PROCESSES
            command = [sys.executable, _PROGRAM, server.address, job, str(share), *options]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
        for process in processes:
            if process.stdout.readline() != "attached\n":
                raise SystemExit("a watcher has failed")
        yield processes


def told(processes: list[subprocess.Popen[str]], begin: float) -> tuple[int, float]:
    """How many events all watchers were told, and when since `begin` the last was told the last one."""
    reports = [process.stdout.readline() for process in processes]
    if not all(reports):
        raise SystemExit("a watcher was not told everything once and in order")
    each = [json.loads(report) for report in reports]
    return sum(one["events"] for one in each), max(one["ended_at"] for one in each) - begin


def finished(client: Client, job: str) -> Completed:
    """Wait for the end of a job, without watching it."""
    while not (stands := client.get(job)).state.final:
        time.sleep(0.05)  # One more watcher would be measured too.
    return client.watch(job, stands.last_sequence - 1).result()


def log_mib(server: RunningServer, job: str) -> float:
    """What all events of a job are."""
    with grpc.insecure_channel(server.address) as channel:
        log = TrainingServiceStub(channel).WatchJob(WatchJobRequest(job=job))
        return sum(event.ByteSize() for event in log) / (1 << 20)


def row(name: str, figure: float, unit: str, note: str = "") -> None:
    """Print one figure."""
    print(f"{name:38} {figure:>10.1f} {unit:4} {note}".rstrip())


def print_reading(watchers: int, epochs: int) -> None:
    """What many watchers of one job get, and when."""
    problem = trainers.larger(100_000, 16, epochs)
    with gradstream_server() as server, Client(server.address) as client:
        client.server_info()  # returns when the first worker is ready
        alone, job = (
            client.create(problem.features, problem.targets, trainer="autograd", epochs=epochs, seed=seed).id
            for seed in (0, 1)
        )
        client.pause(job)
        alone_s = finished(client, alone).training_seconds
        before = memory(server.process).anonymous
        curve = MemoryCurve(server.process)
        with curve.recording():
            with attached(server, job, watchers) as processes:
                with_all = memory(server.process).anonymous
                begin = time.monotonic()
                client.resume(job)
                finished(client, job)
                job_s = time.monotonic() - begin
                events, last_s = told(processes, begin)
            time.sleep(REST_S)  # The curve shows what is given back.
        after = memory(server.process).anonymous
        print(f"{watchers} watchers, autograd, 100,000 x 16, {epochs} epochs: each was told every epoch once")
        row("the job, nobody watching", alone_s, "s")
        row("the job, watched", job_s, "s")
        row("until every watcher had everything", last_s, "s", f"{last_s / job_s:.2f} of the job's time")
        row("events", events, "", f"{events / last_s:.0f} a second")
        each_kib = (with_all - before) * 1024 / watchers
        row("memory before", before, "MiB")
        row("memory when all were there", with_all, "MiB", f"{each_kib:.0f} KiB a watcher and its connection")
        row("memory at most", curve.most, "MiB")
        row("memory when all had left", after, "MiB")
        print(curve.drawn())
        curve = MemoryCurve(server.process)
        with curve.recording():
            begin = time.monotonic()
            with attached(server, job, watchers) as processes:
                events, last_s = told(processes, begin)
            time.sleep(REST_S)  # The curve shows what is given back.
        after = memory(server.process).anonymous
        print(f"\n{watchers} watchers of the same job when it has ended, {log_mib(server, job):.1f} MiB each")
        row("from their start until all had all", last_s, "s")
        row("events", events, "", f"{events / last_s:.0f} a second")
        row("memory at most", curve.most, "MiB")
        row("memory when all had left", after, "MiB")
        print(curve.drawn())


def print_never_reading(watchers: int, epochs: int) -> None:
    """What watchers cost that never read."""
    with gradstream_server() as server, Client(server.address) as client:
        client.server_info()
        alone = finished(client, client.create(trainer="manual", epochs=epochs).id)
        job = client.create(trainer="manual", epochs=epochs).id
        client.pause(job)
        before = memory(server.process).anonymous
        curve = MemoryCurve(server.process)
        half = 0.0
        with curve.recording():
            with attached(server, job, watchers, "--never-read"):
                client.resume(job)
                while not (stands := client.get(job)).state.final:
                    if not half and stands.epochs_done >= epochs / 2:
                        half = time.monotonic()
                    time.sleep(0.1)  # As above.
                end = time.monotonic()
            time.sleep(REST_S)  # The curve shows what is given back.
        watched = finished(client, job)
        after = memory(server.process).anonymous
        logged = log_mib(server, job)
    growth = curve.growth(half, end)
    ratio = growth / (logged / 2)
    print(f"\n{watchers} watchers that never read, manual, reference, {epochs} epochs: {logged:.0f} MiB each")
    slower = watched.training_seconds / alone.training_seconds
    row("the job, nobody watching", alone.training_seconds, "s")
    row("the job, watched", watched.training_seconds, "s", f"{slower:.2f} of the time")
    row("memory before", before, "MiB")
    row("memory at most", curve.most, "MiB", f"{(curve.most - before) * 1024 / watchers:.0f} KiB a watcher")
    row("memory, growth in the second half", growth, "MiB", f"{ratio:.3f} of the log's   target {FLAT}")
    row("memory when all had left", after, "MiB")
    print(curve.drawn())
    if ratio > FLAT:
        print("MEMORY GROWS WITH THE LOG")


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--watchers", type=int, default=1000)
    arguments.add_argument("--epochs", type=int, default=5_000, help="of the job that they watch")
    arguments.add_argument("--never-reading", type=int, default=100)
    arguments.add_argument("--log-epochs", type=int, default=1_500_000, help="of the job never read")
    given = arguments.parse_args()
    print(f"The server lets {Limits().max_watches} watch at once, unless told otherwise.\n")
    print_reading(given.watchers, given.epochs)
    print_never_reading(given.never_reading, given.log_epochs)


if __name__ == "__main__":
    main()
