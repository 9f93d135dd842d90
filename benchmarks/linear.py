"""Linear regression on a million rows: each trainer as a job, against what people have in one process.

    make bench BENCHMARKS=benchmarks/linear.py ARGS="[--rows N] [--repeats N]"

1,000,000 x 16 float32, full batches, 100 epochs. The manual trainer is timed from arrays in this process to
the result, the way there included, and compared with scikit-learn's LinearRegression, which solves the same
problem in one go. autograd and module train on a data set that is uploaded already, against the plain loops
of trainers.py. The server has one worker, so that a job has all processors, as what runs in this process has.
Runs alternate; the table has medians, and the ratio of CPU times, which a busy machine changes less.
"""

import argparse

import numpy as np
from harness.servers import gradstream_server
from harness.timing import Others, costs
from sklearn.linear_model import LinearRegression
from trainers import larger, plain_autograd, plain_module

from gradstream import Client

FEATURES, EPOCHS, RATE = 16, 100, 0.01
TARGETS = {"manual": 0.45 / 0.32, "autograd": 1.05, "module": 1.05}


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    problem = larger(options.rows, FEATURES, EPOCHS)
    x, y = problem.features, problem.targets
    with gradstream_server("--workers", "1") as server, Client(server.address) as client, Others() as others:
        dataset = client.upload(np.hstack([x, y]))

        def inline() -> None:
            client.train(x, y, trainer="manual", epochs=EPOCHS, learning_rate=RATE).result()

        def uploaded(trainer: str) -> None:
            target = dataset.columns[-1].name
            client.train(
                trainer=trainer, dataset=dataset, target_columns=target, epochs=EPOCHS, learning_rate=RATE
            ).result()

        runs = {
            "manual": (inline, lambda: LinearRegression().fit(x, y), "LinearRegression"),
            "autograd": (lambda: uploaded("autograd"), lambda: plain_autograd(problem), "plain loop"),
            "module": (lambda: uploaded("module"), lambda: plain_module(problem), "plain loop"),
        }
        took = {name: costs(pair[:2], options.repeats) for name, pair in runs.items()}
    print("trainer         ours                        peer   ratio  target   by CPU time")
    for name, (a, b) in took.items():
        times = f"{a.wall_s:>7.2f} s {b.wall_s:>7.2f} s {runs[name][2]:>16}"
        ratios = f"{a.wall_s / b.wall_s:>7.2f} {TARGETS[name]:>7.2f} {a.cpu_s / b.cpu_s:>13.2f}"
        print(f"{name:10} {times} {ratios}")
    print(others.verdict)


if __name__ == "__main__":
    main()
