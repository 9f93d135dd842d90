"""Chunks are read as protobuf would read them, or left to it. If not, files would arrive damaged."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gradstream.v1.dataset_service_pb2 import UploadBegin, UploadChunk, UploadDatasetRequest, UploadEnd
from gradstream_server.rpc.chunks import read_chunk

_OFFSETS = st.integers(0, 2**63 - 1)
_MESSAGES = st.builds(
    lambda offset, data: UploadDatasetRequest(
        chunk=UploadChunk(offset=offset, data=data)
    ).SerializeToString(),
    _OFFSETS,
    st.binary(min_size=1, max_size=300),
)


@given(_OFFSETS, st.binary(min_size=1, max_size=300))
def test_a_chunk_that_protobuf_has_encoded_is_read(offset: int, data: bytes) -> None:
    chunk = read_chunk(UploadDatasetRequest(chunk=UploadChunk(offset=offset, data=data)).SerializeToString())

    assert chunk == (offset, data)


def test_the_data_are_not_copied() -> None:
    message = UploadDatasetRequest(chunk=UploadChunk(offset=1, data=bytes(1 << 20))).SerializeToString()

    chunk = read_chunk(message)

    assert chunk is not None
    assert chunk.data.obj is message


@pytest.mark.parametrize(
    "request_",
    [
        UploadDatasetRequest(),
        UploadDatasetRequest(begin=UploadBegin(upload="u", name="n", size_bytes=1)),
        UploadDatasetRequest(end=UploadEnd(digest="d")),
        UploadDatasetRequest(chunk=UploadChunk(offset=7)),
        UploadDatasetRequest(chunk=UploadChunk(offset=-1, data=b"data")),
    ],
)
def test_all_else_is_left_to_protobuf(request_: UploadDatasetRequest) -> None:
    assert read_chunk(request_.SerializeToString()) is None


@given(_MESSAGES, st.data())
def test_no_damage_makes_it_read_what_protobuf_does_not(message: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, min(len(message) - 1, 20)))
    other = data.draw(st.binary(max_size=3))
    damaged = message[:place] + other + message[data.draw(st.integers(place, len(message))) :]

    chunk = read_chunk(damaged)

    if chunk is not None:
        try:
            expected = UploadDatasetRequest.FromString(damaged).chunk
        except DecodeError:
            pytest.fail(f"{damaged!r} is no message")
        assert chunk == (expected.offset, expected.data)
