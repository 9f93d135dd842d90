"""The selected columns of a data set as numbers, a block of rows at a time, from the mapped Arrow file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
from numpy.typing import NDArray

from gradstream_server.data.dataset import Column, Dataset
from gradstream_server.data.statistics import as_numbers
from gradstream_server.jobs.spec import Selection

_BLOCK_NUMBERS = 1 << 18
"""Of more at once the processor's cache has no use, but the worker takes more memory."""
Block = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Features (b, features) and targets (b, targets)."""


class Source(Protocol):
    """Rows that come in blocks."""

    @property
    def bounds(self) -> Block:
        """The smallest and the largest number that each feature may have, each (features,)."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The rows, in order."""
        ...


class SelectedRows:
    """The selected columns of a data set, row by row, encoded and with something for missing values."""

    def __init__(self, table: Path, dataset: Dataset, selection: Selection) -> None:
        """
        Args:
            table: its Arrow file.
        """
        self._table = table
        self._selection = selection
        columns = {column.name: column for column in dataset.table.columns}
        self._features = [columns[name] for name in selection.features]
        self._targets = [columns[name] for name in selection.targets]
        self.rows = dataset.table.rows
        self._may_lack = any(column.nulls for column in (*self._features, *self._targets))

    @property
    def all_are_left(self) -> bool:
        """Whether no row is left out."""
        return not (self._selection.nulls == "drop" and self._may_lack)

    @property
    def bounds(self) -> Block:
        """The smallest and the largest number of each feature, each (features,)."""
        lowest: list[float] = []
        highest: list[float] = []
        for column in self._features:
            if column.name in self._selection.one_hot:
                lowest.extend([0.0] * len(column.categories))
                highest.extend([1.0] * len(column.categories))
            else:
                lowest.append(column.min or 0.0)
                highest.append(column.max or 0.0)
        return np.array(lowest), np.array(highest)

    def count(self) -> int:
        """How many rows are left."""
        return self.rows if self.all_are_left else sum(len(targets) for _, targets in self.blocks())

    def blocks(self) -> Iterator[Block]:
        """The rows, in the data set's order."""
        names = [*self._selection.features, *self._selection.targets]
        with pa.memory_map(str(self._table)) as source, pa.ipc.open_file(source) as reader:
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i).select(names)
                at_once = max(1, _BLOCK_NUMBERS // (len(self.bounds[0]) + len(self._targets)))
                for start in range(0, batch.num_rows, at_once):
                    yield self._numbers(batch.slice(start, at_once))

    def _numbers(self, batch: "pa.RecordBatch") -> Block:
        features = _matrix([part for column in self._features for part in self._encoded(batch, column)])
        targets = _matrix([self._target(batch, column) for column in self._targets])
        if not self.all_are_left:
            whole = ~(np.isnan(features).any(axis=1) | np.isnan(targets).any(axis=1))
            features, targets = features[whole], targets[whole]
        return features, targets

    def _target(self, batch: "pa.RecordBatch", column: Column) -> NDArray[np.float64]:
        """The numbers of a target, or of its classes."""
        values = batch.column(column.name)
        if not self._selection.classes or pa.types.is_boolean(values.type):
            return as_numbers(values)
        kinds = pa.array(self._selection.classes).cast(values.type)
        index = pc.index_in(values, kinds).to_numpy(zero_copy_only=False)
        numbers: NDArray[np.float64] = index.astype(np.float64)
        return numbers

    def _encoded(self, batch: "pa.RecordBatch", column: Column) -> Sequence[NDArray[np.float64]]:
        """The features that a column is."""
        values = batch.column(column.name)
        if column.name not in self._selection.one_hot:
            numbers = as_numbers(values)
            if self._selection.nulls == "mean" and column.nulls:
                numbers = np.where(np.isnan(numbers), column.mean or 0.0, numbers)
            return [numbers]
        kinds = pa.array(column.categories).cast(values.type)
        index = as_numbers(pc.index_in(values, kinds))
        missing = np.nan if self._selection.nulls == "drop" else 0.0
        lacking = np.isnan(index) if values.null_count else None
        parts = [(index == i).astype(np.float64) for i in range(len(column.categories))]
        if lacking is not None:
            for part in parts:
                part[lacking] = missing
        return parts


def _matrix(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    matrix = np.empty((len(columns[0]), len(columns)))
    for i, column in enumerate(columns):
        matrix[:, i] = column
    return matrix
