"""Models that were trained as a worker does it, and the bundles of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.unit.data.files import arrow, dataset, read

from gradstream.bundle import Bundle
from gradstream_server.data.rows import SelectedRows
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.executors.model import Environment, Model
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.events import Completed
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import InlineData, SelectionRequest, Spec, SpecRequest
from gradstream_server.models.bundling import bundle_of
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.registry import TRAINERS

ENVIRONMENT = Environment(1, {"gradstream": "0.1.0", "numpy": "2.4.6"})

HOUSES = pa.table(
    {
        "area": [50.0, 71.5, None, 120.25, 64.0, 88.0, 101.0, 39.5],
        "city": ["Rome", "Oslo", "Rome", None, "Oslo", "Bonn", "Bonn", "Rome"],
        "rooms": pa.array([2, 3, 2, 5, 3, 4, 4, 1], pa.int16()),
        "sold": [True, False, True, True, False, False, True, True],
        "price": [210.0, 340.0, 250.0, 610.0, 300.0, 380.0, 450.0, 190.0],
    }
)
"""With all that a table may have: missing values, text, kinds as whole numbers, booleans."""


def finished(spec: Spec, data: TrainingData) -> tuple[Bundle, Completed]:
    """What training leaves."""
    model = Model(spec, data, ENVIRONMENT)
    losses = [float(loss) for loss in model.trainer.train()]
    result = model.result(model.reached(), len(losses), losses[-1], training_s=0.5)
    return bundle_of(spec, result, job="job-1", name="houses", version=3), result


def train_numbers(
    features: Any, targets: Any, trainer: str = "module", **fields: Any
) -> tuple[Bundle, Completed]:
    """A model of rows that came with a spec; it is asked for the same rows."""
    fields = {"device": "cpu", "epochs": 3, "predict_rows": features} | fields
    data = InlineData(features, targets)
    spec = resolve(SpecRequest(trainer, data=data, **fields), ["cpu"], TRAINERS, Limits())
    return finished(spec, TrainingData.of_inline(spec, data))


def train_table(
    folder: Path, table: "pa.Table" = HOUSES, trainer: str = "manual", choices: Any = None, **fields: Any
) -> tuple[Bundle, Completed, np.ndarray]:
    """A model of a table, what it was trained to, and the features that it learnt from, encoded."""
    known = dataset(read(folder, arrow(table), "t.arrow"))
    selection = SelectionRequest(
        known.digest,
        **{
            "targets": ("price",),
            "features": ("sold", "city", "area", "rooms"),
            "one_hot": ("city", "rooms"),
            "nulls": "mean",
        }
        | (choices or {}),
    )
    request = SpecRequest(trainer, selection=selection, **{"device": "cpu", "epochs": 3} | fields)
    spec = resolve(request, ["cpu"], TRAINERS, Limits(), known)
    assert spec.data.selection
    rows = SelectedRows(folder / "table.arrow", known, spec.data.selection)
    features = np.concatenate([block for block, _ in rows.blocks()])
    asked = replace(spec, predict_rows=features)
    cache = MatrixCache(folder / "matrices", 1 << 30)
    bundle, result = finished(asked, TrainingData.of_dataset(asked, rows, cache))
    return bundle, result, features


def mlp(**options: Any) -> dict[Any, Choice]:
    """The choice of a multilayer perceptron."""
    return {"model": Choice("mlp", {"hidden": [5, 4], **options})}
