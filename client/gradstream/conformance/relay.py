"""Stands between a client and the server, on this machine, to cut connections as networks do."""

import asyncio
from typing import Self

_CHUNK_BYTES = 64 << 10


class Relay:
    """Passes bytes on until its connections are cut. Lives on one event loop."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._open: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> int:
        """Accept connections on a port, 0 for any; which one it is."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def cut(self) -> None:
        """Reset all connections there are."""
        for writer in self._open:
            writer.transport.abort()

    async def close(self) -> None:
        """Accept no more, and end what there is."""
        if self._server:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._open.add(sink)
            task = asyncio.create_task(self._pass(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK_BYTES):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._open.discard(sink)
            sink.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
