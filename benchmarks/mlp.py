"""A multilayer perceptron on a data set that is uploaded already, against the loops that people write.

    python benchmarks/mlp.py [--rows N] [--repeats N]

500,000 x 32 float32, 32-64-64-1, Adam, batches of 1024, 3 epochs. Ours is the whole job by a server, from
the call to its result, every epoch streamed and stored. The lean loop permutes once an epoch and has a fused
Adam and no `.item()` a step; the other is what tutorials have, DataLoader(TensorDataset). Runs alternate; the
table has medians.
"""

import argparse
import io

import numpy as np
import torch
from harness.servers import gradstream_server
from harness.timing import interleaved
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gradstream import Client, Dataset

FEATURES, BATCH, EPOCHS, RATE = 32, 1024, 3, 1e-3


def table(rows: int) -> np.ndarray:
    """Features and a target that is not linear in them, as the last column."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, FEATURES)).astype(np.float32)
    y = np.sin(x[:, :1]) * x[:, 1:2] + 0.1 * generator.normal(size=(rows, 1))
    return np.hstack([x, y.astype(np.float32)])


def perceptron() -> nn.Module:
    """32-64-64-1."""
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def lean(data: np.ndarray) -> float:
    """A loop that has been thought about."""
    x, y = torch.from_numpy(data[:, :-1].copy()), torch.from_numpy(data[:, -1:].copy())
    model, loss_of = perceptron(), nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        shuffled, targets = x[order], y[order]
        total = torch.zeros(())
        for start in range(0, len(x), BATCH):
            loss = loss_of(model(shuffled[start : start + BATCH]), targets[start : start + BATCH])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
    return total.item()


def tutorial(data: np.ndarray) -> float:
    """The loop of every tutorial."""
    x, y = torch.from_numpy(data[:, :-1].copy()), torch.from_numpy(data[:, -1:].copy())
    model, loss_of = perceptron(), nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        total = 0.0
        for features, targets in DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(features), targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
    return total


def ours(client: Client, dataset: Dataset) -> float:
    """The same as a job."""
    run = client.train(
        trainer="module",
        dataset=dataset,
        target_columns=dataset.columns[-1].name,
        model=("mlp", {"hidden": [64, 64]}),
        optimizer="adam",
        learning_rate=RATE,
        batch_size=BATCH,
        epochs=EPOCHS,
    )
    return run.result().final_loss


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rows", type=int, default=500_000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    data = table(options.rows)
    file = io.BytesIO()
    np.save(file, data)
    with gradstream_server() as server, Client(server.address) as client:
        file.seek(0)
        dataset = client.upload(file, name="table.npy")
        runs = [lambda: ours(client, dataset), lambda: lean(data), lambda: tutorial(data)]
        times = interleaved(runs, options.repeats)
    print("run                   time   ours / it  target")
    for name, seconds, target in zip(
        ("ours", "lean loop", "DataLoader"), times, ("", 1.15, 0.2), strict=True
    ):
        print(f"{name:16} {seconds:>7.2f} s {times[0] / seconds:>11.2f} {target:>7}")


if __name__ == "__main__":
    main()
