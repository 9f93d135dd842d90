"""Reads a file as a table, and keeps it as an Arrow file that workers map into memory.

What cannot be trained on (times, structures) is described, but not kept.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from gradstream_server.data.ahead import ahead
from gradstream_server.data.dataset import Column, ColumnType, Table
from gradstream_server.data.formats import format_of
from gradstream_server.data.readers import ReadAgain, Reader, open_reader
from gradstream_server.data.room import leave_room
from gradstream_server.data.statistics import ColumnStatistics, type_of
from gradstream_server.jobs.errors import UnreadableData

_BATCH_ROWS = 1 << 16
"""Of what is kept: readers that go through it are not held up by small pieces."""
_BATCH_BYTES = 32 << 20
"""And not by large ones: of wide tables fewer rows."""
_MAX_CATEGORY_BYTES = 1 << 20
_MAX_COLUMNS = 10_000
_MAX_NAME = 200
_NOT_UTF8 = re.compile(r"Invalid UTF8 sequence at string index (\d+)")
_KEPT = (ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.TEXT)


def ingest(path: Path, name: str, target: Path, max_bytes: int) -> Table:
    """Read the file at a path, which goes by a name that says what it is, and write its table to `target`.

    Args:
        max_bytes: that the table may take.

    Raises:
        UnreadableData: it is no such table, or takes more.
        OSError: there is no room for it.
    """
    try:
        reader = open_reader(path, name, max_bytes)
        while True:
            try:
                return _write(reader, target, max_bytes)
            except ReadAgain:
                continue
    except (UnreadableData, MemoryError):
        raise
    except Exception as error:
        # Of a damaged file a library raises whatever its parser does. The errors of the disk have a number.
        if isinstance(error, OSError) and error.errno:
            raise
        raise _unreadable(name, str(error)) from error


def _write(reader: Reader, target: Path, max_bytes: int) -> Table:
    batches = ahead(_regrouped(reader.batches()))
    first = next(batches, None)
    if first is None:
        raise UnreadableData("it has no rows")
    if not first.num_columns:
        raise UnreadableData("it has no columns")
    _check_names(first.schema.names)
    statistics = [ColumnStatistics(field.name, field.type) for field in first.schema]
    kept = [i for i, field in enumerate(first.schema) if type_of(field.type) in _KEPT]
    schema = pa.schema([first.schema.field(i) for i in kept])
    rows = 0
    with target.open("wb") as file, pa.PythonFile(file, "w") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in _all(first, batches):
            for column, values in zip(statistics, batch.columns, strict=True):
                column.add(values)
            writer.write_batch(pa.RecordBatch.from_arrays([batch.column(i) for i in kept], schema=schema))
            rows += batch.num_rows
            leave_room(target.parent)
            # Also of columns that are not kept: a small file can tell of more than anybody can go through.
            if max(sink.tell(), rows * len(statistics)) > max_bytes:
                raise UnreadableData(f"as a table it takes more than {max_bytes} bytes, which is the limit")
        writer.close()
        sink.flush()
        os.fsync(file.fileno())
    columns = _with_few_categories([column.result() for column in statistics])
    return Table(rows, tuple(columns), target.stat().st_size)


def _all(first: "pa.RecordBatch", others: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    yield first
    for batch in others:
        if batch.schema != first.schema:
            raise UnreadableData("its parts have different columns")
        yield batch


def _regrouped(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """The same rows in batches that are not too small, in types that workers know, without empty ones."""
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in _split(batches):
        plain = _plain(batch)
        pending.append(plain)
        rows += plain.num_rows
        size += plain.nbytes
        if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield pa.concat_batches(pending) if len(pending) > 1 else pending[0]
            pending, rows, size = [], 0, 0
    if pending:
        yield pa.concat_batches(pending) if len(pending) > 1 else pending[0]


def _split(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """The same rows, whose values are sound, in batches that are neither too large nor empty."""
    rows = 0
    for batch in batches:
        _check_values(batch, rows)
        rows += batch.num_rows
        at_once = max(1, batch.num_rows * _BATCH_BYTES // max(batch.nbytes, _BATCH_BYTES))
        for start in range(0, batch.num_rows, at_once):
            yield batch.slice(start, at_once)


def _check_values(batch: "pa.RecordBatch", rows_before: int) -> None:
    """Values that are not what their column says are told by row and column, as far as Arrow tells."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                is_text = type_of(column.type) is ColumnType.TEXT
                if is_text and (found := _NOT_UTF8.search(str(error))):
                    row = rows_before + int(found[1]) + 1
                    raise UnreadableData(f"row {row}, column {name!r} is not UTF-8") from error
                raise UnreadableData(f"column {name!r} is damaged: {error}") from error
        raise


def _plain(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    return pa.RecordBatch.from_arrays([_plain_column(column) for column in batch.columns], batch.schema.names)


def _plain_column(column: "pa.Array") -> "pa.Array":
    """A column without what Arrow has besides plain types."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        # Views, as polars has them, cannot be taken from.
        values = _plain_column(column.dictionary)
        column = pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()
    if pa.types.is_decimal(column.type):
        # By way of text: Arrow multiplies by powers of ten, and makes 1.2000000000000002 of 1.2.
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    if pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column


def _check_names(names: list[str]) -> None:
    if len(names) > _MAX_COLUMNS:
        raise UnreadableData(f"it has {len(names)} columns; at most {_MAX_COLUMNS} can be kept")
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name.strip():
            raise UnreadableData(f"column {i + 1} has no name; name it in the header")
        if len(name) > _MAX_NAME:
            raise UnreadableData(
                f"the name of column {i + 1} has {len(name)} characters; at most {_MAX_NAME} are allowed"
            )
        if (before := first.setdefault(name, i)) != i:
            raise UnreadableData(
                f"columns {before + 1} and {i + 1} are both named {name!r}; rename one of them"
            )


def _with_few_categories(columns: list[Column]) -> list[Column]:
    """The columns, with categories as far as there is room for them in a message; those of text first."""
    left = _MAX_CATEGORY_BYTES
    for i in sorted(range(len(columns)), key=lambda i: columns[i].type is not ColumnType.TEXT):
        left -= sum(len(category.encode()) for category in columns[i].categories)
        if left < 0:
            columns[i] = replace(columns[i], categories=())
    return columns


def _unreadable(name: str, message: str) -> UnreadableData:
    format_ = found[0].name if (found := format_of(name)) else "a table"
    return UnreadableData(f"it cannot be read as {format_}: {message.partition(chr(10))[0]}")
