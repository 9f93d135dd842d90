"""Reads chunks of files out of their messages without copying what is in them.

protobuf copies the data of a message twice before anybody sees them, which takes longer than to write them to
a file. As https://protobuf.dev/programming-guides/encoding has it: a field is its number << 3 | its kind.
"""

from typing import NamedTuple

_CHUNK_FIELD, _OFFSET_FIELD, _DATA_FIELD = 2 << 3 | 2, 1 << 3 | 0, 2 << 3 | 2
_LONGEST_VARINT = 9
"""Bytes that a number below 2^63 takes."""


class Chunk(NamedTuple):
    """A part of a file."""

    offset: int
    data: memoryview
    """In the message, which lives as long as it does."""


def read_chunk(message: bytes) -> Chunk | None:
    """The chunk of an `UploadDatasetRequest` that is encoded as usual: its fields alone, in their order.

    None for all else: protobuf has to say what it is.
    """
    if len(message) < 2 or message[0] != _CHUNK_FIELD:
        return None
    end, place = _length(message, 1)
    if end != len(message):
        return None
    offset = 0
    if place < end and message[place] == _OFFSET_FIELD:
        offset, place = _varint(message, place + 1)
    if place >= end or message[place] != _DATA_FIELD:
        return None
    data_end, place = _length(message, place + 1)
    return Chunk(offset, memoryview(message)[place:]) if data_end == end else None


def _length(message: bytes, place: int) -> tuple[int, int]:
    """Where a field ends whose length is written at a place, and where its content begins."""
    length, place = _varint(message, place)
    return place + length, place


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number, seven bits a byte, the lowest first, and the place behind it; (-1, its place) for none."""
    number = 0
    for i, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        number |= (byte & 127) << (7 * i)
        if byte < 128:
            return number, place + i + 1
    return -1, place
