"""How calls are made: what the shared logic asks of a transport, and the blocking one.

The logic that both clients share is written once, as coroutines over a `Transport`. The asyncio client
awaits them. The blocking transport never suspends, so for the synchronous client `finish` runs them to
their end in one step, without an event loop.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import grpc
import grpc.experimental

from gradstream.channel import channel_options
from gradstream.endpoint import Endpoint
from gradstream.errors import ServerUnreachableError
from gradstream.methods import Method, Request, Response
from gradstream.status import error_of_call

P = ParamSpec("P")
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


class Sending(Protocol[Received]):
    """An open call that takes many messages, each as its bytes."""

    async def write(self, message: bytes) -> None:
        """Send a message, once the one before is on its way.

        Raises GradstreamError when the call has failed.
        """
        ...

    async def finish(self) -> Received:
        """The answer, after the last message. Raises GradstreamError when the call fails."""
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

    def send(self, method: Method[Request, Response]) -> Sending[Response]:
        """Begin a call that takes many messages."""
        ...

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what takes long and is no call, such as reading a file, and let others go on meanwhile."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def tls_fault(self) -> ServerUnreachableError | None:
        """Why no connection can be made, where TLS is the reason."""
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

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises InvalidArgumentError for files of TLS that cannot be used."""
        self._endpoint = endpoint
        self._metadata = endpoint.metadata
        # The thread that waits for a message reads it: gRPC's own thread for it would cost a third of a
        # millisecond a stream.
        single_threaded = (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)
        options = [*channel_options(endpoint.address), single_threaded]
        if endpoint.tls:
            self._channel = grpc.secure_channel(endpoint.address, endpoint.tls.credentials(), options)
        else:
            self._channel = grpc.insecure_channel(endpoint.address, options)

    async def call(self, method: Method[Request, Response], request: Request, timeout_s: float) -> Response:
        stub: grpc.UnaryUnaryMultiCallable[Request, Response] = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        try:
            return stub(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of_call(error) from error

    def open(self, method: Method[Request, Response], request: Request) -> "BlockingStream[Response]":
        stub: grpc.UnaryStreamMultiCallable[Request, Response] = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return BlockingStream(stub(request, metadata=self._metadata))

    def send(self, method: Method[Request, Response]) -> "BlockingSending[Response]":
        stub: grpc.StreamUnaryMultiCallable[bytes, Response] = self._channel.stream_unary(
            method.path, None, method.response.FromString
        )
        return BlockingSending(stub, self._metadata)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # this is the transport that blocks

    async def tls_fault(self) -> ServerUnreachableError | None:
        from gradstream.tls_fault import tls_fault  # seldom needed, and so is ssl

        return tls_fault(self._endpoint)

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


class BlockingSending(Generic[T]):
    """An open call that takes many messages: gRPC's own thread sends one while the caller makes the next."""

    def __init__(
        self,
        stub: "grpc.StreamUnaryMultiCallable[bytes, T]",
        metadata: tuple[tuple[str, str | bytes], ...] | None,
    ) -> None:
        self._waiting: deque[bytes] = deque()
        self._written = False
        self._ended = False
        self._changed = threading.Condition()
        self._call = stub.future(self._messages(), metadata=metadata)
        self._call.add_done_callback(lambda _: self._end())

    async def write(self, message: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._ended)
            self._waiting.append(message)
            self._changed.notify_all()
            ended = self._ended
        if ended:
            self._result()

    async def finish(self) -> T:
        with self._changed:
            self._written = True
            self._changed.notify_all()
        return self._result()

    def cancel(self) -> None:
        self._call.cancel()

    def _messages(self) -> Iterator[bytes]:
        """What gRPC sends, in its thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._written or self._ended)
                if self._ended or not self._waiting:
                    return
                message = self._waiting.popleft()
                self._changed.notify_all()
            yield message

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _result(self) -> T:
        try:
            return self._call.result()
        except grpc.RpcError as error:
            raise error_of_call(error) from error
        except grpc.FutureCancelledError as error:
            assert isinstance(self._call, grpc.RpcError)
            raise error_of_call(self._call) from error
