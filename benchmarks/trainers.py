"""Each trainer's bare loop against the plain loop a person would write for the same task.

    python benchmarks/trainers.py [--repeats N]

The two run alternately in one process; the table has medians, and the ratio of the medians with its target.
The first cell of a trainer is its reference experiment.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from torch import nn

from gradstream_server.trainers import sufficient_statistics
from gradstream_server.trainers.problem import Problem
from gradstream_server.trainers.registry import load


def plain_manual(problem: Problem) -> None:
    """The notebook loop in NumPy."""
    if problem.features.shape[1] == 1:
        x, y, w = problem.features[:, 0].copy(), problem.targets[:, 0].copy(), 0.0
        for _ in range(problem.epochs):
            prediction = w * x
            loss = ((prediction - y) ** 2).mean()
            # Without dw's 1/n: np.dot has summed already, and there is nothing left for mean() to divide.
            dw = np.dot(2 * x, prediction - y).mean()
            w -= problem.learning_rate * dw
    else:
        x, y = problem.features, problem.targets[:, 0].copy()
        w, b = np.zeros(x.shape[1], x.dtype), 0.0
        for _ in range(problem.epochs):
            prediction = np.dot(x, w) + b
            loss = ((prediction - y) ** 2).mean()
            dw = 2 * np.dot(x.T, prediction - y) / len(y)
            db = 2 * (prediction - y).mean()
            w -= problem.learning_rate * dw
            b -= problem.learning_rate * db
    assert np.isfinite(loss)


def plain_autograd(problem: Problem) -> None:
    """The usual loop over tensors."""
    one = problem.features.shape[1] == 1
    x, y = torch.from_numpy(problem.features), torch.from_numpy(problem.targets[:, 0].copy())
    if one:
        x = x[:, 0].clone()
    w = torch.zeros(() if one else x.shape[1], dtype=x.dtype, requires_grad=True)
    b = torch.zeros((), dtype=x.dtype, requires_grad=True) if problem.intercept else None
    for _ in range(problem.epochs):
        prediction = w * x if one else x @ w
        if b is not None:
            prediction = prediction + b
        loss = ((prediction - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= problem.learning_rate * w.grad
            if b is not None:
                b -= problem.learning_rate * b.grad
        w.grad.zero_()
        if b is not None:
            b.grad.zero_()
    assert loss.isfinite()


def plain_module(problem: Problem) -> None:
    """nn.Linear, nn.MSELoss and SGD as in every tutorial."""
    x, y = torch.from_numpy(problem.features), torch.from_numpy(problem.targets)
    model = nn.Linear(x.shape[1], y.shape[1], dtype=x.dtype)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=problem.learning_rate)
    for _ in range(problem.epochs):
        prediction = model(x)
        loss = criterion(prediction, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.isfinite()


def bare(name: str) -> Callable[[Problem], None]:
    """The trainer's own loop, its construction included."""
    trainer = load(name)

    def run(problem: Problem) -> None:
        for loss in trainer(problem).train():
            last = loss
        assert np.isfinite(float(last))

    return run


PLAIN = {"manual": plain_manual, "autograd": plain_autograd, "module": plain_module}
TARGETS = {"manual": 0.7, "autograd": 1.0, "module": 1.0}


def reference(name: str) -> Problem:
    """The reference experiment, with epochs enough to time."""
    x = np.array([[1], [2], [3], [4]], np.float32)
    epochs = 20_000 if name == "manual" else 5_000
    problem = Problem(x, 2 * x, epochs, learning_rate=0.01, batch_size=4, intercept=name == "module")
    return replace(problem, reduction="sum") if name == "manual" else problem


def larger(rows: int, features: int, epochs: int, seed: int = 0) -> Problem:
    """A random linear problem with noise and an intercept, float32."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, features))
    y = x @ generator.normal(size=(features, 1)) + 3 + generator.normal(size=(rows, 1))
    return Problem(x.astype(np.float32), y.astype(np.float32), epochs, learning_rate=0.01, batch_size=rows)


def seconds(run: Callable[[Problem], None], problem: Problem) -> float:
    """Wall-clock time of one run."""
    start = time.perf_counter()
    run(problem)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--repeats", type=int, default=9)
    repeats = arguments.parse_args().repeats
    print("trainer    rows x features  epochs       ours      plain  ratio target")
    for name in PLAIN:
        cells = [reference(name), larger(1_000, 8, 2_000), larger(100_000, 16, 100)]
        for problem in cells:
            ours, plain = bare(name), PLAIN[name]
            times = [(seconds(ours, problem), seconds(plain, problem)) for _ in range(repeats + 1)][1:]
            a, b = (median(column) / problem.epochs * 1e6 for column in zip(*times, strict=True))
            size = f"{problem.features.shape[0]} x {problem.features.shape[1]}"
            note = " (condensed)" if name == "manual" and sufficient_statistics.cheaper(problem) else ""
            row = f"{name:9} {size:>16} {problem.epochs:>7} {a:>7.1f} us {b:>7.1f} us {a / b:>6.2f}"
            print(f"{row} {TARGETS[name]:>6}{note}")
    print("Times are of one epoch.")


if __name__ == "__main__":
    main()
