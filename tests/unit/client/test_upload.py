"""What is sent of a file, whatever happens to connections and whatever the server has."""

import io
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from gradstream import (
    CallCancelledError,
    FailedPreconditionError,
    GradstreamError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
    Violation,
)
from gradstream.content import Content
from gradstream.session import Session
from gradstream.transport import finish
from gradstream.upload import Upload, chunk_message
from gradstream.v1 import dataset_pb2
from gradstream.v1 import dataset_service_pb2 as pb

MIB = 1 << 20
DATA = os.urandom(4 * MIB + 17)
DIGEST = sha256(DATA).hexdigest()
NAME = "data.csv"
BROKEN = UnavailableError("Socket closed", code="UNAVAILABLE")
INTERRUPTED = FailedPreconditionError("chunks do not follow", code="ABORTED", reason="UPLOAD_INTERRUPTED")


class Server:
    """Takes uploads as the contract says; the n-th call to upload is refused after so many messages."""

    def __init__(self, *refusals: tuple[int, GradstreamError]) -> None:
        self.refusals = list(refusals)
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.datasets: dict[str, bytes] = {}
        self.sent = 0
        self.waits: list[float] = []
        self.before_find: Callable[[], None] = lambda: None

    async def call(self, method: Any, request: Any, _timeout_s: float) -> Any:
        if method.response is dataset_pb2.Dataset:
            return dataset_pb2.Dataset(digest=request.dataset)
        self.before_find()
        unfinished = [
            pb.Upload(upload=key, committed_bytes=len(data), committed_digest=sha256(data).hexdigest())
            for key, (_, data) in self.uploads.items()
            if sha256(data[:MIB]).hexdigest() == request.head_digest
        ]
        return pb.FindContentResponse(digests=list(self.datasets), uploads=unfinished)

    def send(self, _method: object) -> "Receiving":
        return Receiving(self, *(self.refusals.pop(0) if self.refusals else (10**9, BROKEN)))

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def tls_fault(self) -> None:
        return None


class Receiving:
    def __init__(self, server: Server, messages: int, refusal: GradstreamError) -> None:
        self.server, self.left, self.refusal, self.id = server, messages, refusal, ""

    async def write(self, message: bytes) -> None:
        if self.left == 0:
            raise self.refusal
        self.left -= 1
        request = pb.UploadDatasetRequest.FromString(message)
        uploads = self.server.uploads
        if request.HasField("begin"):
            self.id = request.begin.upload
            name, _ = uploads.setdefault(self.id, (request.begin.name, b""))
            if name != request.begin.name:
                raise InvalidArgumentError("it has another name", violations=[Violation("begin.upload", "")])
        elif request.HasField("chunk"):
            name, data = uploads[self.id]
            assert request.chunk.offset == len(data)
            assert 0 < len(request.chunk.data) <= MIB
            uploads[self.id] = name, data + request.chunk.data
            self.server.sent += len(request.chunk.data)
        else:
            data = uploads.pop(self.id)[1]
            assert request.end.digest == sha256(data).hexdigest()
            self.server.datasets[request.end.digest] = data

    async def finish(self) -> dataset_pb2.Dataset:
        if self.left == 0:
            raise self.refusal
        return dataset_pb2.Dataset(digest=DIGEST)

    def cancel(self) -> None:
        pass


def upload_to(server: Any, on_progress: Any = None, name: str = NAME) -> str:
    content = Content(io.BytesIO(DATA), len(DATA), name)
    session = Session(server, "here:1", 60.0, 60.0)
    return finish(Upload(session, name, content, on_progress).run()).digest


def test_a_new_file_is_sent_once() -> None:
    server, told = Server(), []
    assert upload_to(server, lambda *sizes: told.append(sizes)) == DIGEST
    assert server.datasets == {DIGEST: DATA}
    assert server.sent == len(DATA)
    assert told == [(min(n * MIB, len(DATA)), len(DATA)) for n in range(6)]


def test_of_a_file_that_is_there_nothing_is_sent() -> None:
    server, told = Server(), []
    server.datasets["another"] = b""
    server.datasets[DIGEST] = DATA
    assert upload_to(server, lambda *sizes: told.append(sizes)) == DIGEST
    assert not server.sent
    assert not told


