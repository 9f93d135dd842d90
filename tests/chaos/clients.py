"""The clients of a round, all through the proxy: some shared by many, as in one program, some for one use."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
from tests.chaos.scene import Scene

from gradstream import AsyncClient, Client, GradstreamError, UnavailableError

_PATIENCE_S = 120.0
_SHARED = 4
_PAUSE_S = 0.1
T = TypeVar("T")


class Clients:
    """Synchronous clients, asyncio clients, and plain channels."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._shared = [self._new() for _ in range(_SHARED)]
        self._shared_async = [self._new_async() for _ in range(_SHARED)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asyncio clients")
        self._thread.start()

    @contextmanager
    def one(self, chance: random.Random) -> Iterator[Client]:
        """A client: one of those shared, or one of the caller's own."""
        if chance.random() < 0.7:
            yield chance.choice(self._shared)
        else:
            with self._new() as client:
                yield client

    @contextmanager
    def one_async(self, chance: random.Random) -> Iterator[AsyncClient]:
        """A client to be used in `run`: one of those shared, or one of the caller's own."""
        if chance.random() < 0.7:
            yield chance.choice(self._shared_async)
        else:
            client = self._new_async()
            yield client
            self.run(client.close())

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A channel for plain stubs."""
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        with grpc.insecure_channel(self._scene.proxy.address, options) as channel:
            yield channel

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the event loop of the asyncio clients, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def patiently(self, call: Callable[[], T]) -> T:
        """Call again as long as the server is stopping, or has never been there for this client."""
        while True:
            try:
                return call()
            except UnavailableError:
                if self._scene.closing.is_set():
                    raise
                self._scene.count("clients: refused by a server that was stopping or not there")
                self._scene.closing.wait(_PAUSE_S)

    def close(self) -> None:
        """Close all of them."""
        for client in self._shared:
            client.close()
        for other in self._shared_async:
            self.run(other.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _new(self) -> Client:
        address, retry = self._scene.proxy.address, self._count_retry
        return Client(address, timeout_s=_PATIENCE_S, patience_s=_PATIENCE_S, on_retry=retry)

    def _new_async(self) -> AsyncClient:
        address, retry = self._scene.proxy.address, self._count_retry
        return AsyncClient(address, timeout_s=_PATIENCE_S, patience_s=_PATIENCE_S, on_retry=retry)

    def _count_retry(self, _: GradstreamError, __: float) -> None:
        self._scene.count("clients: calls tried again and streams attached again")
