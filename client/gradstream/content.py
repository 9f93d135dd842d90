"""A file that is uploaded: its bytes and, as they pass, its digest."""

import hashlib
import os
from typing import BinaryIO

from gradstream.errors import InvalidArgumentError

HEAD_BYTES = CHUNK_BYTES = 1 << 20
"""By its first bytes a file is looked for before it is sent; and the most that a chunk may have."""


class Content:
    """A file, read a chunk at a time. Whatever is read in its order is hashed, once."""

    def __init__(self, file: BinaryIO, size_bytes: int, name: str, *, is_own: bool = False) -> None:
        """
        Args:
            file: what is uploaded is there from where it stands. It can be sought in.
            name: for messages.
            is_own: whether nobody else can change it.
        """
        self.size_bytes = size_bytes
        self._file = file
        self._name = name
        self._start = self._place = file.tell()
        self._sha = hashlib.sha256()
        self._hashed = 0
        # By what is freed the C library learns what to keep. Else it gives the memory of a chunk back to the
        # system, and has it anew for the next, page by page, which takes as long as to copy the chunk twice.
        bytearray(16 * CHUNK_BYTES)
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._is_own = is_own
        self._state = self._file_state()

    def read(self, offset: int) -> memoryview:
        """The chunk that begins there; it is good until the next is read. Raises InvalidArgumentError."""
        wanted = min(CHUNK_BYTES, self.size_bytes - offset)
        if self._place != self._start + offset:
            self._place = self._file.seek(self._start + offset)
        filled = 0
        while filled < wanted:
            count = self._file.readinto(self._buffer[filled:wanted])  # type: ignore[attr-defined]  # it has that
            if not count:
                raise self._changed()
            filled += count
        self._place += wanted
        chunk = self._buffer[:wanted]
        if offset <= self._hashed < offset + wanted:
            self._sha.update(chunk[self._hashed - offset :])
            self._hashed = offset + wanted
        return chunk

    def head_digest(self) -> str:
        """SHA-256 of the first MiB, or of all when there is less. To be asked for first."""
        return self.digest_of_beginning(min(HEAD_BYTES, self.size_bytes)) or ""

    def digest_of_beginning(self, size_bytes: int) -> str | None:
        """SHA-256 of the first bytes; None when more than these have been hashed already."""
        if size_bytes < self._hashed:
            return None
        while self._hashed + CHUNK_BYTES <= size_bytes:
            self.read(self._hashed)
        if not (rest := size_bytes - self._hashed):
            return self._sha.hexdigest()
        sha = self._sha.copy()
        sha.update(self.read(self._hashed)[:rest])
        return sha.hexdigest()

    def digest(self) -> str:
        """SHA-256 of all of it. Raises InvalidArgumentError for a file that has changed meanwhile."""
        while self._hashed < self.size_bytes:
            self.read(self._hashed)
        if self._file_state() != self._state:
            raise self._changed()
        return self._sha.hexdigest()

    def _file_state(self) -> tuple[int, int] | None:
        if self._is_own:  # asking would move it from memory to the disk
            return None
        try:
            state = os.fstat(self._file.fileno())
        except OSError:  # it is in memory
            return None
        return state.st_size, state.st_mtime_ns

    def _changed(self) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"{self._name} has changed while it was uploaded; upload it again",
            code="INVALID_ARGUMENT",
            reason="FILE_CHANGED",
        )
