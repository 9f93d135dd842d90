"""Whatever can be uploaded becomes a file that the server can read, and the same becomes the same file."""

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradstream import InvalidArgumentError
from gradstream.source import open_source


def file_of(source: Any, name: str | None = None) -> tuple[str, bytes]:
    with open_source(source, name) as (name, content):
        chunks = [bytes(content.read(place)) for place in range(0, content.size_bytes, 1 << 20)]
        return name, b"".join(chunks)


def test_a_path_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    path.write_bytes(b"a,b\n1,2\n")
    assert file_of(path) == file_of(str(path)) == ("houses.csv", b"a,b\n1,2\n")
    assert file_of(path, "other.csv")[0] == "other.csv"
    with path.open("rb") as file:
        assert file_of(file) == ("houses.csv", b"a,b\n1,2\n")


def test_what_can_be_read_only_once_is_copied(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.csv"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"a,b\n1,2\n"))
    writer.start()
    assert file_of(fifo) == ("pipe.csv", b"a,b\n1,2\n")
    writer.join()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(4, 3),
        np.arange(12, dtype=np.int32).reshape(4, 3).T,
        np.arange(300_000.0)[::2],
        np.array([True, False]),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
)
def test_an_array_is_a_npy_file(array: np.ndarray) -> None:
    name, content = file_of(array)
    assert name == "array.npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), array)


def test_named_arrays_are_a_npz_file_and_the_same_ones_the_same_file() -> None:
    arrays = {"x": np.arange(6.0).reshape(3, 2), "y": [1, 2, 3]}
    name, content = file_of(arrays, "houses")
    assert name == "houses.npz"
    with np.load(io.BytesIO(content)) as loaded:
        assert list(loaded) == ["x", "y"]
        np.testing.assert_array_equal(loaded["x"], arrays["x"])
    assert file_of(arrays)[1] == content


def test_names_get_the_ending_that_fits() -> None:
    assert file_of(np.ones(2), "ones")[0] == file_of(np.ones(2), "ones.npy")[0] == "ones.npy"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ([1, 2], "source: is a list; it has to be a path"),
        (np.array(["a"]), "source: is an array of <U1"),
        (io.StringIO("a"), "source: is open as text"),
        (io.BytesIO(b"a,b\n"), "name: is missing"),
        ({}, "source: is empty"),
        ({"a": [[1], [2, 3]]}, "source: is no table that can be sent: setting an array element"),
        ({1: [1, 2], "1": [3, 4]}, "source: has two columns whose names are the same as text"),
        (
            np.ma.array([1.0, 2.0], mask=[False, True]),
            "source: is a masked array with values that are masked",
        ),
        ({"a": np.ma.array([1, 2], mask=[False, True])}, "source: is a masked array"),
    ],
)
def test_what_cannot_be_uploaded_is_refused(source: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        file_of(source)


def test_what_is_masked_nowhere_is_an_array() -> None:
    array = np.ma.array([1.0, 2.0])
    np.testing.assert_array_equal(np.load(io.BytesIO(file_of(array)[1])), [1, 2])
    assert file_of({"a": array})[0] == "arrays.npz"


@pytest.mark.parametrize("name", [b"l\xe4t.csv", b"new\nline.csv"])
def test_a_name_that_no_message_can_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    """A file from another system would end the command in a traceback."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(InvalidArgumentError, match=r"name: is '.*'; give another"):
        file_of(path)
    assert file_of(path, "other.csv")[0] == "other.csv"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InvalidArgumentError, match=r"is empty: empty\.csv has no bytes"):
        file_of(tmp_path / "empty.csv")


class TestTables:
    COLUMNS = {"n": [1.5, 2.0], "t": ["p", "q"], "b": [True, False]}  # noqa: RUF012

    def test_of_pyarrow(self) -> None:
        pa = pytest.importorskip("pyarrow")
        table = pa.table(self.COLUMNS)
        name, content = file_of(table)
        assert name == "table.arrows"
        assert pa.ipc.open_stream(content).read_all() == table
        assert file_of(table.replace_schema_metadata({"made": "by"}))[1] == content

    def test_named_columns_with_text(self) -> None:
        pa = pytest.importorskip("pyarrow")
        name, content = file_of(self.COLUMNS)
        assert name == "arrays.arrows"
        assert pa.ipc.open_stream(content).read_all().to_pydict() == self.COLUMNS

    def test_of_pandas_without_its_index(self) -> None:
        pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
        frame = pd.DataFrame(self.COLUMNS, index=[7, 3])
        name, content = file_of(frame)
        assert name == "table.arrows"
        assert pa.ipc.open_stream(content).read_all().to_pydict() == self.COLUMNS
        name, content = file_of(frame[["n", "b"]])
        assert name == "table.npz"
        with np.load(io.BytesIO(content)) as loaded:
            assert {key: loaded[key].tolist() for key in loaded} == {"n": [1.5, 2.0], "b": [True, False]}

    def test_of_polars(self) -> None:
        pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
        _, content = file_of(pl.DataFrame(self.COLUMNS))
        assert pa.ipc.open_stream(content).read_all().to_pydict() == self.COLUMNS

    def test_without_pyarrow_it_is_said_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(InvalidArgumentError, match=r"with 't' can be sent .* pip install pyarrow"):
            file_of(self.COLUMNS)
        assert file_of({"n": [1.5]})[0] == "arrays.npz"

    def test_two_columns_of_one_name(self) -> None:
        pytest.importorskip("pyarrow")
        pd = pytest.importorskip("pandas")
        with pytest.raises(InvalidArgumentError, match="is no table that can be sent: Duplicate"):
            file_of(pd.DataFrame([[1, 2]], columns=["a", "a"]))
