"""A table that was uploaded, as a value."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ColumnType(StrEnum):
    """What the values of a column are."""

    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"
    TIME = "TIME"
    """Dates, times, points in time, durations."""
    OTHER = "OTHER"
    """Lists, structures, bytes: nothing that can be trained on."""
    UNKNOWN = "UNKNOWN"
    """One that this version of the client does not know: the server is newer."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a data set, and what is known of its values. Rows are counted from 1."""

    name: str
    """From the header, or x1, x2 and so on for an array."""
    type: ColumnType
    arrow_type: str
    """Its type as Apache Arrow calls it, such as "int64"."""
    nulls: int
    """Rows without a value. In a column of numbers NaN counts as one."""
    first_null_row: int | None
    """None when every row has a value."""
    min: float | None
    """The smallest number; false is 0. None where no row has a number, and for text."""
    max: float | None
    mean: float | None
    first_infinite_row: int | None
    """None when all numbers are finite."""
    categories: tuple[str, ...]
    """For text and whole numbers: the different values, when there are at most 1000 and the column is not one
    of a list of data sets."""
    first_text_row: int | None
    """For text: the first row whose value is no number; None when all are."""
    first_text: str
    """The value in that row, at most 100 characters of it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table on the server, named by the SHA-256 of the file that was uploaded."""

    digest: str
    """SHA-256 of the file, 64 hexadecimal digits."""
    name: str
    """The name that the file was first uploaded with."""
    size_bytes: int
    """Of the file."""
    rows: int
    columns: tuple[Column, ...]
    """In the file's order."""
    create_time: datetime
    """When it was first uploaded."""
    stored_bytes: int
    """What it takes on the server's disk."""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import dataset_html

        return dataset_html(self)
