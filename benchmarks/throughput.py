"""Many small jobs through the server, one after another and 16 at a time, against the same fits without it.

    python benchmarks/throughput.py [--fits N]

Each fit is of another 1000 x 8 table, 100 epochs, manual trainer, every epoch streamed, stored and received.
The bare fits run here, one after another, without a server. Rounds alternate; the table has medians.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import trainers
from harness.servers import gradstream_server
from harness.timing import BareLoop, interleaved

from gradstream import Client
from gradstream_server.trainers.problem import Problem

EPOCHS = 100
AT_A_TIME = 16
ROUNDS = 3


def fit(client: Client, problem: Problem) -> None:
    """One job, from the call to its result."""
    run = client.train(problem.features, problem.targets, trainer="manual", epochs=EPOCHS)
    run.result()
    assert np.array_equal(run.epochs, np.arange(1, EPOCHS + 1))


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--fits", type=int, default=200)
    fits = arguments.parse_args().fits
    # The server keeps a table once: every round needs new ones.
    rounds = [
        [trainers.larger(1_000, 8, EPOCHS, seed) for seed in range(first, first + fits)]
        for first in range(0, 3 * (ROUNDS + 1) * fits, fits)
    ]
    tables = iter(rounds)
    bare = trainers.bare("manual")
    with (
        gradstream_server() as server,
        Client(server.address) as client,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        workers = client.server_info().workers  # returns when the first worker is ready

        def one_after_another() -> None:
            for problem in next(tables):
                fit(client, problem)

        def at_a_time() -> None:
            for _ in pool.map(lambda problem: fit(client, problem), next(tables)):
                pass

        def bare_fits() -> None:
            for problem in next(tables):
                bare(problem)

        loop = BareLoop(bare_fits)
        figures = interleaved([loop, one_after_another, at_a_time], ROUNDS)
    print(f"{fits} fits of 1000 x 8, {EPOCHS} epochs   seconds   a fit   jobs/s   ratio")
    names = ("bare, one process", "one after another", f"{AT_A_TIME} at a time, {workers} workers")
    for name, figure in zip(names, figures, strict=True):
        each = figure / fits * 1e3
        print(f"{name:35} {figure:>6.2f} {each:>7.2f} ms {fits / figure:>6.0f} {figure / figures[0]:>7.2f}")
    if loop.verdict:
        print(loop.verdict)


if __name__ == "__main__":
    main()
