"""Sends a file over connections that may break, and only what the server does not have of it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import uuid4

from gradstream.content import Content
from gradstream.errors import GradstreamError, UnavailableError
from gradstream.methods import FIND_CONTENT, GET_DATASET, UPLOAD_DATASET
from gradstream.session import Session
from gradstream.v1 import dataset_pb2
from gradstream.v1.dataset_service_pb2 import (
    FindContentRequest,
    GetDatasetRequest,
    UploadBegin,
    UploadDatasetRequest,
    UploadEnd,
)
from gradstream.v1.dataset_service_pb2 import Upload as Unfinished

ProgressCallback = Callable[[int, int], None]
"""Called with how many bytes of the file have been sent, and how many it has."""

_MOST_INTERRUPTIONS = 3


@dataclass
class Upload:
    """A file on its way to a server."""

    session: Session
    name: str
    content: Content
    on_progress: ProgressCallback | None = None
    _id: str = field(default_factory=lambda: str(uuid4()), init=False)
    _may_adopt: bool = field(default=True, init=False)
    """Whether to look for an upload that was left behind, to go on with it."""
    _is_adopted: bool = field(default=False, init=False)
    _interruptions: int = field(default=0, init=False)
    _committed: int = field(default=0, init=False)
    """Bytes that the server had when it was last asked."""
    _sent: int = field(default=0, init=False)
    """Bytes of the file that were sent at least once."""

    async def run(self) -> dataset_pb2.Dataset:
        """The data set, once the server has it. Raises what a call raises, and for a file that changes."""
        transport, timeout_s = self.session.transport, self.session.timeout_s
        head_digest = await transport.run(self.content.head_digest)
        looked_for = FindContentRequest(size_bytes=self.content.size_bytes, head_digest=head_digest)
        backoff = self.session.backoff()
        while True:
            sent_before = self._sent
            try:
                found = await transport.call(FIND_CONTENT, looked_for, timeout_s)
                self.session.reached()
                if found.digests and (digest := await transport.run(self.content.digest)) in found.digests:
                    return await transport.call(GET_DATASET, GetDatasetRequest(dataset=digest), timeout_s)
                if await self._take_up(found.uploads):
                    backoff.progress(time.monotonic())
                return await self._send()
            except GradstreamError as error:
                if self._sent > sent_before:
                    # Patience is counted from when the connection was lost.
                    backoff.progress(time.monotonic())
                if self._is_adopted and any(each.field == "begin.upload" for each in error.violations):
                    self._start_anew()  # it was begun under another name
                elif error.reason == "UPLOAD_INTERRUPTED":
                    self._interruptions += 1
                    if self._interruptions == _MOST_INTERRUPTIONS:
                        self._start_anew()  # another client goes on with the same upload
                    interrupted = UnavailableError(error.message, code="UNAVAILABLE")
                    await self.session.wait(backoff, interrupted)
                else:
                    # To the server, the connection that broke may still look open.
                    again = self._sent > 0 and error.reason == "TOO_MANY_UPLOADS"
                    await self.session.wait(backoff, error, again=again)

    async def _take_up(self, unfinished: Iterable[Unfinished]) -> bool:
        """Find out where to go on; whether the server has more of this upload than when it was last asked."""
        known = {each.upload: each.committed_bytes for each in unfinished}
        if self._may_adopt:
            for each in sorted(unfinished, key=lambda each: each.committed_bytes):
                beginning = await self.session.transport.run(
                    self.content.digest_of_beginning, each.committed_bytes
                )
                if beginning == each.committed_digest:
                    self._id, self._is_adopted = each.upload, True
        self._may_adopt = False
        before, self._committed = self._committed, known.get(self._id, 0)
        return self._committed > before

    def _start_anew(self) -> None:
        self._id, self._is_adopted, self._committed = str(uuid4()), False, 0

    async def _send(self) -> dataset_pb2.Dataset:
        """Send what the server does not have."""
        transport, size, place = self.session.transport, self.content.size_bytes, self._committed
        begin = UploadBegin(upload=self._id, name=self.name, size_bytes=size)
        sending = transport.send(UPLOAD_DATASET)
        try:
            await sending.write(UploadDatasetRequest(begin=begin).SerializeToString())
            self._tell(place)
            while place < size:
                chunk = await transport.run(self.content.read, place)
                await sending.write(chunk_message(place, chunk))
                place += len(chunk)
                self._sent = max(self._sent, place)
                self._tell(place)
            end = UploadEnd(digest=await transport.run(self.content.digest))
            await sending.write(UploadDatasetRequest(end=end).SerializeToString())
            return await sending.finish()
        finally:
            sending.cancel()

    def _tell(self, place: int) -> None:
        if self.on_progress is not None:
            self.on_progress(place, self.content.size_bytes)


def chunk_message(offset: int, data: memoryview) -> bytes:
    """The bytes of `UploadDatasetRequest(chunk=UploadChunk(offset=offset, data=data))`.

    They are put together here because protobuf copies the data several times, which takes longer than to send
    them. As https://protobuf.dev/programming-guides/encoding has it: a field is its number << 3 | its kind.
    """
    fields = b"".join((b"\x08", _varint(offset), b"\x12", _varint(len(data))))
    return b"".join((b"\x12", _varint(len(fields) + len(data)), fields, data))


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their highest bit set."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
