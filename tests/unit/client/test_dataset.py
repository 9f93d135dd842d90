"""Data sets as values, and what the command line says of them."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gradstream import Column, ColumnType, Dataset
from gradstream.cli.data_report import head_lines, schema_lines
from gradstream.convert import dataset_of
from gradstream.v1 import dataset_pb2 as pb

TIME = Timestamp(seconds=1_700_000_000)


def dataset(*columns: pb.Column) -> Dataset:
    return dataset_of(
        pb.Dataset(
            digest="0123456789abcdef" * 4, name="houses.csv", size_bytes=2_500_000, rows=1000,
            columns=columns, create_time=TIME, stored_bytes=4_000_000,
        )
    )  # fmt: skip


def notes(column: pb.Column) -> str:
    """What is said behind the figures of a column."""
    return schema_lines(dataset(column))[1].split("  ")[-1].strip()


def test_a_data_set_as_a_value() -> None:
    message = pb.Column(name="a", type=pb.COLUMN_TYPE_NUMBER, arrow_type="int64", min=0, max=2, mean=0.5)
    message.nulls, message.first_null_row, message.first_infinite_row = 3, 7, 9
    message.categories.extend(["0", "1", "2"])
    found = dataset(message)
    assert (found.name, found.rows, found.size_bytes) == ("houses.csv", 1000, 2_500_000)
    assert found.create_time == datetime.fromtimestamp(1_700_000_000, UTC)
    assert found.columns == (
        Column("a", ColumnType.NUMBER, "int64", 3, 7, 0.0, 2.0, 0.5, 9, ("0", "1", "2"), None, ""),
    )


def test_what_is_not_set_is_none() -> None:
    column = dataset(pb.Column(name="a", type=pb.COLUMN_TYPE_TEXT)).columns[0]
    assert (column.min, column.max, column.mean) == (None,) * 3
    assert (column.first_null_row, column.first_infinite_row, column.first_text_row) == (None,) * 3


def test_every_type_has_a_value_and_those_of_a_newer_server_are_unknown() -> None:
    for name, number in pb.ColumnType.items():
        if name != "COLUMN_TYPE_UNSPECIFIED":
            column = dataset(pb.Column(type=number)).columns[0]
            assert column.type is not ColumnType.UNKNOWN
            assert f"COLUMN_TYPE_{column.type}" == name
    newer = dataset_of(pb.Dataset.FromString(pb.Dataset(columns=[pb.Column(type=99)]).SerializeToString()))
    assert newer.columns[0].type is ColumnType.UNKNOWN


def test_the_head_of_a_report() -> None:
    first, digest, _ = head_lines(dataset(pb.Column(name="a")), "already there")
    assert first == "data set 0123456789ab: houses.csv, 1,000 rows, 1 column, 2.5 MB (already there)"
    assert digest == "digest    " + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pb.Column(name="a", type=pb.COLUMN_TYPE_NUMBER, min=1, max=2, mean=1.5), "1.5"),
        (pb.Column(name="a", type=pb.COLUMN_TYPE_NUMBER, min=2, max=2, mean=2), "constant"),
        (pb.Column(name="a", type=pb.COLUMN_TYPE_OTHER, nulls=1000), "no values at all"),
        (pb.Column(name="a", nulls=2, first_null_row=1234), "first null in row 1,234"),
        (pb.Column(name="a", min=1, max=float("inf"), first_infinite_row=5), "infinite in row 5"),
        (pb.Column(name="a", type=pb.COLUMN_TYPE_TIME), "no feature"),
        (pb.Column(name="a", type=pb.COLUMN_TYPE_TEXT), "more than 1,000 values"),
        (pb.Column(name="a", type=pb.COLUMN_TYPE_TEXT, categories=["x", "\x1b[2J"]), r"2 values: x, \x1b[2J"),
        (
            pb.Column(name="a", type=pb.COLUMN_TYPE_TEXT, categories=list("abcdefgh"), first_text_row=9,
                      first_text="n/a?"),
            "first is no number in row 9: 'n/a?', 8 values: a, b, c, d, e, f ...",
        ),
    ],
)  # fmt: skip
def test_what_is_to_be_known_of_a_column(column: pb.Column, told: str) -> None:
    assert notes(column) == told


def test_names_cannot_write_on_the_terminal() -> None:
    assert "\x1b" not in "".join(schema_lines(dataset(pb.Column(name="\x1b[31mred"))))


def test_of_very_many_columns_the_first_are_shown() -> None:
    lines = schema_lines(dataset(*[pb.Column(name=f"x{i}") for i in range(1, 1001)]))
    assert len(lines) == 202
    assert lines[-1] == "  ... and 800 more; --format json has all"
