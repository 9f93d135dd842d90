"""The server's end of the pipe to a worker."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

_SIZE_BYTES = 4
_LARGE_SIZE_BYTES = 8
_LARGE = -1
"""In place of a size that needs more bytes; they follow."""
_MAX_SMALL = 2**31 - 1
_JOINED_BYTES = 16 << 10
"""A message up to here is copied, so that its size does not wake the worker before it is there."""


class WorkerPipe:
    """Messages to a worker and from it, in the frames of the `Connection` at the other end.

    It never waits for the worker, which may be suspended in the middle of a message: what has come of one is
    kept until the rest is there, and what the worker does not take yet is sent when it does. May be made in
    any thread; lives on one event loop.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._listening = False
        self._unsent: deque[memoryview] = deque()
        self._expect(_SIZE_BYTES)

    @classmethod
    def pair(cls) -> tuple[Self, Connection]:
        """A new pipe: the server's end, and the worker's."""
        ours, theirs = socket.socketpair()
        return cls(ours), Connection(theirs.detach())

    def listen(self, ready: Callable[[], None]) -> None:
        """Call `ready` whenever there is something to read; nothing happens when it does so already."""
        if not self._listening and self._end.fileno() >= 0:
            self._listening = True
            asyncio.get_running_loop().add_reader(self._end, ready)

    def pause(self) -> None:
        """Listen no more, for now: a worker that says much has to wait."""
        if self._listening:
            self._listening = False
            asyncio.get_running_loop().remove_reader(self._end)

    def receive(self) -> Any:
        """The next message, or None while it is not there as a whole.

        Of a large one it reads as much as the pipe holds, so that others are not held up.

        Raises:
            EOFError, OSError: the worker has ended.
        """
        while self._fill():
            part = self._part
            if self._is_content:
                self._expect(_SIZE_BYTES)
                return ForkingPickler.loads(part)
            size = int.from_bytes(part, "big", signed=True)
            if size == _LARGE:
                self._expect(_LARGE_SIZE_BYTES)
            else:
                self._expect(size, is_content=True)
        return None

    def send(self, message: object) -> None:
        """Send a message, as fast as the worker takes it. That it has ended is noticed in `receive`."""
        content = ForkingPickler.dumps(message)
        size = len(content)
        header = struct.pack("!i", size) if size <= _MAX_SMALL else struct.pack("!iQ", _LARGE, size)
        waiting = bool(self._unsent)
        if size <= _JOINED_BYTES:
            self._unsent.append(memoryview(header + content))
        else:
            self._unsent += memoryview(header), content
        if not waiting:
            self._send_some()
            if self._unsent:
                asyncio.get_running_loop().add_writer(self._end, self._send_more)

    def close(self) -> None:
        """Close it, which is what ends a worker."""
        self.pause()
        if self._unsent:
            self._unsent.clear()
            asyncio.get_running_loop().remove_writer(self._end)
        self._end.close()

    def _expect(self, size: int, is_content: bool = False) -> None:
        self._part = bytearray(size)
        self._filled = 0
        self._is_content = is_content

    def _fill(self) -> bool:
        """Read what is there of the part that is expected; says whether it is whole."""
        try:
            read = self._end.recv_into(memoryview(self._part)[self._filled :])
        except BlockingIOError:
            return False
        if not read:
            raise EOFError
        self._filled += read
        return self._filled == len(self._part)

    def _send_more(self) -> None:
        self._send_some()
        if not self._unsent:
            asyncio.get_running_loop().remove_writer(self._end)

    def _send_some(self) -> None:
        try:
            sent = self._end.send(self._unsent[0])
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
            return
        if rest := self._unsent.popleft()[sent:]:
            self._unsent.appendleft(rest)
