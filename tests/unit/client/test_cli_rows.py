"""Rows on the command line mean what they have meant in training."""

import gzip
import math
from pathlib import Path

import click
import pytest

from gradstream.bundle import InputColumn
from gradstream.cli.rows import MISSING, of_file, typed
from gradstream_server.data.delimited import _NULLS

COLUMNS = (InputColumn("size"), InputColumn("code", ("100", "A", "NA")), InputColumn("floor", (1, 2)))


def test_what_stands_for_no_value_is_that_of_training() -> None:
    """A row would be predicted as something else than it was learnt from."""
    assert set(_NULLS) == MISSING


def test_the_model_says_what_a_value_is() -> None:
    """A category such as 100 could not be asked for."""
    assert typed("1.5, 100,2", COLUMNS) == [1.5, "100", 2.0]
    assert typed("code=NA,size=true,floor=2", COLUMNS) == {"code": "NA", "size": 1.0, "floor": 2.0}
    assert typed(",,", COLUMNS) == pytest.approx([math.nan, "", math.nan], nan_ok=True)
    assert typed("1,2,x,4", COLUMNS) == [1.0, 2.0, "x", 4.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x,A,1", "'x' in 'size'"),
        ("1_0,A,1", "'1_0' in 'size'"),
        ("size=1,size=2", "'size' twice"),
        ("1,A", "'1,A' has 2 values; a row of this model is one word: size,code,floor"),
        ("size=1", "lacks 'code', 'floor'; a row of this model is one word: size=...,code=...,floor=..."),
    ],
)
def test_rows_that_cannot_be_meant(text: str, told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        typed(text, COLUMNS)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "ROWS.CSV.GZ"])
def test_files(tmp_path: Path, name: str) -> None:
    file, text = tmp_path / name, '\ufefffloor;other;size;code\r\n1;"a;\nb";?;100\r\n\r\n2;;FALSE;n/a\r\n'
    text = text.replace(";", "\t") if name.endswith("tsv") else text
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("GZ") else text.encode())
    found = of_file(str(file), COLUMNS)
    assert found.pop("size") == pytest.approx([math.nan, 0.0], nan_ok=True)
    assert found == {"code": ["100", ""], "floor": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.csv", None, "cannot read .*none.csv: No such file"),
        ("a.parquet", b"PAR1", ".csv, .tsv, .txt are read, also with .gz behind"),
        ("a.csv", b"\n", "it is empty"),
        ("a.csv", b"size\n\xff\n", "it is not UTF-8"),
        ("a.csv.gz", b"size\n1\n", "cannot read .*: Not a gzipped file"),
        ("a.csv", b"a,b\n1,2\n", "has none of the columns of the model: 'size', 'code', 'floor'"),
        ("a.csv", b"size,size\n1,2\n", "column 'size' is there twice"),
        ("a.csv", b"size,code\n1,A\n2\n", "row 2 has 1 values, and the header 2"),
        ("a.csv", b"size,code\n1,A\nx,A\n", "row 2 holds 'x' in 'size', which is no number"),
        ("a.csv", b'size,code\n1,"A\n', "unexpected end of data"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    """A person would not know what is wrong with a table, or be given predictions of something else."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(click.UsageError, match=told):
        of_file(str(tmp_path / name), COLUMNS)
