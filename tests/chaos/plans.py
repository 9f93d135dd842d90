"""What is trained: plans of every trainer, full batch and mini-batch, in both precisions, plain and with all
that keeps a state, on data that come with the spec and on data sets."""

import hashlib
import io
import random
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from tests.chaos.updates import UPDATES, Updates

from gradstream import Client
from gradstream.spec import SpecOptions

_EPOCHS = {
    ("manual", "full batch"): 40_000,
    ("autograd", "full batch"): 12_000,
    ("module", "full batch"): 9_000,
    ("manual", "mini-batch"): 6_000,
    ("autograd", "mini-batch"): 1_200,
    ("module", "mini-batch"): 900,
}
"""That take about a second on an idle core."""
_LENGTHS = (0.02, 0.3, 0.7, 1.0, 1.5, 2.5)
"""In such seconds."""
_BATCHES = 8


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers to learn from."""

    features: NDArray[np.float64]
    targets: NDArray[np.float64] | NDArray[np.int64]
    """Whole numbers where they are classes."""

    @cached_property
    def file(self) -> bytes:
        """Features and targets in one file, each in their own type."""
        file = io.BytesIO()
        np.savez(file, x=self.features, y=self.targets)
        return file.getvalue()

    @cached_property
    def selection(self) -> SpecOptions:
        """The same table as a data set."""
        targets = [f"y{i + 1}" for i in range(self.targets.shape[1])]
        return {"dataset": hashlib.sha256(self.file).hexdigest(), "target_columns": targets}


@dataclass(frozen=True, eq=False)
class Plan:
    """What a job trains. Several jobs may have the same plan, and several plans the same table."""

    name: str
    table: Table | None
    """None: the reference experiment."""
    options: SpecOptions
    dtype: str = "float64"

    def data(self) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
        """Features and targets, as they are sent."""
        if self.table is None or "dataset" in self.options:
            return None, None
        return self.table.features.astype(self.dtype), self.table.targets.astype(self.dtype)

    def upload(self, client: Client) -> None:
        """Bring the data set to where the plan is trained, if it is of one."""
        if self.table and "dataset" in self.options:
            client.upload(io.BytesIO(self.table.file), name="table.npz")


def make_plans(chance: random.Random, count: int) -> list[Plan]:
    """Plans of all kinds there are, each kind before any comes again: so many plain ones, and the others."""
    tables = [_table(chance, *shape) for shape in ((300, 2, 1), (3000, 4, 1), (20_000, 3, 2), (2000, 20, 4))]
    kinds = list(
        product(("manual", "autograd", "module"), ("full batch", "mini-batch"), ("float32", "float64"))
    )
    chance.shuffle(kinds)
    plans = [_diverging(chance), _reference_experiment(chance)]
    plans += [_plan(chance, tables, i, *kinds[i % len(kinds)]) for i in range(count - len(plans))]
    large = _table(chance, 30_000, 9, 1)  # Workers find its numbers in a file that they share.
    return plans + [
        _updating_plan(chance, large if i == 0 else tables[1], updates, is_dataset=i % 2 == 0)
        for i, updates in enumerate(chance.sample(UPDATES, len(UPDATES)))
    ]


def random_uuid(chance: random.Random) -> UUID:
    """A UUID of version 4 that depends on the seed."""
    return UUID(int=chance.getrandbits(128), version=4)


def _plan(chance: random.Random, tables: list[Table], i: int, trainer: str, batch: str, dtype: str) -> Plan:
    table = chance.choice(tables if batch == "full batch" else [tables[1], tables[3]])
    rows, features = table.features.shape
    options = SpecOptions(
        trainer=trainer,
        device="cpu",
        epochs=max(5, round(_EPOCHS[trainer, batch] * chance.choice(_LENGTHS))),
        learning_rate=chance.uniform(0.001, 0.01),
        seed=chance.getrandbits(63),
        # Without, features of such means and units would diverge.
        standardize=True,
        intercept=chance.random() < 0.8,
        l2=chance.choice((0.0, 0.01)),
        report_every=chance.choice((1, 1, 1, 7, 100)),
    )
    if not table.features.mean() > 1:
        options["standardize"] = chance.random() < 0.5
    if batch == "mini-batch":
        options["batch_size"] = rows // _BATCHES
        options["shuffle"] = chance.random() < 0.8
    if chance.random() < 0.5:
        options["predict_rows"] = table.features[:2].tolist()
    return Plan(f"plan {i}: {trainer}, {batch}, {dtype}, {rows} x {features}", table, options, dtype)


def _updating_plan(chance: random.Random, table: Table, updates: Updates, is_dataset: bool) -> Plan:
    if updates.classes:
        table = Table(table.features, (table.targets > 0).astype(np.int64))
    rows, features = table.features.shape
    trainer = chance.choice(updates.trainers)
    seconds = chance.choice(_LENGTHS) * 3000 / rows
    options = SpecOptions(
        trainer=trainer,
        device="cpu",
        epochs=max(5, round(updates.epochs * seconds)),
        learning_rate=chance.uniform(0.001, 0.01),
        seed=chance.getrandbits(63),
        standardize=chance.random() < 0.5,
        l2=chance.choice((0.0, 0.01)),
        predict_rows=table.features[:2].tolist(),
    )
    if updates.batches:
        options["batch_size"] = rows // _BATCHES
    if is_dataset:
        options |= table.selection
    options |= updates.options
    of = "a data set" if is_dataset else "inline data"
    return Plan(f"{updates.name}: {trainer}, {of}, {rows} x {features}", table, options, "float64")


def _table(chance: random.Random, rows: int, features: int, targets: int) -> Table:
    generator = np.random.default_rng(chance.getrandbits(64))
    x = generator.standard_normal((rows, features))
    y = x @ generator.standard_normal((features, targets)) + generator.standard_normal((rows, targets))
    # Units as people have them: one of the tables has to be standardized.
    return Table(x * 10 + 50 if rows == 300 else x, y)


def _reference_experiment(chance: random.Random) -> Plan:
    trainer = chance.choice(("autograd", "module"))
    options = SpecOptions(trainer=trainer, device="cpu", epochs=20_000, report_every=3)
    return Plan(f"the reference experiment of {trainer}", None, options)


def _diverging(chance: random.Random) -> Plan:
    """Fails in the end, whatever is done to it: each step is a little too long, so that the loss grows."""
    trainer = chance.choice(("manual", "autograd"))
    x = np.random.default_rng(chance.getrandbits(64)).standard_normal((200, 1))
    too_long = (2 + chance.uniform(0.02, 0.05)) / (2 * float(np.mean(x**2)))
    options = SpecOptions(
        trainer=trainer, device="cpu", epochs=500_000, learning_rate=too_long, intercept=False, l2=0.0
    )
    return Plan(f"diverges: {trainer}", Table(x, 3 * x + 1), options)
