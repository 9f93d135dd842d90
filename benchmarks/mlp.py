"""A multilayer perceptron on a data set that is uploaded already, against the loops and libraries people use.

    make bench BENCHMARKS=benchmarks/mlp.py ARGS="[--rows N] [--repeats N]"

500,000 x 32 float32, 32-64-64-1, Adam, batches of 1024, 3 epochs. Ours is the whole job by a server, from
the call to its result, every epoch streamed and stored. The lean loop permutes once an epoch and has a fused
Adam and no `.item()` a step; the next is what tutorials have, DataLoader(TensorDataset); the others are
libraries, told to do nothing but train. Torch has one thread everywhere, for in batches of this size two only
wait for one another; scikit-learn has what it takes. All end at a like loss, or the benchmark fails. Runs
alternate; the table has medians, and the ratio of CPU times, which a busy machine changes less.
"""

import argparse
import io
import logging
import warnings

import lightning
import numpy as np
import skorch
import torch
from harness.servers import gradstream_server
from harness.timing import Others, costs
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
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


def tensors(data: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and targets."""
    return torch.from_numpy(data[:, :-1].copy()), torch.from_numpy(data[:, -1:].copy())


def lean(data: np.ndarray) -> float:
    """A loop that has been thought about."""
    x, y = tensors(data)
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
    return total.item() * BATCH / len(x)


def tutorial(data: np.ndarray) -> float:
    """The loop of every tutorial."""
    x, y = tensors(data)
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
    return total * BATCH / len(x)


class LightningPerceptron(lightning.LightningModule):
    """The same as Lightning has it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = perceptron()
        self.total = torch.zeros(())

    def on_train_epoch_start(self) -> None:
        """Begin to sum up the losses."""
        self.total = torch.zeros(())

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """The loss of a batch."""
        features, targets = batch
        loss = nn.functional.mse_loss(self.model(features), targets)
        self.total += loss.detach()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=RATE)


def by_lightning(data: np.ndarray) -> float:
    """Lightning's Trainer, without logs, checkpoints and bars."""
    module = LightningPerceptron()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(*tensors(data)), batch_size=BATCH, shuffle=True))
    return module.total.item() * BATCH / len(data)


def by_skorch(data: np.ndarray) -> float:
    """skorch's regressor, without a part for validation."""
    net = skorch.NeuralNetRegressor(
        perceptron(),
        optimizer=torch.optim.Adam,
        lr=RATE,
        max_epochs=EPOCHS,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    net.fit(data[:, :-1], data[:, -1:])
    return net.history[-1, "train_loss"]


def by_sklearn(data: np.ndarray) -> float:
    """scikit-learn's MLPRegressor, without regularization and stopping."""
    regressor = MLPRegressor(
        hidden_layer_sizes=(64, 64),
        batch_size=BATCH,
        max_iter=EPOCHS,
        learning_rate_init=RATE,
        alpha=0,
        n_iter_no_change=EPOCHS,
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        regressor.fit(data[:, :-1], data[:, -1])
    return 2 * regressor.loss_  # it has half the squared error


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


PEERS = {
    "lean loop": (lean, 1.15),
    "DataLoader": (tutorial, 1 / 5),
    "Lightning": (by_lightning, 1 / 5),
    "skorch": (by_skorch, 1 / 5),
    "MLPRegressor": (by_sklearn, 1 / 1.5),
}
"""How each trains, and what our time may be at most as a part of its time."""


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rows", type=int, default=500_000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")  # of workers for loading, which would be slower
    torch.set_num_threads(1)
    data = table(options.rows)
    file = io.BytesIO()
    np.save(file, data)
    losses: dict[str, float] = {}
    with gradstream_server("--threads", "1") as server, Client(server.address) as client, Others() as others:
        file.seek(0)
        dataset = client.upload(file, name="table.npy")

        def run_of(name: str) -> None:
            losses[name] = ours(client, dataset) if name == "ours" else PEERS[name][0](data)

        names = ["ours", *PEERS]
        took = costs([lambda name=name: run_of(name) for name in names], options.repeats)
    print("run                   time   last loss   ours / it  target   by CPU time")
    for name, cost in zip(names, took, strict=True):
        target = f"{PEERS[name][1]:.2f}" if name in PEERS else ""
        ratios = f"{took[0].wall_s / cost.wall_s:>11.2f} {target:>7} {took[0].cpu_s / cost.cpu_s:>13.2f}"
        print(f"{name:16} {cost.wall_s:>7.2f} s {losses[name]:>11.3f} {ratios}")
    print(others.verdict)
    assert max(losses.values()) < 3 * min(losses.values()), "they do not train the same"


if __name__ == "__main__":
    main()
