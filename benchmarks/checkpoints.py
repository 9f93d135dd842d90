"""What checkpoints cost of the training time, and jobs that end before the first is due.

    python benchmarks/checkpoints.py [--seconds S] [--repeats N] [--calls N]

Four trainings of one spec, two without checkpoints, one with one every second and one with one every 0.1 s,
go on in turn in one process, each from one message to the next as a worker does it, 50 ms of training at a
time: what disturbs the machine disturbs all of them alike. Where a checkpoint was written, the 50 ms take
longer than their epochs do elsewhere: this is what it costs, all of it, from the copy of the state to the
fsync of the folder. The ratio is of the time that an epoch takes, its share of the checkpoints included, to
the first training without; that of the second tells how far ratios can be trusted. Checkpoints are written to
the disk of the folder for temporary files. The models are the reference experiment's, of 1 or 2 numbers, and
the largest allowed, of 100,000.

A job that ends before its first checkpoint is compared with one whose first would be due in a year: in this
process, and from the call to the final prediction through two servers. Runs alternate; figures are medians.
"""

import argparse
import math
import os
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from harness.disk import sync_s
from harness.servers import gradstream_server
from harness.timing import BareLoop, interleaved

from gradstream import Client
from gradstream_server.executors.model import Environment
from gradstream_server.executors.training import Training
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs import reference
from gradstream_server.jobs.checkpoint import CheckpointStore
from gradstream_server.jobs.events import Checkpointed, EpochUpdates
from gradstream_server.jobs.executor import Interrupted, Task
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import InlineData, SpecRequest
from gradstream_server.stores.checkpoints import FileCheckpoints
from gradstream_server.trainers.registry import TRAINERS

INTERVALS_S = (math.inf, math.inf, 1.0, 0.1)
TARGET = 1.03
YEAR_S = 365 * 24 * 3600.0
SHORT_EPOCHS = 100
# As many rows as there are, so that an epoch of the largest model is one update.
ROWS, FEATURES, TARGETS = 32, 999, 100
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Steps:
    """A training that goes on from message to message, and what each step has taken."""

    def __init__(self, training: Training) -> None:
        self._said = training.run(lambda: False)
        self._seconds: list[float] = []
        self._epochs: list[int] = []
        self._checkpoints: list[bool] = []

    def __call__(self) -> None:
        start = time.perf_counter()
        said = next(self._said)
        self._seconds.append(time.perf_counter() - start)
        assert not isinstance(said, Interrupted)
        self._epochs.append(sum(len(event.epochs) for event in said if isinstance(event, EpochUpdates)))
        self._checkpoints.append(any(isinstance(event, Checkpointed) for event in said))

    @property
    def seconds(self) -> float:
        """All that it has taken."""
        return sum(self._seconds)

    @property
    def checkpoint_s(self) -> float:
        """What a checkpoint has taken; 0 when there was none."""
        steps = zip(self._seconds, self._epochs, self._checkpoints, strict=True)
        costs = [seconds - epochs * self._pace for seconds, epochs, checkpoint in steps if checkpoint]
        return median(costs) if costs else 0.0

    @property
    def epoch_s(self) -> float:
        """What an epoch has taken, with its share of the checkpoints."""
        return self._pace + self.checkpoint_s * sum(self._checkpoints) / sum(self._epochs)

    @property
    def _pace(self) -> float:
        """What an epoch has taken where there was no checkpoint."""
        steps = zip(self._seconds, self._epochs, self._checkpoints, strict=True)
        return median(seconds / epochs for seconds, epochs, checkpoint in steps if not checkpoint)

    def stop(self) -> None:
        """End it where it is."""
        self._said.close()


def largest() -> InlineData:
    """Data that make a model of as many numbers as are allowed."""
    assert Limits().max_parameters == (FEATURES + 1) * TARGETS
    generator = np.random.default_rng(0)
    shapes = (ROWS, FEATURES), (ROWS, TARGETS)
    return InlineData(*(generator.normal(size=shape).astype(np.float32) for shape in shapes))


