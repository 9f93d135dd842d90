"""What is known of a column, gathered while its rows pass by."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradstream_server.data.dataset import MAX_CATEGORIES, Column, ColumnType

_SHOWN = 100
_MAX_CATEGORY = 200
"""Characters of a category."""
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def type_of(arrow: "pa.DataType") -> ColumnType:
    """What values of an Arrow type are."""
    if pa.types.is_boolean(arrow):
        return ColumnType.BOOLEAN
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return ColumnType.NUMBER
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return ColumnType.TEXT
    return ColumnType.TIME if pa.types.is_temporal(arrow) else ColumnType.OTHER


class ColumnStatistics:
    """Gathers what is known of one column."""

    def __init__(self, name: str, arrow_type: "pa.DataType") -> None:
        self._name = name
        self._arrow_type = arrow_type
        self._type = type_of(arrow_type)
        self._rows = 0
        self._nulls = 0
        self._first_null = 0
        self._first_infinite = 0
        self._first_text: tuple[int, str] = (0, "")
        self._min = np.inf
        self._max = -np.inf
        self._mean = 0.0
        self._numbers = 0
        """Values so far that are any, and their mean."""
        has_categories = self._type is ColumnType.TEXT or pa.types.is_integer(arrow_type)
        self._categories: set[Any] | None = set() if has_categories else None

    def add(self, values: "pa.Array") -> None:
        """Take the next rows."""
        self._add_nulls(values)
        if self._type in (ColumnType.NUMBER, ColumnType.BOOLEAN):
            self._add_numbers(values)
        elif self._type is ColumnType.TEXT and not self._first_text[0]:
            self._find_text(values)
        if self._categories is not None:
            self._add_categories(pc.unique(values).drop_null())
        self._rows += len(values)

    def result(self) -> Column:
        """What is known after all rows."""
        numbers = self._rows - self._nulls
        counts = self._type in (ColumnType.NUMBER, ColumnType.BOOLEAN) and numbers > 0
        return Column(
            name=self._name,
            type=self._type,
            arrow_type=str(self._arrow_type),
            nulls=self._nulls,
            first_null_row=self._first_null,
            min=float(self._min) if counts else None,
            max=float(self._max) if counts else None,
            mean=self._mean if counts else None,
            first_infinite_row=self._first_infinite,
            first_text_row=self._first_text[0],
            first_text=self._first_text[1],
            categories=tuple(str(value) for value in sorted(self._categories or ())),
        )

    def _add_nulls(self, values: "pa.Array") -> None:
        if values.null_count:
            self._nulls += values.null_count
            if not self._first_null:
                self._first_null = self._rows + 1 + int(np.argmax(as_numbers(values.is_null())))

    def _add_numbers(self, values: "pa.Array") -> None:
        numbers = as_numbers(values)
        if not len(numbers):
            return
        lowest, highest = numbers.min(), numbers.max()
        if np.isnan(lowest):
            missing = np.isnan(numbers)
            count = int(missing.sum())
            if count > values.null_count:
                # NaN is a missing value too.
                self._nulls += count - values.null_count
                first = self._rows + 1 + int(np.argmax(missing))
                self._first_null = min(self._first_null or first, first)
            numbers = numbers[~missing]
            if not len(numbers):
                return
            lowest, highest = numbers.min(), numbers.max()
        if not self._first_infinite and (np.isinf(lowest) or np.isinf(highest)):
            self._first_infinite = self._rows + 1 + int(np.argmax(np.isinf(as_numbers(values))))
        self._min, self._max = min(self._min, lowest), max(self._max, highest)
        with np.errstate(all="ignore"):
            count = self._numbers + len(numbers)
            mean = float(numbers.sum(dtype=np.float64)) / len(numbers)
            if np.isinf(mean):  # The sum is past all numbers; the mean is not, where no number is.
                mean = float((numbers / len(numbers)).sum(dtype=np.float64))
            self._mean += mean * (len(numbers) / count) - self._mean * (len(numbers) / count)
            self._numbers = count

    def _add_categories(self, values: "pa.Array") -> None:
        is_long = (
            self._type is ColumnType.TEXT and (pc.max(pc.utf8_length(values)).as_py() or 0) > _MAX_CATEGORY
        )
        if is_long or len(values) > MAX_CATEGORIES:
            self._categories = None
        elif self._categories is not None:
            self._categories.update(values.to_pylist())
            if len(self._categories) > MAX_CATEGORIES:
                self._categories = None

    def _find_text(self, values: "pa.Array") -> None:
        """Find the first value that is no number: why the column is none."""
        numeric = pc.match_substring_regex(values, _NUMBER)
        text = np.flatnonzero(as_numbers(numeric) == 0)
        if len(text):
            self._first_text = (self._rows + 1 + int(text[0]), values[int(text[0])].as_py()[:_SHOWN])


def as_numbers(values: "pa.Array") -> NDArray[Any]:
    """A column of numbers or booleans as NumPy has it; NaN where there is no value."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    # Not `to_numpy`: that imports pandas, where it is installed, into every worker.
    filled = pa.Array.from_buffers(
        values.type, len(values), [None, values.buffers()[1]], offset=values.offset
    )
    numbers: NDArray[Any] = np.from_dlpack(filled)
    if values.null_count:
        missing = np.from_dlpack(values.is_null().cast(pa.uint8())).astype(bool)
        numbers = np.where(missing, np.nan, numbers)
    return numbers
