"""Data sets: what is known of an uploaded table."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property


class ColumnType(StrEnum):
    """What the values of a column are; the contract, `dataset.proto`, says more."""

    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"
    TIME = "TIME"
    OTHER = "OTHER"


MAX_CATEGORIES = 1000
"""Different values of a column up to which they are kept by name."""


@dataclass(frozen=True)
class Column:
    """A column, and what is known of its values. Rows are counted from 1; 0 stands for none."""

    name: str
    type: ColumnType
    arrow_type: str
    nulls: int = 0
    """Rows without a value; NaN is none."""
    first_null_row: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    """These three are None for text, and where no row has a number."""
    first_infinite_row: int = 0
    first_text_row: int = 0
    first_text: str = ""
    """Of text: the first row whose value is no number, and that value: why the column is none of numbers."""
    categories: tuple[str, ...] = ()
    """Of text and whole numbers: the different values, in order, when they are at most MAX_CATEGORIES."""


@dataclass(frozen=True)
class Table:
    """A table as it was read from a file."""

    rows: int
    columns: tuple[Column, ...]
    stored_bytes: int


@dataclass(frozen=True)
class Dataset:
    """An uploaded table."""

    digest: str
    """SHA-256 of the file, in hexadecimal."""
    head_digest: str
    """SHA-256 of its first MiB."""
    name: str
    """Of the file when the owner first uploaded it."""
    size_bytes: int
    create_time: datetime
    table: Table
    owner: str = ""
    """Whose it is; empty for nobody's. The same content may be that of several, each with a name and time."""

    def column(self, name: str) -> Column | None:
        """The column of a name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.table.columns}


def like(other: Dataset, learnt: Dataset) -> Dataset:
    """A data set whose columns are encoded, and their missing values filled, as those of another are."""
    own = {column.name: column for column in other.table.columns}
    columns = tuple(
        replace(column, nulls=own[column.name].nulls) for column in learnt.table.columns if column.name in own
    )
    return replace(other, table=replace(other.table, columns=columns))
