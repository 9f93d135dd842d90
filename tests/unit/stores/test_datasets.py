"""Data sets on the disk: kept whole or not at all, and read by whoever knows the digest."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.disk import fill, small_disk
from tests.unit.data.files import dataset

from gradstream_server.data.dataset import Column, ColumnType, Dataset, Table
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.datasets import DatasetFolder, FileDatasets

COLUMNS = (
    Column("a", ColumnType.NUMBER, "double", 1, 2, float("-inf"), 1e308, float("-inf"), 3),
    Column("größe", ColumnType.TEXT, "string", first_text_row=1, first_text="n/k", categories=("n/k", "x")),
)


def known(number: int) -> Dataset:
    found = dataset(Table(3, COLUMNS, 5), f"{number:064}")
    return replace(found, create_time=found.create_time + timedelta(seconds=number))


def keep(store: FileDatasets, this: Dataset, content: bytes = b"table") -> None:
    prepared = store.prepare()
    prepared.write_bytes(content)
    store.keep(this, prepared)
    store.discard(prepared)


def test_data_sets_come_back_as_they_were(tmp_path: Path) -> None:
    """Nobody could tell of a data set what it was before the server was started again."""
    store = FileDatasets(tmp_path / "new" / "datasets")
    for number in (2, 3, 1):
        keep(store, known(number))
    for each in (store, FileDatasets(tmp_path / "new" / "datasets")):
        assert each.all() == [known(3), known(2), known(1)]
        assert each.get(known(1).digest) == known(1)
        assert each.get("0" * 64) is None
    folder = pickle.loads(pickle.dumps(DatasetFolder(tmp_path / "new" / "datasets")))
    assert folder.read(known(2).digest) == known(2)
    assert folder.table(known(2).digest).read_bytes() == b"table"
    assert folder.read("0" * 64) is None


def test_a_data_set_is_kept_once(tmp_path: Path) -> None:
    """The same file, uploaded twice at once, would be a fault of the server."""
    store = FileDatasets(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep(store, known(1)), range(16)))
    assert store.all() == [known(1)]
    assert [path.name for path in tmp_path.iterdir()] == [known(1).digest]


def test_whoever_reads_a_removed_one_goes_on(tmp_path: Path) -> None:
    store = FileDatasets(tmp_path)
    keep(store, known(1))
    with DatasetFolder(tmp_path).table(known(1).digest).open("rb") as table:
        store.remove(known(1).digest)
        store.remove(known(1).digest)
        assert table.read() == b"table"
    assert store.all() == []
    assert list(tmp_path.iterdir()) == []
    keep(store, known(1))
    assert store.all() == [known(1)]


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    """Each crash would cost the size of a data set."""
    store = FileDatasets(tmp_path)
    keep(store, known(1))
    store.prepare().write_bytes(b"half a table")
    assert len(list(tmp_path.iterdir())) == 2
    assert FileDatasets(tmp_path).all() == [known(1)]
    assert [path.name for path in tmp_path.iterdir()] == [known(1).digest]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"format": 1', b'{"format": 2}'])
def test_one_that_is_damaged_costs_nobody_else(tmp_path: Path, damage: bytes) -> None:
    """A server could not start because of a defect in a single file."""
    store = FileDatasets(tmp_path)
    keep(store, known(1))
    keep(store, known(2))
    (tmp_path / known(1).digest / "dataset.json").write_bytes(damage)
    assert DatasetFolder(tmp_path).read(known(1).digest) is None
    store = FileDatasets(tmp_path)
    assert store.all() == [known(2)]
    keep(store, known(1))
    assert FileDatasets(tmp_path).all() == [known(2), known(1)]


def test_no_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1) as disk:
        store = FileDatasets(disk / "datasets")
        prepared = store.prepare()
        prepared.write_bytes(b"table")
        fill(disk)
        with pytest.raises(StorageFull):
            store.keep(known(1), prepared)
        store.discard(prepared)
        assert store.all() == []
        assert list((disk / "datasets").iterdir()) == []