def test_a_file_that_only_begins_alike_is_sent() -> None:
    server = Server()
    server.datasets["another"] = b""
    upload_to(server)
    assert server.datasets[DIGEST] == DATA


@pytest.mark.parametrize("committed", [MIB, 2 * MIB, 2 * MIB + 5, len(DATA)])
def test_an_upload_that_was_left_is_gone_on_with(committed: int) -> None:
    server = Server()
    server.uploads = {
        "short": (NAME, DATA[: MIB + 1]),
        "left": (NAME, DATA[:committed]),
        "other": (NAME, DATA[:MIB] + bytes(3 * MIB)),
    }
    upload_to(server)
    assert server.sent == len(DATA) - max(committed, MIB + 1 if committed == MIB else 0)
    assert server.datasets == {DIGEST: DATA}


def test_one_that_was_left_under_another_name_is_not() -> None:
    server = Server()
    server.uploads = {"left": ("other.csv", DATA[: 2 * MIB])}
    upload_to(server)
    assert server.sent == len(DATA)
    assert server.datasets == {DIGEST: DATA}


@pytest.mark.parametrize("messages", range(8))
@pytest.mark.parametrize("refusal", [BROKEN, INTERRUPTED], ids=["broken", "interrupted"])
def test_a_connection_that_breaks_costs_nothing(messages: int, refusal: GradstreamError) -> None:
    server = Server((messages, refusal), (1, refusal))
    upload_to(server)
    assert server.sent == len(DATA)
    assert server.datasets == {DIGEST: DATA}


def test_an_answer_that_is_lost_is_asked_for() -> None:
    server = Server((7, BROKEN))
    assert upload_to(server) == DIGEST
    assert not server.uploads


def test_an_upload_that_the_server_has_lost_begins_again() -> None:
    server = Server((3, BROKEN))
    server.before_find = lambda: server.uploads.clear()
    upload_to(server)
    assert server.datasets == {DIGEST: DATA}


def test_two_that_go_on_with_the_same_upload_part() -> None:
    server = Server((2, INTERRUPTED), (2, INTERRUPTED), (2, INTERRUPTED))
    server.uploads = {"left": (NAME, DATA[:MIB])}
    upload_to(server)
    assert server.datasets == {DIGEST: DATA}
    assert "left" in server.uploads


def test_patience_ends() -> None:
    server = Server(*[(0, BROKEN)] * 10)
    content = Content(io.BytesIO(DATA), len(DATA), NAME)
    with pytest.raises(UnavailableError, match="Socket closed"):
        finish(Upload(Session(server, "here:1", 60.0, 0.0), NAME, content).run())


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidArgumentError("row 2 has 3 values", code="INVALID_ARGUMENT", reason="UNREADABLE_DATA"),
        ResourceExhaustedError("full", code="RESOURCE_EXHAUSTED", reason="STORAGE_FULL", retry_after=30),
        CallCancelledError("given up", code="CANCELLED", reason="CANCELLED"),
    ],
)
def test_a_refusal_is_raised(refusal: GradstreamError) -> None:
    with pytest.raises(type(refusal)) as raised:
        upload_to(Server((6, refusal)))
    assert raised.value is refusal


def test_too_many_uploads_are_waited_for_once_begun() -> None:
    busy = ResourceExhaustedError("busy", code="RESOURCE_EXHAUSTED", reason="TOO_MANY_UPLOADS", retry_after=5)
    with pytest.raises(ResourceExhaustedError):
        upload_to(Server((0, busy)))
    server = Server((3, BROKEN), (0, busy))
    upload_to(server)
    assert server.waits[-1] >= 5


@pytest.mark.parametrize("offset", [0, 1, 127, 128, 16_383, 16_384, MIB, 2**31, 2**40 + 3])
@pytest.mark.parametrize("size", [1, 127, 128, 16_384, MIB])
def test_chunks_are_what_protobuf_would_make_of_them(offset: int, size: int) -> None:
    data = DATA[:size]
    message = chunk_message(offset, memoryview(data))
    expected = pb.UploadDatasetRequest(chunk=pb.UploadChunk(offset=offset, data=data))
    assert pb.UploadDatasetRequest.FromString(message) == expected
