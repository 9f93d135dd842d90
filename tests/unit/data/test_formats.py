"""The same table comes out of every kind of file."""

import io
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.data.files import arrow, arrows, compressed, npy, npz, parquet, read, rows_kept

from gradstream_server.data.dataset import ColumnType
from gradstream_server.data.formats import format_of, known_suffixes
from gradstream_server.jobs.errors import UnreadableData

TEXT = b"a,b,kind\n1,0.5,x\n2,-1.5,y\n3,4,x\n"
TABLE = pa.table({"a": [1, 2, 3], "b": [0.5, -1.5, 4.0], "kind": ["x", "y", "x"]})
NUMBERS = np.array([[1, 0.5], [2, -1.5], [3, 4]])
CONTENT = {
    ".csv": TEXT,
    ".tsv": TEXT.replace(b",", b"\t"),
    ".parquet": parquet(TABLE),
    ".arrow": arrow(TABLE),
    ".feather": arrow(TABLE),
    ".arrows": arrows(TABLE),
    ".npy": npy(NUMBERS),
    ".npz": npz(X=NUMBERS),
}


@pytest.mark.parametrize("suffix", known_suffixes())
def test_each_kind(tmp_path: Path, suffix: str) -> None:
    """Whoever has his table in one of the formats could not train on it."""
    name = f"Table.of.mine{suffix.upper()}"
    plain = suffix.removesuffix(".gz").removesuffix(".zst")
    table = read(tmp_path, compressed(suffix, CONTENT[plain]), name)
    assert table.rows == 3
    first, second = table.columns[:2]
    assert (first.type, first.min, first.max, first.mean) == (ColumnType.NUMBER, 1, 3, 2)
    assert (second.min, second.max, second.mean) == (-1.5, 4, 1)
    kept = rows_kept(tmp_path)
    assert kept.column(0).to_pylist() == [1, 2, 3]
    assert kept.column(1).to_pylist() == [0.5, -1.5, 4]
    if not plain.startswith(".np"):
        assert table.columns[2].categories == ("x", "y")
        assert kept.column("kind").to_pylist() == ["x", "y", "x"]
    assert table.stored_bytes == (tmp_path / "table.arrow").stat().st_size


@pytest.mark.parametrize(
    "name", ["t.xls", "t", "csv", ".gz", "t.gz", "t.parquet.gz", "t.npz.zst", "t.csv.bz2"]
)
def test_names_that_say_no_format(name: str) -> None:
    assert format_of(name) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_of_csv(tmp_path: Path, delimiter: str) -> None:
    """Files of other countries' spreadsheets would be one column of text."""
    table = read(tmp_path, TEXT.replace(b",", delimiter.encode()), "t.csv")
    assert [column.name for column in table.columns] == ["a", "b", "kind"]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b"a,b\r\n1,2\r\n3,4",
        b"a,b\r1,2\r3,4\r",
        b"\n\na,b\n1,2\n\n3,4\n\n",
        b'"a","b"\n"1","2"\n"3","4"\n',
        b"a,b\n 1, 2\n 3, 4\n",
    ],
    ids=["byte order mark", "windows", "old mac", "empty lines", "quotes", "spaces"],
)
def test_dialects_of_csv(tmp_path: Path, text: bytes) -> None:
    """A table would be refused, or its numbers be text, for how its program writes it."""
    table = read(tmp_path, text, "t.csv")
    assert (table.rows, [column.mean for column in table.columns]) == (2, [2, 3])
    assert [column.name for column in table.columns] == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"Price, in USD, net";x', ["Price, in USD, net", "x"]),
        ('"a;b;c","d"', ["a;b;c", "d"]),
        ('"Price\nin USD, net, a";x', ["Price\nin USD, net, a", "x"]),
        ('"say ""a, b, c""";x', ['say "a, b, c"', "x"]),
        ('5" pipe,"a;b;c"', ['5" pipe', "a;b;c"]),
    ],
)
def test_delimiters_within_names_separate_nothing(tmp_path: Path, header: str, names: list[str]) -> None:
    """A table would be one column of text, because a name holds more commas than separate the names."""
    delimiter = ";" if header.endswith(";x") else ","
    table = read(tmp_path, f"{header}\n1{delimiter}2\n".encode(), "t.csv")
    assert [column.name for column in table.columns] == names
    assert [column.mean for column in table.columns] == [1, 2]


