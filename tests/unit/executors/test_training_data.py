"""Matrices of data sets: the same numbers whether they are read or mapped, few blocks or many."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.disk import small_disk
from tests.unit.data.files import arrow, dataset, read

from gradstream_server.data import rows
from gradstream_server.data.dataset import like
from gradstream_server.data.rows import SelectedRows
from gradstream_server.executors import training_data
from gradstream_server.executors.faults import NoRowsLeft
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import (
    SelectionRequest,
    Spec,
    SpecRequest,
    Validation,
    ValidationRequest,
)
from gradstream_server.trainers.registry import TRAINERS

NUMBERS = np.random.default_rng(0).normal(5, 3, size=(200, 3))
TABLE = pa.table({"a": NUMBERS[:, 0], "b": [*NUMBERS[:-1, 1], None], "y": NUMBERS[:, 2]})


@pytest.fixture
def cache(tmp_path: Path) -> MatrixCache:
    cache = MatrixCache(tmp_path / "matrices", 1 << 30)
    cache.clear()
    return cache


def prepared(folder: Path, table: Any = TABLE, **fields: Any) -> tuple[Spec, SelectedRows]:
    known = dataset(read(folder, arrow(table), "t.arrow"))
    selection = SelectionRequest(known.digest, ("y",), nulls="drop")
    request = SpecRequest("manual", selection=selection, **fields)
    spec = resolve(request, ["cpu"], TRAINERS, Limits(), known)
    assert spec.data.selection
    return spec, SelectedRows(folder / "table.arrow", known, spec.data.selection)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("standardize", [True, False])
def test_matrices(
    tmp_path: Path,
    cache: MatrixCache,
    monkeypatch: pytest.MonkeyPatch,
    mapped: bool,
    dtype: Any,
    standardize: bool,
) -> None:
    """Whoever trains on much would get another model than whoever trains on little."""
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0 if mapped else 1 << 18)
    monkeypatch.setattr(rows, "_BLOCK_NUMBERS", 100)
    spec, selected = prepared(tmp_path, dtype=dtype, standardize=standardize)
    for _ in range(2):
        data = TrainingData.of_dataset(spec, selected, cache)
        assert isinstance(data.features, np.memmap) is mapped
        assert data.features.dtype == data.targets.dtype == dtype
        assert data.features.flags.c_contiguous
        expected = NUMBERS[:-1, :2]
        if standardize:
            assert data.scaling is not None
            np.testing.assert_allclose(data.scaling.mean, expected.mean(axis=0))
            expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
        np.testing.assert_allclose(data.features, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(data.targets, NUMBERS[:-1, 2:], rtol=1e-6)
    assert len(list(cache.folder.iterdir())) == mapped


def test_specs_that_need_the_same_share_it(
    tmp_path: Path, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0)
    spec, selected = prepared(tmp_path)

    def entries(**changes: Any) -> int:
        TrainingData.of_dataset(replace(spec, **changes), selected, cache)
        return len(list(cache.folder.iterdir()))

    assert entries() == 1
    assert entries(trainer="module", epochs=7, batch_size=3, intercept=False) == 1
    assert entries(standardize=True) == 2
    assert entries(standardize=True, intercept=False) == 3
    assert entries(dtype="float32") == 4


def test_one_that_is_removed_just_then_is_made_again(
    tmp_path: Path, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job would fail because another one needs room for its matrix."""
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0)
    spec, selected = prepared(tmp_path)
    entry, times = MatrixCache.entry, 0

    def removed(self: MatrixCache, key: str, make: Any) -> Path:
        nonlocal times
        times += 1
        found = entry(self, key, make)
        if times == 1:
            self.clear()
        return found

    monkeypatch.setattr(MatrixCache, "entry", removed)
    assert len(TrainingData.of_dataset(spec, selected, cache).features) == 199
    assert times == 2


@pytest.mark.parametrize("small", [0, 1 << 18])
@pytest.mark.parametrize("standardize", [True, False])
def test_no_row_is_left(
    tmp_path: Path, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch, small: int, standardize: bool
) -> None:
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", small)
    table = pa.table({"a": [1.0, None], "b": [None, 1.0], "y": [1.0, 2.0]})
    spec, selected = prepared(tmp_path, table, standardize=standardize)
    with pytest.raises(NoRowsLeft):
        TrainingData.of_dataset(spec, selected, cache)


