"""NumPy's own files as tables, read without NumPy's pickles, a few rows at a time."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from tokenize import TokenError
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from gradstream_server.jobs.errors import UnreadableData

_READ_BYTES = 8 << 20
_MAX_COLUMNS = 10_000
_MOST_BYTES = 1 << 62


class ArrayReader:
    """Reads a `.npy` file: an array (rows, columns) or (rows,)."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]") -> None:
        self._open = open_

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows; columns without names are x1, x2 and so on. Raises UnreadableData."""
        with self._open() as source:
            array = _Array(cast("IO[bytes]", source), "x", always_numbered=True)
            while array.left:
                yield _batch(array.take(array.rows_at_once))
            array.close()


class ArchiveReader:
    """Reads a `.npz` file: arrays with the same number of rows, whose names are those of their columns."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]") -> None:
        self._open = open_

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows. An array (rows, columns) named X has columns X1, X2 and so on. Raises UnreadableData."""
        with ExitStack() as stack:
            archive = stack.enter_context(
                zipfile.ZipFile(cast("IO[bytes]", stack.enter_context(self._open())))
            )
            names = [member for member in archive.namelist() if member.endswith(".npy")]
            if not names:
                raise UnreadableData("it holds no arrays")
            arrays = [
                _Array(stack.enter_context(archive.open(name)), name.removesuffix(".npy")) for name in names
            ]
            told = {f"{array.name!r} has {array.rows} rows" for array in arrays}
            if len({array.rows for array in arrays}) > 1:
                raise UnreadableData(f"its arrays differ in length: {', '.join(sorted(told))}")
            at_once = min(array.rows_at_once for array in arrays)
            while arrays[0].left:
                yield _batch([column for array in arrays for column in array.take(at_once)])
            for array in arrays:
                array.close()


class _Array:
    """An array that is being read."""

    def __init__(self, source: IO[bytes], name: str, always_numbered: bool = False) -> None:
        self.name = name
        self._source = source
        shape, fortran_order, self._dtype = self._read_header()
        if len(shape) not in (1, 2) or min(shape) < 1:
            raise UnreadableData(
                f"array {name!r} has the shape {shape}; it has to be (rows, columns) or (rows,)"
            )
        self.rows, columns = shape[0], shape[1] if len(shape) == 2 else 1
        fields = self._dtype.names
        if fields and len(shape) == 2:
            raise UnreadableData(
                f"array {name!r} has both columns and named fields; it has to be (rows,) then"
            )
        for field in fields or (None,):
            kind = self._dtype[field] if field else self._dtype
            if kind.kind not in "biuf" or kind.shape:
                raise UnreadableData(f"array {name!r} holds {kind}; only numbers and booleans can be read")
        if columns > _MAX_COLUMNS:
            raise UnreadableData(f"array {name!r} has {columns} columns; at most {_MAX_COLUMNS} can be read")
        if fields:
            self._names = list(fields)
        elif len(shape) == 2 or always_numbered:
            self._names = [f"{name}{i + 1}" for i in range(columns)]
        else:
            self._names = [name]
        self._columns = columns
        self._whole: NDArray[Any] | None = None
        if fortran_order and columns > 1:
            # Column after column: no row is whole before the last column is there.
            self._whole = self._read(self.rows * columns).reshape(columns, self.rows).T
        self.left = self.rows
        self.rows_at_once = max(1, _READ_BYTES // (columns * self._dtype.itemsize))

    def take(self, rows: int) -> "list[tuple[str, NDArray[Any]]]":
        """The next rows, by columns."""
        rows = min(rows, self.left)
        start = self.rows - self.left
        if self._whole is not None:
            block = self._whole[start : start + rows]
        else:
            block = self._read(rows * self._columns).reshape(rows, self._columns)
        self.left -= rows
        if self._dtype.names:
            return [(name, _native(block[name][:, 0])) for name in self._names]
        return [(name, _native(block[:, i])) for i, name in enumerate(self._names)]

    def close(self) -> None:
        """See that there is nothing behind it."""
        if self._source.read(1):
            raise UnreadableData(f"array {self.name!r} goes on after its end")

    def _read_header(self) -> tuple[tuple[int, ...], bool, "np.dtype[Any]"]:
        try:
            version = npy.read_magic(self._source)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"its version {version[0]}.{version[1]} is not known")
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran_order, dtype = read(self._source)
            if version == (3, 0) and dtype.names:
                # The only difference from 2.0: names are UTF-8 where they were Latin-1.
                dtype.names = tuple(name.encode("latin1").decode() for name in dtype.names)
        except (SyntaxError, TokenError, ValueError) as error:
            what = str(error).partition("\n")[0]
            raise UnreadableData(f"array {self.name!r} has no header that can be read: {what}") from error
        return tuple(int(extent) for extent in shape), bool(fortran_order), np.dtype(dtype)

    def _read(self, count: int) -> NDArray[Any]:
        expected = count * self._dtype.itemsize
        # A mapped file is not copied.
        read = self._source.read_buffer if isinstance(self._source, pa.NativeFile) else self._source.read
        content = read(expected) if expected < _MOST_BYTES else b""
        if len(content) < expected:
            raise UnreadableData(f"array {self.name!r} is cut short")
        return np.frombuffer(content, self._dtype)


def _native(column: NDArray[Any]) -> NDArray[Any]:
    """A column in a type that Arrow has."""
    wide = column.dtype.kind == "f" and column.dtype.itemsize > 8
    dtype = np.dtype(np.float64) if wide else column.dtype.newbyteorder("=")
    return np.ascontiguousarray(column, dtype)


def _batch(columns: "list[tuple[str, NDArray[Any]]]") -> "pa.RecordBatch":
    names = [name for name, _ in columns]
    return pa.RecordBatch.from_arrays([_column(column) for _, column in columns], names)


def _column(column: NDArray[Any]) -> "pa.Array":
    # Not `pa.array`: that imports pandas, where it is installed, into every reader.
    if column.dtype == bool:
        return _column(column.view(np.uint8)).cast(pa.bool_())
    arrow_type = pa.from_numpy_dtype(column.dtype)
    return pa.Array.from_buffers(arrow_type, len(column), [None, pa.py_buffer(column)])
