"""Tables as text: a header, then rows of values separated by a delimiter. Read by pyarrow."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial

import pyarrow as pa
import pyarrow.csv

from gradstream_server.data.readers import ReadAgain
from gradstream_server.jobs.errors import UnreadableData

_BLOCK_BYTES = 16 << 20
"""Read at once. A row has to fit in it, and the types of columns are guessed from the first one."""
_HEAD_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
_NULLS = [*pa.csv.ConvertOptions().null_values, "None", "none", "?"]
_QUOTED = re.compile(r'(?<![^,;\t|\r\n])"[^"]*(?:""[^"]*)*"')
"""A quoted value: delimiters and line ends within are its own."""
_SHOWN = 60
_PATIENCE = 3
"""Columns whose types may be guessed wrongly, each of which costs another reading."""

_RAGGED = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_OTHER_TYPE = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to ([^:]+): invalid value '(.*)'", re.DOTALL
)
_NOT_UTF8 = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to [^:]+: invalid UTF8")


class DelimitedReader:
    """Reads one file. What was guessed wrongly of a column's type is known when it is read again."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]", delimiters: str = _DELIMITERS) -> None:
        """
        Args:
            open_: opens the file.
            delimiters: those that may separate values; the one that is most frequent in the header does.
        """
        self._open = open_
        self._delimiters = delimiters
        self._types: dict[str, pa.DataType] = {}
        self._guessed_wrongly = 0

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows.

        Raises:
            UnreadableData: it is no such table.
            ReadAgain: a later row has shown the type of a column; what was read so far is to be forgotten.
        """
        with self._open() as source:
            delimiter, self._names = _header(source.read(_HEAD_BYTES), self._delimiters)
        row, last = 0, None
        with ExitStack() as stack:
            source = stack.enter_context(self._open())
            try:
                if self._guessed_wrongly == _PATIENCE:
                    self._types = _types_of_all_rows(
                        _open(source, delimiter, dict.fromkeys(self._names, pa.string()))
                    )
                    source = stack.enter_context(self._open())
                for batch in _open(source, delimiter, self._types):
                    _check_text(batch, row)
                    row += batch.num_rows
                    last = batch
                    yield batch
            except pa.ArrowInvalid as error:
                raise self._explained(str(error)) from error
        if last and self._ends_quoted(last):
            name = self._names[-1]
            raise UnreadableData(f"row {row}, column {name!r}: a quote is opened and not closed")

    def _ends_quoted(self, last: "pa.RecordBatch") -> bool:
        """Whether the end of the file, and perhaps many rows, is within quotes that were never closed."""
        value = last.column(last.num_columns - 1)[last.num_rows - 1].as_py() if last.num_rows else None
        if not isinstance(value, str) or "\n" not in value:
            return False
        end = b""
        with self._open() as source:
            while content := source.read(_HEAD_BYTES):
                end = (end + content)[-_HEAD_BYTES:]
        return not end.rstrip().endswith(b'"')

    def _explained(self, message: str) -> Exception:
        if ragged := _RAGGED.match(message):
            row, expected, got, text = ragged.groups()
            values = "1 value" if got == "1" else f"{got} values"
            return UnreadableData(
                f"row {int(row) - 1} has {values}, the header has {expected}: {_shown(text)}"
            )
        if other := _OTHER_TYPE.match(message):
            column, row, told, value = other.groups()
            name = self._names[int(column)]
            self._types[name] = _wider(told, value)
            self._guessed_wrongly += 1
            return ReadAgain()
        if not_utf8 := _NOT_UTF8.match(message):
            return _not_utf8(self._names[int(not_utf8[1])], int(not_utf8[2] or 2) - 1)
        if "Empty CSV" in message:
            return UnreadableData("it has no rows")
        if "straddl" in message:
            limit = _BLOCK_BYTES >> 20
            return UnreadableData(
                f"a row is longer than {limit} MiB; perhaps a quote is opened and not closed"
            )
        return UnreadableData(message.partition("\n")[0])


read_csv = DelimitedReader
read_tsv = partial(DelimitedReader, delimiters="\t")


def _open(
    source: "pa.NativeFile", delimiter: str, types: "dict[str, pa.DataType]"
) -> "pa.csv.CSVStreamingReader":
    return pa.csv.open_csv(
        source,
        # Several threads could not tell in which row something is wrong.
        pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=types, null_values=_NULLS, strings_can_be_null=True),
    )


def _types_of_all_rows(batches: "Iterable[pa.RecordBatch]") -> "dict[str, pa.DataType]":
    """The types of columns, from all their values as text: each batch is looked at as if it were a file."""
    types: dict[str, pa.DataType] = {}
    for batch in batches:
        text = pa.BufferOutputStream()
        pa.csv.write_csv(batch, text)
        for field in _open(pa.BufferReader(text.getvalue()), ",", {}).schema:
            types[field.name] = _common(types.get(field.name, pa.null()), field.type)
    return types


def _header(head: bytes, delimiters: str) -> tuple[str, list[str]]:
    """The delimiter, and the names of the columns."""
    try:
        # The last character may be cut in two.
        text = head.decode("utf-8-sig", "strict" if len(head) < _HEAD_BYTES else "ignore")
        first = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        if line > 1:
            # The rows are looked at where they are read, and told by row and column.
            first = head.partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")
            text = first
        else:
            what = f"the header is not UTF-8: byte {error.start + 1} is 0x{head[error.start]:02x}"
            raise UnreadableData(f"{what}; save the file as UTF-8") from error
    if not first:
        raise UnreadableData("it is empty; there have to be a header and at least one row")
    if "\0" in first:
        raise UnreadableData("it is no text: there is a zero byte in the header; save the file as UTF-8")
    unquoted = re.split(r"[\r\n]", _QUOTED.sub("", text.lstrip("\r\n")), maxsplit=1)[0]
    delimiter = max(delimiters, key=unquoted.count)
    try:
        names = next(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=None), delimiter=delimiter))
    except csv.Error as error:
        raise UnreadableData(f"the header is no line of names: {error}") from error
    if all(_is_number(name) for name in names):
        raise UnreadableData(f"it has no header: the first line is {_shown(first)}; name the columns there")
    return delimiter, names


def _check_text(batch: "pa.RecordBatch", rows_before: int) -> None:
    """What is no UTF-8 is taken for bytes by pyarrow."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_binary(column.type):
            for i, value in enumerate(column.to_pylist()):
                try:
                    (value or b"").decode()
                except UnicodeDecodeError:
                    raise _not_utf8(name, rows_before + i + 1) from None


def _not_utf8(column: str, row: int) -> UnreadableData:
    return UnreadableData(f"row {row}, column {column!r} is not UTF-8; save the file as UTF-8")


def _wider(told: str, value: str) -> "pa.DataType":
    """The narrowest type that a column can have in which a value was no `told`."""
    if told == "null":
        return pa.int64()
    return pa.float64() if told == "int64" and _is_number(value) else pa.string()


def _common(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType":
    """The narrowest type that the values of both can have."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
