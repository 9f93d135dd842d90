"""Calls that are awaited, for asyncio."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, ParamSpec, TypeVar

import grpc

from gradstream.channel import channel_options
from gradstream.endpoint import Endpoint
from gradstream.errors import ServerUnreachableError
from gradstream.methods import Method, Request, Response
from gradstream.status import error_of_call

P = ParamSpec("P")
T = TypeVar("T")


class AsyncTransport:
    """The transport of the asyncio client. It belongs to the event loop that first uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises InvalidArgumentError for files of TLS that cannot be used."""
        self._endpoint = endpoint
        self._metadata = endpoint.metadata
        self._credentials = endpoint.tls.credentials() if endpoint.tls else None
        self._opened: grpc.aio.Channel | None = None

    @property
    def _channel(self) -> grpc.aio.Channel:
        # A channel binds to the running loop, so it is made when the first call is, not before.
        if self._opened is None:
            address, options = self._endpoint.address, channel_options(self._endpoint.address)
            if self._credentials:
                self._opened = grpc.aio.secure_channel(address, self._credentials, options)
            else:
                self._opened = grpc.aio.insecure_channel(address, options)
        return self._opened

    async def call(self, method: Method[Request, Response], request: Request, timeout_s: float) -> Response:
        """The answer. Raises GradstreamError when the call fails."""
        stub: grpc.aio.UnaryUnaryMultiCallable[Request, Response] = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        try:
            return await stub(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error

    def open(self, method: Method[Request, Response], request: Request) -> "AsyncStream[Request, Response]":
        """Begin a call that answers with many messages."""
        stub: grpc.aio.UnaryStreamMultiCallable[Request, Response] = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return AsyncStream(stub(request, metadata=self._metadata))

    def send(self, method: Method[Request, Response]) -> "AsyncSending[Response]":
        """Begin a call that takes many messages."""
        stub: grpc.aio.StreamUnaryMultiCallable[bytes, Response] = self._channel.stream_unary(
            method.path, None, method.response.FromString
        )
        return AsyncSending(stub(metadata=self._metadata))

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what takes long in a thread."""
        return await asyncio.to_thread(work, *args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def tls_fault(self) -> ServerUnreachableError | None:
        """Why no connection can be made, where TLS is the reason."""
        from gradstream.tls_fault import tls_fault  # seldom needed, and so is ssl

        return await asyncio.to_thread(tls_fault, self._endpoint)

    async def close(self) -> None:
        """End all calls and the connection."""
        if self._opened is not None:
            await self._opened.close()


class AsyncStream(Generic[Request, Response]):
    """The messages of an open call, awaited."""

    def __init__(self, call: "grpc.aio.UnaryStreamCall[Request, Response]") -> None:
        self._call = call

    async def read(self) -> Response | None:
        """The next message; None at the end. Raises GradstreamError when the call fails."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error
        # The stub of EOF is a class of its own, which nothing but this one value has.
        return None if message is grpc.aio.EOF else message  # type: ignore[return-value]  # EOF has no type

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        self._call.cancel()


class AsyncSending(Generic[T]):
    """An open call that takes many messages: one is sent while the caller makes the next."""

    def __init__(self, call: "grpc.aio.StreamUnaryCall[bytes, T]") -> None:
        self._call = call
        self._writing: asyncio.Future[None] | None = None

    async def write(self, message: bytes) -> None:
        """Send a message, once the one before is on its way.

        Raises GradstreamError when the call has failed.
        """
        await self._written()
        self._writing = asyncio.ensure_future(self._call.write(message))
        # One that fails after the call was given up is nobody's concern.
        self._writing.add_done_callback(lambda writing: writing.cancelled() or writing.exception())

    async def finish(self) -> T:
        """The answer, after the last message. Raises GradstreamError when the call fails."""
        await self._written()
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()
        return await self._result()

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        self._call.cancel()
        if self._writing is not None:
            self._writing.cancel()

    async def _written(self) -> None:
        if self._writing is None:
            return
        try:
            await self._writing
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the call has ended, and tells why
            await self._result()

    async def _result(self) -> T:
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error