def test_no_room_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job learns from would take the room of what others have to tell."""
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0)
    spec, selected = prepared(tmp_path)
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 2) as disk:
        cache = MatrixCache(disk / "matrices", 1 << 30)
        cache.clear()
        with pytest.raises(OSError, match="No space") as raised:
            TrainingData.of_dataset(spec, selected, cache)
        assert raised.value.errno == errno.ENOSPC
        assert list(cache.folder.iterdir()) == []


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("held", [{"fraction": 0.25}, {"last_rows": 50}])
def test_rows_to_measure_on(
    tmp_path: Path, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch, mapped: bool, held: dict[str, Any]
) -> None:
    """What is measured on would be learnt, as the mean of a feature or as a row."""
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0 if mapped else 1 << 18)
    monkeypatch.setattr(rows, "_BLOCK_NUMBERS", 100)
    spec, selected = prepared(tmp_path, standardize=True, validation=ValidationRequest(**held))
    for _ in range(2):
        data = TrainingData.of_dataset(spec, selected, cache)
        assert data.validation
        assert data.scaling
        # One row lacks a value, and is neither of both.
        assert (len(data.features), len(data.validation.features)) == (149, 50)
        learnt = data.features * data.scaling.scale + data.scaling.mean
        measured = data.validation.features * data.scaling.scale + data.scaling.mean
        np.testing.assert_allclose(data.scaling.mean, learnt.mean(axis=0))
        together = np.concatenate([learnt, measured])
        order = np.lexsort(together.T), np.lexsort(NUMBERS[:-1, :2].T)
        np.testing.assert_allclose(together[order[0]], NUMBERS[:-1, :2][order[1]])
        if "last_rows" in held:
            np.testing.assert_allclose(measured, NUMBERS[149:199, :2])
            np.testing.assert_allclose(data.validation.targets[:, 0], NUMBERS[149:199, 2])
    other = replace(spec, seed=1)
    again = TrainingData.of_dataset(other, selected, cache)
    assert again.validation
    is_same = np.array_equal(again.validation.targets, data.validation.targets)
    assert is_same == ("last_rows" in held), "a share is drawn by the seed"


@pytest.mark.parametrize("mapped", [True, False])
def test_another_data_set_to_measure_on(
    tmp_path: Path, cache: MatrixCache, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    """Its missing values and its scale would be its own, and what is measured another model."""
    monkeypatch.setattr(training_data, "_SMALL_NUMBERS", 0 if mapped else 1 << 18)
    spec, selected = prepared(tmp_path, standardize=True)
    folder = tmp_path / "other"
    folder.mkdir()
    table = pa.table({"y": [1.0, 2.0], "b": [None, 4.0], "a": [5, 6]})
    measured = dataset(read(folder, arrow(table), "o.arrow"))
    assert spec.data.selection
    selection = replace(spec.data.selection, nulls="mean")
    learnt = dataset(read(tmp_path, arrow(TABLE), "t.arrow"))
    others = SelectedRows(folder / "table.arrow", like(measured, learnt), selection)
    spec = replace(spec, validation=Validation(("mae",), dataset=measured.digest))
    data = TrainingData.of_dataset(spec, selected, cache, others)
    assert data.validation
    assert data.scaling
    numbers = data.validation.features * data.scaling.scale + data.scaling.mean
    np.testing.assert_allclose(numbers, [[5, NUMBERS[:-1, 1].mean()], [6, 4]])
    np.testing.assert_allclose(data.validation.targets, [[1], [2]])


def test_no_row_is_left_to_learn_from(tmp_path: Path, cache: MatrixCache) -> None:
    """A worker would be lost in a table without rows."""
    table = pa.table({"a": [1.0, None, None], "y": [1.0, 2, 3]})
    spec, selected = prepared(tmp_path, table, validation=ValidationRequest(fraction=0.5))
    with pytest.raises(NoRowsLeft, match="to learn from"):
        TrainingData.of_dataset(spec, selected, cache)
