"""From a table to the numbers that are learnt from."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.data.files import arrow, dataset, read

from gradstream_server.data import rows
from gradstream_server.data.rows import SelectedRows
from gradstream_server.jobs.spec import Selection
from gradstream_server.trainers.scaling import Scaling

NAN = float("nan")
TABLE = pa.table(
    {
        "a": [1.0, 2.0, None, 4.0, NAN, 6.0],
        "city": ["Rome", "Oslo", "Rome", None, "Oslo", "Bonn"],
        "year": pa.array([2001, 1999, None, 2001, 1999, 2001], pa.int16()),
        "flag": [True, False, True, True, False, None],
        "row": [1, 2, 3, 4, 5, 6],
        "y": [1, 2, 3, 4, 5, 6],
    }
)


def selected(folder: Path, table: Any = TABLE, **choices: Any) -> SelectedRows:
    """Rows of a table, by default of its first column."""
    known = dataset(read(folder, arrow(table), "t.arrow"))
    choices = {"targets": ("y",), "features": ("a",), "one_hot": (), "nulls": "error"} | choices
    return SelectedRows(folder / "table.arrow", known, Selection(max_categories=100, **choices))


def numbers(chosen: SelectedRows) -> tuple[np.ndarray, np.ndarray]:
    """All features and all targets."""
    features, targets = zip(*chosen.blocks(), strict=True)
    return np.concatenate(features), np.concatenate(targets)


def test_columns_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Weights would belong to other features than those they are told of."""
    chosen = selected(tmp_path, features=("row", "flag"), targets=("y", "a"), nulls="mean")
    features, targets = numbers(chosen)
    assert features[0].tolist() == [1, 1]
    assert features[3].tolist() == [4, 1]
    assert targets[3].tolist() == [4, 4]
    assert features.dtype == targets.dtype == np.float64


@pytest.mark.parametrize(
    ("target", "names", "expected"),
    [
        ("city", ("Bonn", "Oslo", "Rome"), [2, 1, 2, 1, 0]),
        ("year", ("1999", "2001"), [1, 0, 1, 0, 1]),
        ("flag", ("false", "true"), [1, 0, 1, 1, 0]),
    ],
)
def test_classes_are_numbered(
    tmp_path: Path, target: str, names: tuple[str, ...], expected: list[int]
) -> None:
    """Probabilities would be of other classes than those they are told of."""
    chosen = selected(tmp_path, features=("row",), targets=(target,), classes=names, nulls="drop")
    assert numbers(chosen)[1][:, 0].tolist() == expected


def test_rows_without_a_value_are_left_out(tmp_path: Path) -> None:
    chosen = selected(tmp_path, nulls="drop")
    assert not chosen.all_are_left
    features, targets = numbers(chosen)
    assert features.tolist() == [[1], [2], [4], [6]]
    assert targets.tolist() == [[1], [2], [4], [6]]
    chosen = selected(tmp_path, features=("row",), targets=("a",), nulls="drop")
    assert numbers(chosen)[0].tolist() == [[1], [2], [4], [6]]
    assert selected(tmp_path, features=("row",), nulls="drop").all_are_left, "others do not count"
    everything = selected(
        tmp_path, features=("a", "city", "year", "flag"), one_hot=("city", "year"), nulls="drop"
    )
    assert numbers(everything)[1].tolist() == [[1], [2]]


def test_the_mean_stands_in(tmp_path: Path) -> None:
    features, targets = numbers(selected(tmp_path, features=("a", "flag"), nulls="mean"))
    assert features[:, 0].tolist() == [1, 2, 13 / 4, 4, 13 / 4, 6]
    assert features[:, 1].tolist() == [1, 0, 1, 1, 0, pytest.approx(0.6)]
    assert len(targets) == 6


@pytest.mark.parametrize(
    ("column", "kinds"),
    [("city", ["Bonn", "Oslo", "Rome"]), ("year", ["1999", "2001"])],
)
@pytest.mark.parametrize("large", [False, True])
def test_one_hot(tmp_path: Path, column: str, kinds: list[str], large: bool) -> None:
    table = TABLE
    if large:
        wider = pa.large_string() if column == "city" else pa.uint64()
        table = TABLE.set_column(TABLE.schema.get_field_index(column), column, TABLE[column].cast(wider))
    chosen = selected(tmp_path, table, features=("row", column), one_hot=(column,), nulls="mean")
    features, _ = numbers(chosen)
    values = [None if value is None else str(value) for value in TABLE[column].to_pylist()]
    expected = [[i + 1, *(float(value == kind) for kind in kinds)] for i, value in enumerate(values)]
    assert features.tolist() == expected
    lowest, highest = chosen.bounds
    assert (lowest.tolist(), highest.tolist()) == ([1] + [0] * len(kinds), [6] + [1] * len(kinds))
    dropped, _ = numbers(selected(tmp_path, table, features=("row", column), one_hot=(column,), nulls="drop"))
    assert dropped.tolist() == [row for row, value in zip(expected, values, strict=True) if value]


@pytest.mark.parametrize("nulls", ["drop", "mean"])
def test_blocks_are_small_however_many_kinds_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nulls: str
) -> None:
    """A column of a thousand kinds would take a thousand times the memory of what is read at once."""
    monkeypatch.setattr(rows, "_BLOCK_NUMBERS", 40)
    whole = selected(tmp_path, features=("a", "city", "year"), one_hot=("city",), nulls=nulls)
    sizes = [features.size + targets.size for features, targets in whole.blocks()]
    assert len(sizes) == 1
    monkeypatch.setattr(rows, "_BLOCK_NUMBERS", 12)
    parts = selected(tmp_path, features=("a", "city", "year"), one_hot=("city",), nulls=nulls)
    assert len(list(parts.blocks())) == 3
    assert max(features.size + targets.size for features, targets in parts.blocks()) <= 12
    monkeypatch.setattr(rows, "_BLOCK_NUMBERS", 1)
    single = selected(tmp_path, features=("a", "city", "year"), one_hot=("city",), nulls=nulls)
    assert len(list(single.blocks())) == 6
    for found in (parts, single):
        np.testing.assert_array_equal(numbers(found)[0], numbers(whole)[0])
        np.testing.assert_array_equal(numbers(found)[1], numbers(whole)[1])


@pytest.mark.parametrize("intercept", [True, False])
def test_scaling_of_blocks_is_that_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intercept: bool
) -> None:
    """A data set would be scaled otherwise than the same numbers sent with a spec."""
    chance = np.random.default_rng(0)
    values = {f"c{i}": chance.normal(10.0**i, 1 + i, size=500) for i in range(6)}
    table = pa.table(values | {"constant": np.full(500, 0.1), "y": np.arange(500)})
    chosen = selected(tmp_path, table, features=(*values, "constant"), nulls="drop")
    expected = Scaling.learn(numbers(chosen)[0], intercept)
    for block in (1, 7 * 8, 1 << 20):
        monkeypatch.setattr(rows, "_BLOCK_NUMBERS", block)
        found = Scaling.gather((features for features, _ in chosen.blocks()), *chosen.bounds, intercept)
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
        np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)


def test_scaling_where_all_that_differs_is_left_out(tmp_path: Path) -> None:
    table = pa.table({"a": [5.0, 5.0, 9.0], "y": [1.0, 2.0, None]})
    chosen = selected(tmp_path, table, nulls="drop")
    scaling = Scaling.gather((features for features, _ in chosen.blocks()), *chosen.bounds, intercept=True)
    assert (scaling.mean.tolist(), scaling.scale.tolist()) == ([5], [1])
