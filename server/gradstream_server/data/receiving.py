"""One file on its way here: what is received is written and counted while the next is on the wire."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from gradstream_server.data.store import Received, Upload, UploadRecord, UploadStore
from gradstream_server.jobs.errors import InvalidRequest, NoRoom, UploadInterrupted, Violation
from gradstream_server.jobs.store import StorageFull

MAX_CHUNK_BYTES = 1 << 20


class Receiving:
    """The receiving end of an upload. Lives on one event loop."""

    def __init__(self, record: UploadRecord, uploads: UploadStore, left: Callable[[], None]) -> None:
        """
        Args:
            left: called when nothing more is received here.
        """
        self.record = record
        self._uploads = uploads
        self._left = left
        self._opening: asyncio.Future[Upload] | None = None
        self._upload: Upload | None = None
        self._next = 0
        """Where the next chunk has to begin."""
        self._writing: asyncio.Future[None] | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin where the upload stands."""
        loop = asyncio.get_running_loop()
        self._opening = loop.run_in_executor(None, self._uploads.open, self.record)
        try:
            self._upload = await asyncio.shield(self._opening)
        except BaseException:
            await self.leave()
            raise
        self._next = self._upload.size

    @property
    def path(self) -> Path:
        """Where the file lies."""
        assert self._upload, "it was opened"
        return self._upload.path

    async def add(self, offset: int, content: bytes | memoryview) -> None:
        """Take a chunk.

        Raises:
            InvalidRequest: it is empty, too large, or goes past the end of the file.
            UploadInterrupted: it does not begin where the one before has ended, or somebody else goes on.
            NoRoom: the disk is full.
        """
        if not 0 < len(content) <= MAX_CHUNK_BYTES:
            what = f"has {len(content)} bytes; it has to be from 1 to {MAX_CHUNK_BYTES}"
            raise InvalidRequest([Violation("chunk.data", what)])
        if self._leaving or offset != self._next:
            raise UploadInterrupted(self.record.id, self._next)
        if offset + len(content) > self.record.size_bytes:
            size = self.record.size_bytes
            what = f"goes to byte {offset + len(content)}; by its size_bytes the file has {size}"
            raise InvalidRequest([Violation("chunk.data", what)])
        self._next += len(content)
        await self._written()
        assert self._upload, "it was opened"
        # The next chunk arrives while this one is written.
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._upload.append, content)

    async def all(self) -> Received:
        """What has been received, all of it written."""
        if self._leaving:
            raise UploadInterrupted(self.record.id, self._next)
        await self._written()
        assert self._upload, "it was opened"
        return self._upload.received()

    async def leave(self) -> None:
        """Receive no more. The upload can be gone on with once this returns, and not before."""
        if not self._leaving:
            self._leaving = asyncio.create_task(self._leave())
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        # What is being written now still has to come to its place: whoever goes on counts what is there.
        for future in (self._opening, self._writing):
            if future:
                await asyncio.gather(future, return_exceptions=True)
        if self._opening and not self._opening.exception():
            self._opening.result().close()
        self._left()

    async def _written(self) -> None:
        if self._writing:
            try:
                await asyncio.shield(self._writing)
            except StorageFull as error:
                raise NoRoom from error
