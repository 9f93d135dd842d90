"""What reads a file as a table: some rows at a time, so that one larger than memory can be read."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import pyarrow as pa

from gradstream_server.data.formats import COMPRESSIONS, FORMATS, STRANGERS, format_of, known_suffixes
from gradstream_server.jobs.errors import UnreadableData

_BEGINNING_BYTES = 64


class ReadAgain(Exception):
    """A later row has changed the sense of the ones before: all that was read is to be read once more."""


class Reader(Protocol):
    """Reads one file."""

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Its rows.

        Raises:
            UnreadableData, and whatever a library raises of it: it is no such file.
            ReadAgain: to be called once more, from the beginning.
        """
        ...


def open_reader(path: Path, name: str, max_bytes: int) -> Reader:
    """A reader of a file whose name says what it is.

    Args:
        max_bytes: that it may be unpacked to, where it is compressed.

    Raises:
        UnreadableData: it begins as no file of this kind does.
    """
    found = format_of(name)
    if found is None:
        raise UnreadableData(f"{name!r} has no known ending; there are {', '.join(known_suffixes())}")
    format_, compression = found
    if compression:
        _check_beginning(pa.OSFile(str(path)), f"compressed with {compression.name}", compression.magic)

    def open_() -> "pa.NativeFile":
        if compression:
            unpacked = pa.CompressedInputStream(pa.OSFile(str(path)), compression.name)
            return pa.PythonFile(_Bounded(unpacked, max_bytes), "r")
        return pa.memory_map(str(path))

    _check_beginning(open_(), format_.name, format_.magic)
    module, _, attribute = format_.reader.partition(":")
    return cast(Reader, getattr(import_module(module), attribute)(open_))


class _Bounded:
    """A file that is read from front to back, and only so far: a small one can be unpacked to anything."""

    def __init__(self, source: "pa.NativeFile", max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._read = 0

    def read(self, size: int) -> bytes:
        content = cast(bytes, self._source.read(size))
        self._read += len(content)
        if self._read > self._max_bytes:
            raise UnreadableData(f"unpacked it takes more than {self._max_bytes} bytes, which is the limit")
        return content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return bool(self._source.closed)

    def close(self) -> None:
        self._source.close()


def _check_beginning(source: "pa.NativeFile", what: str, magic: bytes) -> None:
    with source:
        begins = source.read(_BEGINNING_BYTES)
    if magic and begins.startswith(magic):
        return
    others = list(STRANGERS)
    others += [(re.escape(each.magic), each.name) for each in FORMATS if each.magic]
    others += [(re.escape(each.magic), f"a file compressed with {each.name}") for each in COMPRESSIONS]
    if other := next((name for pattern, name in others if re.match(pattern, begins)), None):
        raise UnreadableData(f"its name says {what}, but it begins as {other}")
    if magic:
        raise UnreadableData(f"its name says {what}, which it is not")
