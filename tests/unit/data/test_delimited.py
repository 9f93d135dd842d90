"""Text as tables: what is wrong is told by row and column, and types are those of all rows."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.data.files import read, rows_kept

from gradstream_server.data import delimited
from gradstream_server.jobs.errors import UnreadableData

BLOCK = 200


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in many blocks."""
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", BLOCK)
    monkeypatch.setattr("gradstream_server.data.ingest._BATCH_ROWS", 1)


def column(values: list[str], header: str = "a") -> bytes:
    """A CSV file; the second column keeps rows from being empty lines."""
    return f"{header},row\n".encode() + b"".join(f"{v},{i}\n".encode() for i, v in enumerate(values))


@pytest.mark.parametrize("rows_before", [0, 100])
@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("7", "row {} has 1 value, the header has 2: '7'"),
        ("7,8,9", "row {} has 3 values, the header has 2: '7,8,9'"),
        ("7" * 70 + ",8,9", "row {} has 3 values, the header has 2: '" + "7" * 60 + "...'"),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_ragged_rows(tmp_path: Path, rows_before: int, row: str, text: str) -> None:
    """Whoever has a table of a million rows could not find the one that is wrong."""
    content = column(["1"] * rows_before) + f"{row}\n1,2\n".encode()
    with pytest.raises(UnreadableData) as raised:
        read(tmp_path, content, "t.csv")
    assert str(raised.value) == text.format(rows_before + 1)


@pytest.mark.parametrize("rows_before", [0, 100])
@pytest.mark.parametrize("value", ["1", "text"])
@pytest.mark.usefixtures("small_blocks")
def test_broken_utf_8(tmp_path: Path, rows_before: int, value: str) -> None:
    content = column([value] * rows_before) + b"\xff\xfe,1\n1,2\n"
    with pytest.raises(UnreadableData) as raised:
        read(tmp_path, content, "t.csv")
    assert str(raised.value) == f"row {rows_before + 1}, column 'a' is not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "it is empty; there have to be a header and at least one row"),
        (b"\n\r\n", "it is empty; there have to be a header and at least one row"),
        (b"a,b\n", "it has no rows"),
        (b"a,b", "it has no rows"),
        (b"1,2\n3,4\n", "it has no header: the first line is '1,2'; name the columns there"),
        (b"a,\n1,2\n", "column 2 has no name; name it in the header"),
        (b'a," "\n1,2\n', "column 2 has no name; name it in the header"),
        (b"a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'; rename one of them"),
        (b"a," + b"b" * 201 + b"\n1,2\n", "the name of column 2 has 201 characters; at most 200 are allowed"),
        (b"a,\xe4\n1,2\n", "the header is not UTF-8: byte 3 is 0xe4; save the file as UTF-8"),
        (b"a,b\n1,\xe4\n", "row 1, column 'b' is not UTF-8; save the file as UTF-8"),
        (
            b"a,b\x00\n",
            "it is no text: there is a zero byte in the header; save the file as UTF-8",
        ),
        (b'a,b\n1,2\n3,"4\n5,6\n', "row 2, column 'b': a quote is opened and not closed"),
        (b'a\n"x\n\n', "row 1, column 'a': a quote is opened and not closed"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, text: str) -> None:
    with pytest.raises(UnreadableData) as raised:
        read(tmp_path, content, "t.csv")
    assert str(raised.value) == text


def test_a_quote_that_is_not_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1 << 20)
    with pytest.raises(UnreadableData, match=r"a row is longer than 1 MiB; perhaps a quote is opened"):
        read(tmp_path, b'a,b\n1,2\n"3,4\n' + b"5,6\n" * (1 << 20), "t.csv")


def test_a_quoted_value_may_be_the_last_and_end_with_lines(tmp_path: Path) -> None:
    for content in (b'a,b\n1,"x\ny"\n', b'a,b\n1,"x\n\n"', b'a,b\n1,"x\n"  \n\n'):
        assert read(tmp_path, content, "t.csv").rows == 1


def test_names_with_parts_of_paths_are_only_names(tmp_path: Path) -> None:
    table = read(tmp_path, b"../a,/etc/passwd,c:\\d\n1,2,3\n", "t.csv")
    assert [each.name for each in table.columns] == ["../a", "/etc/passwd", "c:\\d"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "table.arrow"]


@pytest.mark.parametrize(
    ("first", "later", "arrow_type"),
    [
        ("", "5", "int64"),
        ("", "5.5", "double"),
        ("", "x", "string"),
        ("5", "5.5", "double"),
        ("5", "1e300", "double"),
        ("5", "9223372036854775808", "double"),
        ("5", "inf", "double"),
        ("5", "x", "string"),
        ("5.5", "x", "string"),
        ("true", "5", "string"),
        ("true", "", "bool"),
        ("2020-01-01", "5", "string"),
        ("2020-01-01", "2020-01-01 10:00:00", "string"),
        ("x", "5", "string"),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_the_type_of_a_column_is_that_of_all_rows(
    tmp_path: Path, first: str, later: str, arrow_type: str
) -> None:
    """A table would be refused, or lose values, because its first rows look different from the others."""
    values = [first] * 100 + [later] * 100
    table = read(tmp_path, column(values), "t.csv")
    assert table.rows == 200
    assert table.columns[0].arrow_type == arrow_type
    kept = rows_kept(tmp_path)
    assert kept["row"].to_pylist() == list(range(200))
    if arrow_type == "string":
        assert kept["a"].to_pylist() == [value or None for value in values]
    elif arrow_type in ("int64", "double"):
        expected = [float(value) if value else None for value in values]
        assert kept["a"].to_pylist() == expected


@pytest.mark.usefixtures("small_blocks")
def test_many_columns_whose_first_rows_mislead_need_few_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wide table whose rare values come late would be read as often as it has columns."""
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 3000)
    readings = 0
    open_csv = pa.csv.open_csv

    def counted(source: object, *options: object) -> object:
        nonlocal readings
        readings += not isinstance(source, pa.BufferReader)
        return open_csv(source, *options)

    monkeypatch.setattr(pa.csv, "open_csv", counted)
    chance = random.Random(0)
    kinds = ["5", "5.5", "x", "true", "2020-01-01", '"y,\n""z"""']
    rows = [["" if chance.random() < 0.97 else kinds[i % 6] for i in range(60)] for _ in range(500)]
    header = ",".join(f"c{i}" for i in range(60))
    content = "\n".join([header, *(",".join(row) for row in rows)]).encode()
    table = read(tmp_path, content, "t.csv")
    assert readings == 5
    types = ["int64", "double", "string", "bool", "date32[day]", "string"]
    assert [each.arrow_type for each in table.columns] == types * 10
    assert table.columns[5].categories == ('y,\n"z"',)
    lacking = [sum(row[i] == "" for row in rows) for i in range(60)]
    assert [each.nulls for each in table.columns] == lacking
