"""What data sets cost: to read them, and to train on one that is larger than memory may be.

    python benchmarks/datasets.py [--mib N] [--repeats N]

CSV files are read in this process and compared with pyarrow's reader for files of any size, which neither
keeps nor describes what it reads, and with its reader of whole files. The memory of a worker is what it has
allocated beside the files that it has mapped: how much more, at most, while a job runs than before. What it
takes to send a file is told by upload.py.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.csv
from harness.processes import descendants, has_loaded
from harness.servers import RunningServer, gradstream_server
from harness.timing import interleaved

from gradstream import Client
from gradstream.channel import channel_options
from gradstream.v1 import spec_pb2
from gradstream.v1.training_service_pb2 import TrainRequest
from gradstream.v1.training_service_pb2_grpc import TrainingServiceStub
from gradstream_server.data.ingest import ingest

MIB = 1 << 20
CSV_TARGET = 1.0
MEMORY_TARGET = 1.3
BATCH = 1024
FEATURES = 32
BATCHES_AT_ONCE = 1 << 20
"""Numbers of the rows that a trainer takes at once, see batches.py."""
LOOK_S = 0.002


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--mib", type=int, default=256, help="size of the file")
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    print_csv(given.mib, given.repeats)
    print_memory(given.mib)


@contextmanager
def bare_channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """A connection to a server."""
    with grpc.insecure_channel(server.address, channel_options(server.address)) as channel:
        yield channel


def print_csv(mib: int, repeats: int) -> None:
    """How long a CSV file takes to become a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        rows = mib * MIB // (19 * 10)
        numbers = np.random.default_rng(0).standard_normal((rows, 10))
        pa.csv.write_csv(pa.table({f"c{i}": numbers[:, i] for i in range(10)}), path)
        size = path.stat().st_size / MIB

        def streamed() -> None:
            options = pa.csv.ReadOptions(block_size=16 << 20)
            for _ in pa.csv.open_csv(path, options, pa.csv.ParseOptions(newlines_in_values=True)):
                pass

        runs = [
            streamed,
            lambda: pa.csv.read_csv(path),
            lambda: ingest(path, "t.csv", Path(folder) / "t", 1 << 40),
        ]
        stream_s, whole_s, ours_s = interleaved(runs, repeats)
    ratio = stream_s / ours_s
    print(f"reading {size:.0f} MiB of CSV                  MiB/s   ratio  target")
    print(f"{'pyarrow, streaming':34} {size / stream_s:>6.0f}")
    print(f"{'pyarrow, the whole, two threads':34} {size / whole_s:>6.0f}")
    print(f"{'gradstream, described and kept':34} {size / ours_s:>6.0f} {ratio:>7.2f} {CSV_TARGET:>7}")


def print_memory(mib: int) -> None:
    """What a worker allocates to train on a data set several times larger than it may."""
    rows = 4 * mib * MIB // (4 * (FEATURES + 1))
    # The rows that are taken at once, their features in another order, and their numbers.
    taken = 2 * (4 * BATCHES_AT_ONCE) / MIB
    print(f"\ntraining on {4 * mib} MiB with at most {2 * mib} MiB   seconds    MiB  needed   ratio  target")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        write_large(path, rows)
        for shuffle in (True, False):
            # And the order of all rows.
            needed = taken + 8 * rows / MIB * shuffle
            for trainer in ("manual", "autograd", "module"):
                took_s, took = train(path, trainer, shuffle, 2 * mib * MIB)
                name = f"{trainer}{', shuffled' if shuffle else ''}"
                figures = f"{took_s:>12.1f} {took:>6.0f} {needed:>7.0f}"
                print(f"{name:34} {figures} {took / needed:>7.2f} {MEMORY_TARGET:>7}")


def write_large(path: Path, rows: int) -> None:
    """An array whose last column is the sum of the others."""
    file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, FEATURES + 1))
    for start in range(0, rows, 1 << 16):
        block = file[start : start + (1 << 16)]
        block[:] = np.random.default_rng(start).standard_normal(block.shape, np.float32)
        block[:, -1] = block[:, :-1].sum(axis=1)


def train(path: Path, trainer: str, shuffle: bool, limit: int) -> tuple[float, float]:
    """Seconds, and the MiB by which a new worker grows that trains on a file."""
    spec = spec_pb2.Spec(
        trainer=trainer,
        device="cpu",
        epochs=2,
        batch_size=BATCH,
        shuffle=shuffle,
        max_memory_bytes=limit,
        dataset=spec_pb2.Selection(targets=[f"x{FEATURES + 1}"]),
    )
    with (
        gradstream_server("--workers", "1") as server,
        Client(server.address) as client,
        bare_channel(server) as channel,
    ):
        spec.dataset.digest = client.upload(path).digest
        client.train(trainer=trainer).result()
        (worker,) = (each for each in descendants(server.process) if _is_worker(each))
        with Peak(worker) as peak:
            start = time.perf_counter()
            events = list(TrainingServiceStub(channel).Train(TrainRequest(spec=spec)))
            took_s = time.perf_counter() - start
        assert events[-1].HasField("completed"), events[-1]
    return took_s, peak.growth_mib


class Peak:
    """The most that a process has allocated while a block runs, by looking very often."""

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._over = threading.Event()
        self._begun = self._most = self._now()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth_mib(self) -> float:
        """By how much it was more than at the beginning."""
        return self._most - self._begun

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self._most = max(self._most, self._now())

    def _now(self) -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024


def _is_worker(process: int) -> bool:
    return has_loaded(process, "libtorch") and not any(descendants(process))


if __name__ == "__main__":
    main()
