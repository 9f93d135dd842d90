"""How calls are made: what the shared logic asks of a transport, and the blocking one.

The logic that both clients share is written once, as coroutines over a `Transport`. The asyncio client
awaits them. The blocking transport never suspends, so for the synchronous client `finish` runs them to
their end in one step, without an event loop.
"""

import time
from collections.abc import Coroutine, Iterator
from typing import Any, Generic, Protocol, TypeVar

import grpc
import grpc.experimental

from gradstream.channel import channel_options
from gradstream.methods import Method, Request, Response
from gradstream.status import error_of_call

T = TypeVar("T")
Received = TypeVar("Received", covariant=True)


class Stream(Protocol[Received]):
    """The messages of an open call."""

    async def read(self) -> Received | None:
        """The next message; None at the end. Raises GradstreamError when the call fails."""
        ...

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        ...


class Transport(Protocol):
    """Makes calls to one server."""

    async def call(self, method: Method[Request, Response], request: Request, timeout_s: float) -> Response:
        """The answer. Raises GradstreamError when the call fails."""
        ...

    def open(self, method: Method[Request, Response], request: Request) -> Stream[Response]:
        """Begin a call that answers with many messages."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


def finish(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("a coroutine over the blocking transport has suspended")


class BlockingTransport:
    """Calls that block the thread."""

    def __init__(self, address: str) -> None:
        # The thread that waits for a message reads it: gRPC's own thread for it would cost a third of a
        # millisecond a stream.
        single_threaded = (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)
        self._channel = grpc.insecure_channel(address, [*channel_options(address), single_threaded])

    async def call(self, method: Method[Request, Response], request: Request, timeout_s: float) -> Response:
        stub: grpc.UnaryUnaryMultiCallable[Request, Response] = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        try:
            return stub(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise error_of_call(error) from error

    def open(self, method: Method[Request, Response], request: Request) -> "BlockingStream[Response]":
        stub: grpc.UnaryStreamMultiCallable[Request, Response] = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return BlockingStream(stub(request))

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # this is the transport that blocks

    def close(self) -> None:
        """End all calls and the connection."""
        self._channel.close()


class BlockingCall(Protocol[Received]):
    """What gRPC gives for an open call."""

    def __next__(self) -> Received: ...
    def __iter__(self) -> Iterator[Received]: ...
    def cancel(self) -> bool: ...


class BlockingStream(Generic[T]):
    """The messages of an open call, waited for by blocking the thread."""

    def __init__(self, call: BlockingCall[T]) -> None:
        self._call = call

    async def read(self) -> T | None:
        try:
            return next(self._call, None)
        except grpc.RpcError as error:
            raise error_of_call(error) from error

    def cancel(self) -> None:
        self._call.cancel()
