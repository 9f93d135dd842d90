"""What to train, as a caller asks for it and as the server has resolved it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gradstream_server.data.dataset import ColumnType
from gradstream_server.trainers import shapes
from gradstream_server.trainers.part import Choice, Kind
from gradstream_server.trainers.shapes import count

Dtype = Literal["float32", "float64"]
Reduction = Literal["mean", "sum"]
Nulls = Literal["error", "drop", "mean"]
FloatArray = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class InlineData:
    """A table of numbers: features (rows, features) and targets (rows, targets), float32 or float64."""

    features: FloatArray
    targets: FloatArray
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()


def dtype_of(array: FloatArray) -> Dtype:
    """The dtype of an array, by name."""
    return "float32" if array.dtype == np.float32 else "float64"


@dataclass(frozen=True)
class ValidationRequest:
    """Rows to measure on, as they were asked for. The contract, `spec.proto`, says what the fields mean."""

    fraction: float | None = None
    last_rows: int | None = None
    dataset: str | None = None
    """Its digest, or the beginning of it."""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Validation:
    """Rows to measure on, every choice made: one of these three."""

    metrics: tuple[str, ...]
    fraction: float = 0.0
    last_rows: int = 0
    dataset: str = ""

    def count(self, rows: int) -> int:
        """How many of so many rows are measured on, and not learnt from."""
        if self.dataset:
            return 0
        return self.last_rows or max(1, round(self.fraction * rows))


@dataclass(frozen=True)
class StoppingRequest:
    """What ends training early, as it was asked for; None where the server is to choose."""

    patience: int | None = None
    monitor: str | None = None
    min_delta: float | None = None
    restore_best: bool | None = None
    after_seconds: float | None = None
    after_epochs: int | None = None


@dataclass(frozen=True)
class Stopping:
    """What ends training early, every choice made; what is 0 or empty does not."""

    patience: int = 0
    monitor: str = ""
    """Empty where nothing is monitored."""
    min_delta: float = 0.0
    restore_best: bool = False
    after_seconds: float = 0.0
    after_epochs: int = 0


@dataclass(frozen=True)
class SpecRequest:
    """A spec as it was asked for: None, or empty, where the server is to choose. Nothing is checked yet."""

    trainer: str
    device: str | None = None
    data: InlineData | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    shuffle: bool | None = None
    reduction: Reduction | None = None
    intercept: bool | None = None
    l2: float | None = None
    dtype: Dtype | None = None
    seed: int | None = None
    standardize: bool | None = None
    initial_parameters: Mapping[str, FloatArray] = field(default_factory=dict)
    report_every: int | None = None
    predict_rows: FloatArray | None = None
    max_memory_bytes: int | None = None
    max_seconds: float | None = None
    known_data: "KnownData | None" = None
    """Data that the server has already, where none come with the request; to check them by, where they do."""
    selection: "SelectionRequest | None" = None
    parts: Mapping[Kind, Choice] = field(default_factory=dict)
    """What was chosen by name: optimizer, schedule and so on."""
    validation: ValidationRequest | None = None
    stopping: StoppingRequest | None = None


@dataclass(frozen=True)
class KnownData:
    """Data by their digest, with the names they go by in a request."""

    digest: str
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SelectionRequest:
    """Columns of a data set, as they were asked for. The contract, `spec.proto`, says what they mean."""

    dataset: str
    """Its digest, or the beginning of it."""
    targets: tuple[str, ...]
    features: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    max_categories: int | None = None
    nulls: Nulls | None = None


@dataclass(frozen=True)
class SelectedColumn:
    """A column of a data set as a model knows it; the contract, `spec.proto`, says more."""

    name: str
    type: ColumnType
    encoded_as: int
    """How many features it is: 0 for a target, 1 as it is, of one_hot as many as it has categories."""
    mean: float | None = None
    """What stands in for a missing number."""


@dataclass(frozen=True)
class Selection:
    """Columns of a data set, every choice made."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    one_hot: tuple[str, ...]
    max_categories: int
    nulls: Nulls
    classes: tuple[str, ...] = ()
    """Values of the target, in order, where they are classes rather than numbers."""
    feature_columns: tuple[SelectedColumn, ...] = ()
    """Of each of the features; empty in specs that are older than this."""
    target_columns: tuple[SelectedColumn, ...] = ()


@dataclass(frozen=True)
class DataSummary:
    """What is known of a job's data beside its numbers, which lie in files named by the digest."""

    digest: str
    rows: int
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    dtype: Dtype
    inline: bool
    """False for the reference experiment, whose data nobody sent, and for a data set."""
    selection: Selection | None = None
    """Of a data set; the rows are then all of its rows, of which some may be left out."""
    classes: tuple[str, ...] = ()
    """Names of the classes, by number, with a loss of classes."""


def summarize(data: InlineData, inline: bool = True) -> DataSummary:
    """What is known of data beside their numbers; the digest is that of types, shapes and numbers."""
    content = hashlib.sha256()
    for array in (data.features, data.targets):
        content.update(f"{dtype_of(array)} {array.shape}\n".encode())
        content.update(np.ascontiguousarray(array).data)
    return DataSummary(
        digest=content.hexdigest(),
        rows=len(data.features),
        feature_names=data.feature_names or tuple(f"x{i + 1}" for i in range(data.features.shape[1])),
        target_names=data.target_names or tuple(f"y{i + 1}" for i in range(data.targets.shape[1])),
        dtype=dtype_of(data.features),
        inline=inline,
    )


@dataclass(frozen=True)
class Spec:
    """A resolved spec: every choice made, every value in range. The ranges stand in `spec.proto`."""

    trainer: str
    device: str
    data: DataSummary
    epochs: int
    learning_rate: float
    batch_size: int
    shuffle: bool
    reduction: Reduction
    intercept: bool
    l2: float
    dtype: Dtype
    seed: int
    standardize: bool
    initial_parameters: Mapping[str, FloatArray]
    """In the data's own units, in full shape, of those that `shapes.of` names."""
    report_every: int
    predict_rows: FloatArray | None
    """(rows, features) in the data's own units, or None."""
    parts: Mapping[Kind, Choice]
    """One of each kind, with every option."""
    max_memory_bytes: int = 0
    """Beside the worker's own; 0 for no limit."""
    max_seconds: float = 0.0
    """Of running, over all attempts; 0 for no limit."""
    validation: Validation | None = None
    stopping: Stopping = Stopping()

    @property
    def last_epoch(self) -> int:
        """The last epoch, unless something ends training before it."""
        return self.stopping.after_epochs or self.epochs

    @property
    def parameter_count(self) -> int | None:
        """Numbers that the model has; None of an installed module, whose worker counts them."""
        features = len(self.data.feature_names)
        known = shapes.of(self.parts["model"], features, self.outputs, self.intercept)
        return None if known is None else count(known)

    @property
    def outputs(self) -> int:
        """What the model has for each row."""
        several = self.parts["loss"].name == "cross_entropy"
        return len(self.data.classes) if several else len(self.data.target_names)
