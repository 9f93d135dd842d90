"""Whatever can be uploaded, as a file: paths and files as they are, arrays and tables written as one.

What only some of these need is imported when it is needed: every client imports this module.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from gradstream.content import Content
from gradstream.errors import InvalidArgumentError
from gradstream.tensor import refused, unmasked

_IN_MEMORY_BYTES = 256 << 20
"""A table is written to memory while it is no larger, and to a temporary file from there on."""


@runtime_checkable
class ArrowTable(Protocol):
    """A table that speaks Arrow's C stream interface: of pandas, polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Source: TypeAlias = str | os.PathLike[str] | BinaryIO | NDArray[Any] | Mapping[str, ArrayLike] | ArrowTable
"""What can be uploaded, see `Client.upload`."""


@contextmanager
def open_source(source: Source, name: str | None) -> Iterator[tuple[str, Content]]:
    """A name, whose ending says what it is, and the content.

    Raises InvalidArgumentError for what cannot be uploaded, OSError for a file that cannot be opened.
    """
    match source:
        case str() | os.PathLike():
            with Path(source).open("rb", buffering=0) as raw, _seekable(cast(BinaryIO, raw)) as file:
                yield _content(file, name or Path(source).name)
        case np.ndarray():
            yield _content(_array_file(source), _named(name or "array", ".npy"), is_own=True)
        case Mapping():
            with _temporary() as file:
                suffix = _write_columns(file, source)
                yield _content(file, _named(name or "arrays", suffix), is_own=True)
        case ArrowTable():
            with _temporary() as file:
                suffix = _write_table(file, source)
                yield _content(file, _named(name or "table", suffix), is_own=True)
        case _ if hasattr(source, "read"):
            if isinstance(source, io.TextIOBase):
                raise refused("source", "is open as text; open it in binary mode", "INVALID_REQUEST")
            with _seekable(source) as file:
                yield _content(file, name or _name_of(source))
        case _:
            what = (
                f"is a {type(source).__name__}; it has to be a path, a binary file, an array, a mapping of "
                "names to arrays, or a table of pandas, polars or pyarrow"
            )
            raise refused("source", what, "INVALID_REQUEST")


def _content(file: BinaryIO, name: str, *, is_own: bool = False) -> tuple[str, Content]:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    if not name.isprintable():  # also what of a path is not UTF-8, which no message can hold
        raise refused(
            "name", f"is {name!r}; give another, whose characters can be printed", "INVALID_REQUEST"
        )
    if size <= 0:
        raise refused("source", f"is empty: {name} has no bytes", "INVALID_REQUEST")
    return name, Content(file, size, name, is_own=is_own)


def _named(name: str, suffix: str) -> str:
    return name if name.lower().endswith(suffix) else name + suffix


def _name_of(file: BinaryIO) -> str:
    """The name that a file brings along; one that is no path has none."""
    name = getattr(file, "name", None)
    if not isinstance(name, str) or name.startswith("<"):
        raise refused(
            "name",
            "is missing; give one whose ending says what the file is, such as data.csv",
            "INVALID_REQUEST",
        )
    return Path(name).name


@contextmanager
def _temporary() -> Iterator[BinaryIO]:
    import tempfile

    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        yield cast(BinaryIO, file)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """The file itself, or a copy of one that can be read only once, such as a pipe."""
    if hasattr(file, "readinto") and hasattr(file, "seekable") and file.seekable():
        yield file
        return
    import shutil

    with _temporary() as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _array_file(array: NDArray[Any]) -> BinaryIO:
    """A `.npy` file of an array, which shares its memory."""
    unmasked(array, "source", "INVALID_REQUEST")
    for kind in [array.dtype[name] for name in array.dtype.names or ()] or [array.dtype]:
        if kind.kind not in "biuf":
            what = (
                f"is an array of {kind}; an array has to hold numbers or booleans, text belongs into a table"
            )
            raise refused("source", what, "INVALID_REQUEST")
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    npy.write_array_header_2_0(header, npy.header_data_from_array_1_0(array))
    return cast(BinaryIO, _Joined([header.getvalue(), array.reshape(-1).view(np.uint8).data]))


def _write_columns(file: BinaryIO, columns: Mapping[str, ArrayLike]) -> str:
    """Write named arrays: as a `.npz` file when all are numbers, else as an Arrow stream."""
    import shutil
    import zipfile

    with _told():
        arrays = {str(name): np.asanyarray(values) for name, values in columns.items()}
    if not arrays:
        raise refused("source", "is empty: it has no columns", "INVALID_REQUEST")
    if len(arrays) < len(columns):
        raise refused("source", "has two columns whose names are the same as text", "INVALID_REQUEST")
    for array in arrays.values():
        unmasked(array, "source", "INVALID_REQUEST")
    if all(array.dtype.kind in "biuf" for array in arrays.values()):
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                # The same arrays make the same file: ZipInfo without a date has always the same one.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    shutil.copyfileobj(_array_file(array), member, 1 << 20)
        file.seek(0)
        return ".npz"
    others = [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    pyarrow = _pyarrow(others)
    with _told():
        return _write_table(file, pyarrow.table({name: list(array) for name, array in arrays.items()}))


def _write_table(file: BinaryIO, table: ArrowTable) -> str:
    """Write a table as an Arrow stream, without the index that a frame of pandas has."""
    if hasattr(table, "write_ipc_stream"):  # polars, which needs no pyarrow
        with _told():
            table.write_ipc_stream(file)
        file.seek(0)
        return ".arrows"
    others: list[str] = []
    if hasattr(table, "reset_index") and hasattr(table, "columns"):  # pandas
        table = table.reset_index(drop=True)
        columns = {str(name): values.to_numpy() for name, values in cast(Any, table).items()}
        others = [name for name, values in columns.items() if values.dtype.kind not in "biuf"]
        if not others and len(columns) == len(cast(Any, table).columns):
            return _write_columns(file, columns)
    pyarrow = _pyarrow(others)
    with _told():
        batches = pyarrow.RecordBatchReader.from_stream(table)
        # What a library notes of itself in the schema would make the same table another file.
        with pyarrow.ipc.new_stream(file, batches.schema.remove_metadata()) as writer:
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(None))
    file.seek(0)
    return ".arrows"


def _pyarrow(columns: Sequence[str]) -> Any:
    """The library, for columns that need it."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        which = f" with {', '.join(map(repr, columns[:3]))}" if columns else ""
        raise InvalidArgumentError(
            f"a table{which} can be sent with pyarrow only, which is not installed: pip install pyarrow, or "
            "write the table to a file and upload that",
            code="INVALID_ARGUMENT",
            reason="PYARROW_MISSING",
        ) from error
    return pyarrow


@contextmanager
def _told() -> Iterator[None]:
    """Say of what a library refuses that it is the table."""
    try:
        yield
    except (TypeError, ValueError, NotImplementedError) as error:
        raise refused("source", f"is no table that can be sent: {error}", "INVALID_REQUEST") from error


class _Joined(io.RawIOBase):
    """Pieces of memory one after the other, as a file."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._size = sum(len(piece) for piece in self._pieces)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        begin, filled = 0, 0
        for piece in self._pieces:
            if filled < len(buffer) and begin <= self._place < begin + len(piece):
                part = piece[self._place - begin :][: len(buffer) - filled]
                buffer[filled : filled + len(part)] = part
                self._place += len(part)
                filled += len(part)
            begin += len(piece)
        return filled