def test_quoted_names_and_values_with_delimiters_and_line_ends(tmp_path: Path) -> None:
    table = read(tmp_path, b'"a,1","b\nc"\n1,"x,\ny"\n2,"z"\n', "t.csv")
    assert [column.name for column in table.columns] == ["a,1", "b\nc"]
    assert table.columns[1].categories == ("x,\ny", "z")


@pytest.mark.parametrize("dtype", ["<f8", ">f8", ">f4", "<f2", "<i8", ">i2", "|u1", "|b1", "<f16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_dtype_and_order(tmp_path: Path, dtype: str, order: Any) -> None:
    """Numbers would be read in another order of bytes, or of rows and columns."""
    array = np.asarray(np.arange(12).reshape(4, 3) % 5, dtype, order=order)
    table = read(tmp_path, npy(array), "t.npy")
    assert [column.name for column in table.columns] == ["x1", "x2", "x3"]
    kept = np.stack([column.to_numpy() for column in rows_kept(tmp_path).columns], axis=1)
    np.testing.assert_array_equal(kept, array.astype(kept.dtype))


def test_half_precision_stays_in_single(tmp_path: Path) -> None:
    """Training would take twice the memory for nothing."""
    assert read(tmp_path, npy(np.ones((2, 2), "f2")), "t.npy").columns[0].arrow_type == "float"


def test_vectors_and_named_fields(tmp_path: Path) -> None:
    assert [c.name for c in read(tmp_path, npy(np.arange(3)), "t.npy").columns] == ["x1"]
    fields = np.array([(1, 2.5, True), (2, 3.5, False)], [("u", ">i4"), ("größe Ω", "f8"), ("w", "?")])
    columns = read(tmp_path, npy(fields), "t.npy").columns
    assert [(c.name, c.max) for c in columns] == [("u", 2), ("größe Ω", 3.5), ("w", 1)]
    columns = read(
        tmp_path, npz(X=NUMBERS, y=np.arange(3), f=np.arange(6).reshape(3, 2)[:, :1]), "t.npz"
    ).columns
    assert [c.name for c in columns] == ["X1", "X2", "y", "f1"]


def test_an_array_of_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradstream_server.data.arrays._READ_BYTES", 100)
    array = np.random.default_rng(0).normal(size=(1000, 3))
    for content, name in (
        (npy(array), "t.npy"),
        (npy(np.asfortranarray(array)), "t.npy"),
        (npz(x=array), "t.npz"),
    ):
        read(tmp_path, content, name)
        kept = np.stack([column.to_numpy() for column in rows_kept(tmp_path).columns], axis=1)
        np.testing.assert_array_equal(kept, array)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (npy(np.array(["x", "y"])), "array 'x' holds <U1; only numbers and booleans"),
        (npy(np.array(5.0)), r"shape \(\); it has to be \(rows, columns\) or \(rows,\)"),
        (npy(np.zeros((2, 2, 2))), r"shape \(2, 2, 2\)"),
        (npy(np.zeros((0, 3))), r"shape \(0, 3\)"),
        (npy(np.zeros((3, 0))), r"shape \(3, 0\)"),
        (npy(np.zeros((2, 20_000), "b")), "20000 columns; at most 10000"),
        (npy(np.zeros((4, 2)))[:-1], "is cut short"),
        (npy(np.asfortranarray(np.zeros((4, 2))))[:-1], "is cut short"),
        (npy(np.zeros((4, 2))) + b"x", "goes on after its end"),
        (npy(np.zeros((4, 2))).replace(b"(4, 2)", b"(-1,2)"), r"shape \(-1, 2\)"),
        (
            npy(np.zeros((4, 2))).replace(b"(4, 2), }" + b" " * 20, b"(9999999999999999999, 2), }  "),
            "is cut short",
        ),
        (npy(np.zeros((4, 2))).replace(b"NUMPY\x01", b"NUMPY\x07"), "version 7.0 is not known"),
        (npy(np.zeros((4, 2))).replace(b"'shape'", b"'shale'"), "no header that can be read"),
    ],
)
def test_arrays_that_are_none(tmp_path: Path, content: bytes, text: str) -> None:
    with pytest.raises(UnreadableData, match=text):
        read(tmp_path, content, "t.npy")


