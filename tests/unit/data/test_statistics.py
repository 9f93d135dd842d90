"""What is told of columns, whatever batches they come in."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.data.files import arrow, read

from gradstream_server.data.dataset import Column, ColumnType
from gradstream_server.data.statistics import ColumnStatistics


def known(parts: Sequence[Sequence[Any]], arrow_type: Any) -> Column:
    statistics = ColumnStatistics("a", arrow_type)
    for part in parts:
        statistics.add(pa.array(part, arrow_type))
    return statistics.result()


def in_parts(values: Sequence[Any]) -> list[list[Sequence[Any]]]:
    return [[values], [values[:2], values[2:]], [[each] for each in values]]


@pytest.mark.parametrize("arrow_type", [pa.float32(), pa.float64(), pa.int8(), pa.uint64()])
def test_numbers(arrow_type: Any) -> None:
    for parts in in_parts([3, None, 5, None, 1]):
        found = known(parts, arrow_type)
        assert (found.type, found.arrow_type) == (ColumnType.NUMBER, str(arrow_type))
        assert (found.nulls, found.first_null_row, found.first_infinite_row) == (2, 2, 0)
        assert (found.min, found.max, found.mean) == (1, 5, 3)
        assert found.categories == (("1", "3", "5") if pa.types.is_integer(arrow_type) else ())


def test_nan_is_no_value() -> None:
    """Training on what is no number would diverge, without a word of why."""
    for parts in in_parts([1.0, 2.0, math.nan, None, math.nan]):
        found = known(parts, pa.float64())
        assert (found.nulls, found.first_null_row, found.mean, found.max) == (3, 3, 1.5, 2)
    for parts in in_parts([1.0, None, math.nan]):
        assert known(parts, pa.float32()).first_null_row == 2


def test_infinities() -> None:
    for parts in in_parts([1.0, None, -math.inf, math.inf, math.nan]):
        found = known(parts, pa.float64())
        assert (found.first_infinite_row, found.min, found.max, found.nulls) == (3, -math.inf, math.inf, 2)


@pytest.mark.parametrize("arrow_type", [pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.null()])
def test_columns_without_any_value(arrow_type: Any) -> None:
    found = known([[None, None], [None]], arrow_type)
    assert (found.nulls, found.first_null_row, found.categories) == (3, 1, ())
    assert found.min is found.max is found.mean is None


def test_booleans_are_0_and_1() -> None:
    found = known([[True, None], [False, True]], pa.bool_())
    assert (found.type, found.min, found.max, found.nulls) == (ColumnType.BOOLEAN, 0, 1, 1)
    assert found.mean == pytest.approx(2 / 3)


def test_the_mean_of_huge_numbers_is_a_number() -> None:
    """With nulls=MEAN, infinity would stand where a value is missing."""
    for parts in in_parts([1.5e308, 1.5e308, None, 1.2e308]):
        assert known(parts, pa.float64()).mean == pytest.approx(1.4e308)
    assert known([[3e38, 3e38]], pa.float32()).mean == pytest.approx(3e38)


@given(st.lists(st.lists(st.none() | st.floats(-1e6, 1e6) | st.just(math.nan), max_size=5), max_size=5))
def test_statistics_are_those_of_numpy(parts: list[list[float | None]]) -> None:
    found = known(parts, pa.float64())
    values = np.array([math.nan if each is None else each for part in parts for each in part], float)
    missing = np.isnan(values)
    assert found.nulls == missing.sum()
    assert found.first_null_row == (int(np.argmax(missing)) + 1 if missing.any() else 0)
    if missing.all():
        assert found.mean is None
    else:
        assert (found.min, found.max) == (np.nanmin(values), np.nanmax(values))
        assert found.mean == pytest.approx(np.nanmean(values), abs=1e-6)


def test_categories_are_in_order_and_bounded() -> None:
    """The names of a million people would be a million features, or a message that nobody can take."""
    assert known([["b", None], ["a", "b"]], pa.string()).categories == ("a", "b")
    assert known([[10, 9], [None, -1]], pa.int64()).categories == ("-1", "9", "10")
    for per_part in (1000, 10):
        thousand = [list(range(i, i + per_part)) for i in range(0, 1000, per_part)]
        assert len(known(thousand, pa.int32()).categories) == 1000
        assert known([*thousand, [1000]], pa.int32()).categories == ()
    assert known([["x" * 200]], pa.string()).categories == ("x" * 200,)
    assert known([["x" * 201]], pa.string()).categories == ()
    assert known([["x" * 201], ["y"]], pa.string()).categories == ()
    assert known([[1.0]], pa.float64()).categories == ()


def test_categories_of_all_columns_fit_into_a_message(tmp_path: Any) -> None:
    """Clients that take at most 4 MiB at once could not be told of a wide table."""
    numbers = {f"n{i}": np.arange(10**9, 10**9 + 1000) for i in range(200)}
    kinds = {"kind": [f"{i:050}" for i in range(1000)]}
    columns = {
        each.name: each for each in read(tmp_path, arrow(pa.table(numbers | kinds)), "t.arrow").columns
    }
    kept = {name: len(each.categories) for name, each in columns.items()}
    assert kept["kind"] == 1000, "text is of no use without"
    assert kept["n0"] == 1000
    assert sum(kept.values()) * 10 <= 1 << 20


def test_why_a_column_is_text() -> None:
    """Whoever has one letter among a million numbers would have to look for it."""
    for parts in in_parts(["1", " -2.5e3 ", None, "n/k", "x"]):
        found = known(parts, pa.string())
        assert (found.first_text_row, found.first_text) == (4, "n/k")
    assert known([["x" * 500]], pa.string()).first_text == "x" * 100
    assert known([["1", "2"]], pa.string()).first_text_row == 0