def training(
    trainer: str,
    data: InlineData | None,
    checkpoints: CheckpointStore,
    interval_s: float,
    epochs: int = Limits().max_epochs,
) -> Training:
    """What a worker makes of a request."""
    request = SpecRequest(trainer, data=data, epochs=epochs, device="cpu")
    spec = resolve(request, ["cpu"], TRAINERS, Limits())
    task = Task(f"{trainer}-{interval_s}", spec)
    training_data = TrainingData.of_inline(spec, data or reference.DATA)
    return Training(task, training_data, Environment(1, {}), checkpoints, interval_s)


def print_running(seconds: float, folder: Path) -> None:
    """What checkpoints cost while a job runs."""
    print("trainer   numbers   an epoch  without   every 1 s  target  every 0.1 s      a checkpoint")
    for trainer in TRAINERS:
        for data in (None, largest()):
            store = FileCheckpoints(folder / f"{trainer}-{data is None}")
            # They share the time: while an interval passes for one of them, it passes for the others as well.
            intervals = [interval * len(INTERVALS_S) for interval in INTERVALS_S]
            off, *others = (Steps(training(trainer, data, store, interval)) for interval in intervals)
            loop = BareLoop(off)
            turns = [loop, *others]
            while off.seconds < seconds:
                random.shuffle(turns)
                for go_on in turns:
                    go_on()
            ratios = [run.epoch_s / off.epoch_s for run in others]
            for run in (off, *others):
                run.stop()
            written = max(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
            numbers = TARGETS * (FEATURES + 1) if data else 1 + (trainer == "module")
            print(
                f"{trainer:9} {numbers:>7} {off.epoch_s * 1e6:>7.0f} us {ratios[0]:>8.3f} {ratios[1]:>11.3f}"
                f" {TARGET:>7} {ratios[2]:>12.3f} {others[-1].checkpoint_s * 1e3:>6.2f} ms {written:>7} B"
                f" {loop.verdict}"
            )


def print_short(repeats: int, folder: Path) -> None:
    """What checkpoints cost a job that ends before the first."""
    print(f"\n{SHORT_EPOCHS} epochs, reference   due in a year        in 1 s     ratio")
    for trainer in TRAINERS:
        store = FileCheckpoints(folder / f"{trainer}-short")

        def run(interval_s: float, trainer: str = trainer, store: CheckpointStore = store) -> None:
            for _ in training(trainer, None, store, interval_s, SHORT_EPOCHS).run(lambda: False):
                pass

        loop = BareLoop(partial(run, YEAR_S))
        off, on = interleaved([loop, partial(run, 1.0)], repeats, warm_up=20)
        assert not store.jobs(), "a short job has left something"
        print(f"{trainer:21} {off * 1e3:>11.2f} ms {on * 1e3:>10.2f} ms {on / off:>9.3f} {loop.verdict}")


def print_short_through_servers(calls: int) -> None:
    """The same, as a client sees it."""
    with (
        gradstream_server("--checkpoint-interval", str(YEAR_S)) as off,
        gradstream_server() as on,
        Client(off.address) as to_off,
        Client(on.address) as to_on,
    ):

        def run(client: Client) -> None:
            client.train(trainer="manual", epochs=SHORT_EPOCHS).result()

        for client in (to_off, to_on):
            client.server_info()  # returns when the first worker is ready
        off_s, on_s = interleaved([partial(run, to_off), partial(run, to_on)], calls, warm_up=20)
    print(f"manual, two servers   {off_s * 1e3:>11.2f} ms {on_s * 1e3:>10.2f} ms {on_s / off_s:>9.3f}")


def main() -> None:
    """Print the tables."""
    # As the server's workers, which share the cores out evenly. It is read when NumPy and torch are loaded.
    if not ONE_THREAD.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    torch.set_num_threads(1)
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=float, default=3.0, help="that each training takes")
    arguments.add_argument("--repeats", type=int, default=200, help="of short jobs in this process")
    arguments.add_argument("--calls", type=int, default=300, help="of short jobs through a server")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as name:
        folder = Path(name)
        print(f"one fsync of the disk: {sync_s(folder) * 1e3:.2f} ms\n")
        print_running(given.seconds, folder)
        print_short(given.repeats, folder)
    print_short_through_servers(given.calls)


if __name__ == "__main__":
    main()
