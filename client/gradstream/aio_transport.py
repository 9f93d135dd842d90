"""Calls that are awaited, for asyncio."""

import asyncio
from typing import Generic

import grpc

from gradstream.channel import channel_options
from gradstream.methods import Method, Request, Response
from gradstream.status import error_of_call


class AsyncTransport:
    """The transport of the asyncio client. It belongs to the event loop that first uses it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opened: grpc.aio.Channel | None = None

    @property
    def _channel(self) -> grpc.aio.Channel:
        # A channel binds to the running loop, so it is made when the first call is, not before.
        if self._opened is None:
            self._opened = grpc.aio.insecure_channel(self._address, channel_options(self._address))
        return self._opened

    async def call(self, method: Method[Request, Response], request: Request, timeout_s: float) -> Response:
        """The answer. Raises GradstreamError when the call fails."""
        stub: grpc.aio.UnaryUnaryMultiCallable[Request, Response] = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        try:
            return await stub(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error

    def open(self, method: Method[Request, Response], request: Request) -> "AsyncStream[Request, Response]":
        """Begin a call that answers with many messages."""
        stub: grpc.aio.UnaryStreamMultiCallable[Request, Response] = self._channel.unary_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return AsyncStream(stub(request))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

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
        return None if message is grpc.aio.EOF else message  # type: ignore[return-value]

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        self._call.cancel()
