"""Training through the server, every epoch streamed and stored, against the same trainer's bare loop.

    python benchmarks/streaming.py [--repeats N]

The bare loop is `for loss in trainer.train()` in this process, without a server. Through the server, the
epochs are trained in one process, stored by a second and received here, by a client that either waits for the
result or goes through the events as they come. That every epoch has arrived, and in order, is checked. Runs
alternate; the table has medians, the ratio is to the bare loop. A busy machine is reported.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import trainers
from harness.servers import gradstream_server
from harness.timing import BareLoop, interleaved

from gradstream import Client, EpochUpdates

EPOCHS = {"manual": 100_000, "autograd": 10_000, "module": 10_000}
TARGETS = {"manual": 1.15, "autograd": 1.1, "module": 1.1}


def bare_loop(trainer: str, epochs: int) -> Callable[[], None]:
    """The reference experiment in this process."""
    train, problem = trainers.bare(trainer), replace(trainers.reference(trainer), epochs=epochs)
    return lambda: train(problem)


def waiting_for_result(client: Client, trainer: str, epochs: int) -> Callable[[], None]:
    """The same through the server, by a program that wants the result."""

    def run() -> None:
        run = client.train(trainer=trainer, epochs=epochs)
        run.result()
        assert np.array_equal(run.epochs, np.arange(1, epochs + 1))

    return run


def watching_events(client: Client, trainer: str, epochs: int) -> Callable[[], None]:
    """The same through the server, by a program that looks at all epochs as they come."""

    def run() -> None:
        received = 0
        for event in client.train(trainer=trainer, epochs=epochs).events():
            if isinstance(event, EpochUpdates):
                assert event.epochs[0] == received + 1
                assert event.parameters
                assert len(event.parameters["weight"]) == len(event)
                received += len(event)
        assert received == epochs

    return run


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--repeats", type=int, default=15)
    repeats = arguments.parse_args().repeats
    # As the server's workers, which share the cores out evenly.
    torch.set_num_threads(1)
    print("trainer     epochs   bare loop      result       ratio      events       ratio   target")
    with gradstream_server() as server, Client(server.address) as client:
        client.server_info()  # returns when the first worker is ready
        for trainer, epochs in EPOCHS.items():
            loop = BareLoop(bare_loop(trainer, epochs))
            bare, result, events = interleaved(
                [
                    loop,
                    waiting_for_result(client, trainer, epochs),
                    watching_events(client, trainer, epochs),
                ],
                repeats,
            )
            print(
                f"{trainer:9} {epochs:>8} {bare:>9.3f} s {result:>9.3f} s {result / bare:>11.3f}"
                f" {events:>9.3f} s {events / bare:>11.3f} {TARGETS[trainer]:>8} {loop.verdict}"
            )


if __name__ == "__main__":
    main()
