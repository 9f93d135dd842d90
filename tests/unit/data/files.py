"""Files of every kind for tests, and how to read them."""

import gzip
import io
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from gradstream_server.data.dataset import Dataset, Table
from gradstream_server.data.ingest import ingest

LIMIT = 1 << 30


def read(folder: Path, content: bytes, name: str, max_bytes: int = LIMIT) -> Table:
    """What is known of a file, whose table is then in the folder: `rows_kept` reads it."""
    path = folder / "file"
    path.write_bytes(content)
    return ingest(path, name, folder / "table.arrow", max_bytes)


def rows_kept(folder: Path) -> "pa.Table":
    """The table that was kept."""
    with pa.memory_map(str(folder / "table.arrow")) as source:
        return pa.ipc.open_file(source).read_all()


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Names beyond Latin-1 need a younger NumPy.
        np.save(content, array)
    return content.getvalue()


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def parquet(table: "pa.Table", **options: Any) -> bytes:
    content = io.BytesIO()
    pa.parquet.write_table(table, content, **options)
    return content.getvalue()


def arrow(table: "pa.Table", **options: Any) -> bytes:
    content = io.BytesIO()
    with pa.ipc.new_file(content, table.schema) as writer:
        writer.write_table(table, **options)
    return content.getvalue()


def arrows(table: "pa.Table") -> bytes:
    content = io.BytesIO()
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    return content.getvalue()


def compressed(name: str, content: bytes) -> bytes:
    """Content as the ending of a name wants it."""
    if name.endswith(".gz"):
        return gzip.compress(content)
    return bytes(pa.compress(content, "zstd", asbytes=True)) if name.endswith(".zst") else content


def dataset(table: Table, digest: str = "0" * 64) -> Dataset:
    """A data set of a table."""
    return Dataset(digest, digest, "t.csv", 10, datetime(2026, 1, 2, tzinfo=UTC), table)
