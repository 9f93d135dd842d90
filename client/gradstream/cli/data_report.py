"""What is said of a data set in words: what it is, and its columns."""

from gradstream.cli.report import aligned, counted
from gradstream.dataset import Column, ColumnType, Dataset

SHORT = 12
"""Characters of a digest that name a data set for people."""

_MOST_COLUMNS = 200
_MOST_CATEGORIES = 6
_WIDEST_CATEGORIES = 50


def head_lines(dataset: Dataset, note: str = "") -> list[str]:
    """What it is, and its whole digest."""
    told = [
        f"data set {dataset.digest[:SHORT]}: {dataset.name}",
        counted(dataset.rows, "row"),
        counted(len(dataset.columns), "column"),
        size(dataset.size_bytes),
    ]
    uploaded = f"{dataset.create_time.astimezone():%Y-%m-%d %H:%M:%S}"
    return [
        ", ".join(told) + (f" ({note})" if note else ""),
        f"digest    {dataset.digest}",
        f"uploaded  {uploaded}, takes {size(dataset.stored_bytes)} on the server",
    ]


def schema_lines(dataset: Dataset) -> list[str]:
    """A line for each column: type, nulls, smallest, largest and mean number, and what to know of it."""
    shown = dataset.columns[:_MOST_COLUMNS]
    rows = [
        [
            printable(column.name),
            column.arrow_type,
            f"{column.nulls:,}" if column.nulls else "-",
            *(_number(value) for value in (column.min, column.max, column.mean)),
        ]
        for column in shown
    ]
    lines = aligned([["COLUMN", "TYPE", "NULLS", "MIN", "MAX", "MEAN"], *rows])
    notes = ["", *(", ".join(_notes(column, dataset.rows)) for column in shown)]
    width = max(len(line) for line in lines)
    lines = [f"{line:<{width}}  {note}".rstrip() for line, note in zip(lines, notes, strict=True)]
    if len(dataset.columns) > len(shown):
        lines.append(f"  ... and {len(dataset.columns) - len(shown):,} more; --format json has all")
    return lines


def size(size_bytes: int) -> str:
    """Bytes for people, in powers of 1000: 512 bytes, 1.5 MB."""
    from rich.filesize import decimal  # only this: the whole of rich takes longer than a list

    return decimal(size_bytes)


def printable(text: str) -> str:
    """A text of a file's for a terminal: what is not printable is escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _notes(column: Column, rows: int) -> list[str]:
    """What whoever trains on the column should know."""
    notes = []
    if column.nulls == rows:
        return ["no values at all"]
    if column.first_infinite_row is not None:
        notes.append(f"infinite in row {column.first_infinite_row:,}")
    is_constant = column.min is not None and column.min == column.max
    if is_constant or len(column.categories) == 1:
        notes.append("constant")
    if column.nulls:
        notes.append(f"first null in row {column.first_null_row:,}")
    if column.type is ColumnType.TEXT:
        if (column.first_text_row or 0) > 1:
            notes.append(f"first is no number in row {column.first_text_row:,}: {column.first_text!r}")
        notes.append(_categories(column.categories) if column.categories else "more than 1,000 values")
    if column.type in (ColumnType.TIME, ColumnType.OTHER):
        notes.append("no feature")
    return notes


def _categories(values: tuple[str, ...]) -> str:
    """`5 values: drizzle, fog, rain, snow, sun`, in short."""
    text = ", ".join(printable(value) for value in values[:_MOST_CATEGORIES])
    more = len(values) > _MOST_CATEGORIES or len(text) > _WIDEST_CATEGORIES
    return f"{counted(len(values), 'value')}: {text[:_WIDEST_CATEGORIES]}{' ...' if more else ''}"
