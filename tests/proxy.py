"""A TCP proxy that cuts connections, for tests of what a broken network does."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 4096


@dataclass
class CuttingProxy:
    """Passes bytes on, and cuts a connection once it has passed so many of the server's."""

    address: str
    cuts: int = 0
    """Connections cut so far."""
    _limits: Iterator[int | None] = field(default_factory=lambda: iter(()))
    _sockets: set[socket.socket] = field(default_factory=set)

    def serve(self, listener: socket.socket, upstream: str) -> None:
        """Accept connections until the listener is closed."""
        host, _, port = upstream.rpartition(":")
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            self._sockets |= {near, far}
            limit = next(self._limits, None)
            threading.Thread(target=self._pass, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, limit), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        left = limit
        with suppress(OSError):
            while left is None or left > 0:
                data = source.recv(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
                if not data:
                    break
                sink.sendall(data)
                if left is not None:
                    left -= len(data)
        if left == 0:
            self.cuts += 1
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut all connections."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def cutting_proxy(upstream: str, limits: list[int]) -> Iterator[CuttingProxy]:
    """A proxy whose n-th connection is cut after `limits[n]` bytes from the server; later ones are not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy("{}:{}".format(*listener.getsockname()), _limits=iter(limits))
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
