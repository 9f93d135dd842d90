"""A TCP proxy that cuts and stalls connections, for tests of what a broken network does."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 4096


@dataclass
class CuttingProxy:
    """Passes bytes on; cuts a connection once it has passed so many of the server's or the client's, or
    all of them when told to; passes nothing on while it is stalled."""

    address: str
    cuts: int = 0
    """Connections cut so far."""
    sent: int = 0
    """Bytes of clients passed on so far."""
    _limits: Iterator[int | None] = field(default_factory=lambda: iter(()))
    _client_limits: Iterator[int | None] = field(default_factory=lambda: iter(()))
    _pairs: set[tuple[socket.socket, socket.socket]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _flowing: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket, upstream: str) -> None:
        """Accept connections until the listener is closed. One that finds nobody upstream is closed again."""
        host, _, port = upstream.rpartition(":")
        self._flowing.set()
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((host, int(port)))
            except OSError:
                near.close()
                continue
            limits = next(self._limits, None), next(self._client_limits, None)
            threading.Thread(target=self._join, args=(near, far, *limits), daemon=True).start()

    def cut(self) -> int:
        """Cut all connections there are; how many there were."""
        with self._lock:
            self.cuts += len(self._pairs)
            for pair in self._pairs:
                _shut(*pair)
            return len(self._pairs)

    def stall(self) -> None:
        """Keep connections open, and accept more, but let nothing through until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let through what was held up, and all that follows."""
        self._flowing.set()

    def close(self) -> None:
        """End all connections."""
        self.flow()
        with self._lock:
            for pair in self._pairs:
                _shut(*pair)

    def _join(
        self, near: socket.socket, far: socket.socket, limit: int | None, client_limit: int | None
    ) -> None:
        """Pass bytes between two sockets, both ways, until one of them ends."""
        with near, far:
            with self._lock:
                self._pairs.add((near, far))
            other = threading.Thread(target=self._pass, args=(near, far, client_limit, True), daemon=True)
            other.start()
            self._pass(far, near, limit)
            other.join()
            with self._lock:
                self._pairs.discard((near, far))

    def _pass(
        self, source: socket.socket, sink: socket.socket, limit: int | None, is_client: bool = False
    ) -> None:
        left = limit
        with suppress(OSError):
            while left is None or left > 0:
                data = source.recv(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
                self._flowing.wait()
                if not data:
                    break
                sink.sendall(data)
                if is_client:
                    with self._lock:
                        self.sent += len(data)
                if left is not None:
                    left -= len(data)
        if left == 0:
            with self._lock:
                self.cuts += 1
        _shut(source, sink)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(
    upstream: str, limits: list[int] | None = None, client_limits: list[int] | None = None
) -> Iterator[CuttingProxy]:
    """A proxy whose n-th connection is cut after `limits[n]` bytes from the server or `client_limits[n]` from
    the client; later ones are not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy(
            "{}:{}".format(*listener.getsockname()),
            _limits=iter(limits or ()),
            _client_limits=iter(client_limits or ()),
        )
        thread = threading.Thread(target=proxy.serve, args=(listener, upstream))
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
            proxy.close()


def random_limits(seed: int, count: int, largest: int) -> list[int]:
    """Byte counts to cut at: many early, some late."""
    chance = random.Random(seed)
    return [round(largest ** chance.uniform(0.4, 1.0)) for _ in range(count)]