def test_archives_that_are_none(tmp_path: Path) -> None:
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "no array")
    for content, text in (
        (npz(a=np.zeros(3), b=np.zeros(4)), "differ in length: 'a' has 3 rows, 'b' has 4 rows"),
        (empty.getvalue(), "holds no arrays"),
        (npz(x1=np.zeros(3), x=np.zeros((3, 2))), "columns 1 and 2 are both named 'x1'"),
        (npz(a=np.array([{}])), "holds object"),
    ):
        with pytest.raises(UnreadableData, match=text):
            read(tmp_path, content, "t.npz")


def test_types_of_arrow(tmp_path: Path) -> None:
    """What other libraries write would be refused, or its columns be of no use."""
    table = pa.table(
        {
            "dictionary": pa.array(["u", "v", None]).dictionary_encode(),
            "decimal": pa.array([1, 2, None], pa.decimal128(10, 2)),
            "half": pa.array([1, 2, None], pa.float16()),
            "large": pa.array(["u", "v", None], pa.large_string()),
            "view": pa.array(["u", "v", None], pa.string_view()),
            "views": pa.array(["u", "v", None])
            .dictionary_encode()
            .cast(pa.dictionary(pa.int32(), pa.string())),
            "time": pa.array([1, 2, None], pa.timestamp("us")),
            "list": pa.array([[1], [2], None]),
            "bytes": pa.array([b"1", b"2", None]),
            "null": pa.nulls(3),
            "number": pa.array([1, 2, None], pa.uint64()),
        }
    )
    found = {column.name: column for column in read(tmp_path, arrow(table), "t.arrow").columns}
    assert all(column.nulls == (3 if name == "null" else 1) for name, column in found.items())
    assert all(column.first_null_row == (1 if name == "null" else 3) for name, column in found.items())
    kinds = {name: column.type.value for name, column in found.items()}
    assert [name for name, kind in kinds.items() if kind == "TEXT"] == [
        "dictionary",
        "large",
        "view",
        "views",
    ]
    assert [name for name, kind in kinds.items() if kind == "NUMBER"] == ["decimal", "half", "number"]
    assert kinds["time"] == "TIME"
    assert rows_kept(tmp_path).schema.names == [
        "dictionary",
        "decimal",
        "half",
        "large",
        "view",
        "views",
        "number",
    ]
    assert found["dictionary"].categories == ("u", "v")
    assert found["decimal"].mean == 1.5


@pytest.mark.parametrize(
    "decimal", [pa.decimal32(5, 2), pa.decimal64(12, 3), pa.decimal128(2, 1), pa.decimal256(60, 5)]
)
def test_decimals_are_the_nearest_numbers(tmp_path: Path, decimal: Any) -> None:
    """Prices of a database would be others than the same prices in a CSV file."""
    values = [Decimal("1.2"), Decimal("-3.4"), Decimal("0.7"), None]
    table = pa.table({"a": pa.array(values, decimal)})
    read(
        tmp_path,
        parquet(table) if decimal.bit_width > 64 else arrow(table),
        "t.parquet" if decimal.bit_width > 64 else "t.arrow",
    )
    assert rows_kept(tmp_path)["a"].to_pylist() == [1.2, -3.4, 0.7, None]


def test_parts_of_arrow_files_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training would go through thousands of small pieces, or take all memory for a large one."""
    table = pa.table({"a": np.arange(10_000), "b": [f"value {i % 7}" for i in range(10_000)]})
    for size, parts in ((10, 10), (1000, 10), (5000, 2), (10_000, 1)):
        monkeypatch.setattr("gradstream_server.data.ingest._BATCH_ROWS", 1000)
        read(tmp_path, arrow(table, max_chunksize=size), "t.arrow")
        kept = rows_kept(tmp_path)
        assert kept.equals(table)
        assert kept.column(0).num_chunks == parts
    monkeypatch.setattr("gradstream_server.data.ingest._BATCH_BYTES", 50_000)
    read(tmp_path, arrow(table), "t.arrow")
    assert rows_kept(tmp_path).equals(table)
    assert rows_kept(tmp_path).column(0).num_chunks > 3


def test_wide_tables(tmp_path: Path) -> None:
    """A table with thousands of columns would take gigabytes to read."""
    wide = np.random.default_rng(0).integers(0, 2, size=(300, 4_000)).astype("i1")
    assert len(read(tmp_path, npy(wide), "t.npy").columns) == 4_000
    table = pa.table({f"c{i}": wide[:, i] for i in range(1000)})
    assert len(read(tmp_path, parquet(table), "t.parquet").columns) == 1000
