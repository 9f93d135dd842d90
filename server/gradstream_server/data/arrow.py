"""Files of Apache Arrow and Parquet, read by pyarrow."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

_READ_ROWS = 1 << 16
_READ_NUMBERS = 1 << 22


class ParquetReader:
    """Reads a Parquet file."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]") -> None:
        self._open = open_

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows."""
        with self._open() as source:
            file = pa.parquet.ParquetFile(source)
            columns = max(1, file.metadata.num_columns)
            yield from file.iter_batches(max(1, min(_READ_ROWS, _READ_NUMBERS // columns)))


class ArrowFileReader:
    """Reads an Arrow IPC file, also known as Feather version 2."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]") -> None:
        self._open = open_

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows."""
        with self._open() as source, pa.ipc.open_file(source) as reader:
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)


class ArrowStreamReader:
    """Reads an Arrow IPC stream."""

    def __init__(self, open_: "Callable[[], pa.NativeFile]") -> None:
        self._open = open_

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows."""
        with self._open() as source, pa.ipc.open_stream(source) as reader:
            yield from reader
