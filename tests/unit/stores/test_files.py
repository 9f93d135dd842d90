"""Files of data: whole, safe, and told from damaged ones."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain import table

from gradstream_server.jobs.spec import InlineData, summarize
from gradstream_server.stores.files import FileDataStore


def put(store: FileDataStore, data: InlineData) -> str:
    digest = summarize(data).digest
    store.put(digest, data)
    return digest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_come_back_as_they_were(tmp_path: Path, dtype: str) -> None:
    """A user would train on other numbers than those he sent."""
    data = table(rows=7, features=3, targets=2, dtype=dtype)
    data = InlineData(np.asfortranarray(data.features), data.targets[::-1])
    digest = put(FileDataStore(tmp_path), data)
    found = FileDataStore(tmp_path).get(digest)
    assert found is not None
    for was, now in ((data.features, found.features), (data.targets, found.targets)):
        assert now.dtype == was.dtype
        np.testing.assert_array_equal(now, was)


def test_data_that_are_not_there_are_none(tmp_path: Path) -> None:
    """A user who names a digest that the server does not know would get a fault of the server."""
    store = FileDataStore(tmp_path / "new" / "folder")
    assert store.get("0" * 64) is None
    store.remove("0" * 64)


def test_removed_data_are_gone_and_can_be_put_again(tmp_path: Path) -> None:
    """Data of jobs that were deleted would stay for ever, or could never be used again."""
    store = FileDataStore(tmp_path)
    digest = put(store, table())
    store.remove(digest)
    assert store.get(digest) is None
    assert list(tmp_path.iterdir()) == []
    assert put(store, table()) == digest
    assert store.get(digest) is not None


@given(data=st.data())
def test_damaged_data_are_not_there(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A user would train on numbers that a defect of the disk has made."""
    store = FileDataStore(tmp_path_factory.mktemp("data"))
    digest = put(store, table())
    path = store.path(digest)
    body = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(body[: data.draw(st.integers(0, len(body) - 1))])
        assert store.get(digest) is None
        put(store, table())
        assert store.get(digest) is not None, "what was cut off is written again"
    else:
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(body)
        found = store.get(digest)
        # A header can say the same in other characters.
        assert found is None or summarize(found).digest == digest
        put(store, table())
        assert store.get(digest) is not None, "what was damaged is written again"


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    """A table that is trained on a hundred times would be written a hundred times."""
    store = FileDataStore(tmp_path)
    path = store.path(put(store, table()))
    os.utime(path, ns=(1, 1))
    put(FileDataStore(tmp_path), table())
    assert path.stat().st_mtime_ns == 1


def test_left_overs_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    """Each crash would cost the size of a table on the disk, for ever."""
    digest = put(FileDataStore(tmp_path), table())
    (tmp_path / ".put-x8s7d").write_bytes(b"of an earlier version")
    (tmp_path / ".aside-17-abc.npy").write_bytes(b"half of a table")
    store = FileDataStore(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{digest}.npy"]
    assert store.get(digest) is not None


def test_the_same_data_can_come_twice_at_once(tmp_path: Path) -> None:
    """Who starts two jobs at once with one table would lose one of them, or both."""
    data = table(rows=20_000)
    store = FileDataStore(tmp_path)
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(lambda _: put(store, data), range(16)))
        assert store.get(digests[0]) is not None
        assert len(list(tmp_path.iterdir())) == 1
        store.remove(digests[0])
