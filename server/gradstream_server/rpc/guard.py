"""Stands between gRPC and our methods: lets callers in, reads requests, and makes statuses of errors.

Nothing of an unforeseen error reaches a caller but an id under which the log tells the rest.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from gradstream_server.jobs.errors import InvalidRequest, RequestError, Violation
from gradstream_server.rpc.access import Access, Call
from gradstream_server.rpc.chunks import read_chunk
from gradstream_server.rpc.status import internal_status, request_status

_logger = logging.getLogger(__name__)

_NOTICED_S = 5.0
"""When gRPC has noticed at the latest that a caller is gone; it is a matter of moments."""

# The classes are generic in their stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def guarded(handler: "Handler", method: str, access: Access) -> "Handler":
    """A method of ours, guarded.

    Args:
        method: its full name, /SERVICE/METHOD.
        access: lets callers in.
    """
    # Requests are read and events are sent as bytes: a request that is none is ours to refuse, and events
    # leave as they are kept.
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(_guarded_stream(handler, method, access))
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(
            _guarded_upload(handler, method, access), response_serializer=handler.response_serializer
        )
    return grpc.unary_unary_rpc_method_handler(
        _guarded_call(handler, method, access), response_serializer=handler.response_serializer
    )


def _guarded_call(handler: "Handler", method: str, access: Access) -> Callable[..., Awaitable[Any]]:
    inner = cast(Callable[..., Awaitable[Any]], handler.unary_unary)

    async def call(raw: bytes, context: "Context") -> Any:
        try:
            with access.enter(method, context):
                return await inner(_request(handler, raw), context)
        except Exception as error:  # noqa: BLE001 - this is where every error of a method ends
            await context.abort_with_status(rpc_status.to_status(_status(error, method)))

    return call


def _guarded_upload(handler: "Handler", method: str, access: Access) -> Callable[..., Awaitable[Any]]:
    inner = cast(Callable[..., Awaitable[Any]], handler.stream_unary)

    async def upload(raw: AsyncIterator[bytes], context: "Context") -> Any:
        async def requests(call: Call) -> AsyncIterator[Any]:
            async for each in raw:
                call.check()
                yield read_chunk(each) or _request(handler, each)

        try:
            with access.enter(method, context) as call:
                return await inner(requests(call), context)
        except Exception as error:  # noqa: BLE001 - this is where every error of a method ends
            await context.abort_with_status(rpc_status.to_status(_status(error, method)))

    return upload


def _guarded_stream(handler: "Handler", method: str, access: Access) -> Callable[..., Awaitable[None]]:
    inner = cast(Callable[..., AsyncGenerator[Any, None]], handler.unary_stream)

    async def stream(raw: bytes, context: "Context") -> None:
        try:
            # Written here: what gRPC raises when it writes what a generator has yielded, nobody could catch.
            with access.enter(method, context) as call:
                async with aclosing(inner(_request(handler, raw), context)) as responses:
                    async for response in responses:
                        call.check()
                        await context.write(response)
        except grpc.aio.InternalError:
            # The caller has left meanwhile. gRPC is about to notice, and cancels this then; were it to end
            # before, gRPC would take that for a fault of the server and say so in the log.
            await asyncio.sleep(_NOTICED_S)
        except grpc.aio.BaseError:
            # The server has stopped; gRPC knows.
            raise
        except Exception as error:  # noqa: BLE001 - this is where every error of a method ends
            await context.abort_with_status(rpc_status.to_status(_status(error, method)))

    return stream


def _request(handler: "Handler", raw: bytes) -> Any:
    try:
        return handler.request_deserializer(raw) if handler.request_deserializer else raw
    except DecodeError as error:
        what = "is no message of this method's type in the encoding of Protocol Buffers"
        raise InvalidRequest([Violation("request", what)]) from error


def _status(error: Exception, method: str) -> status_pb2.Status:
    if isinstance(error, RequestError):
        return request_status(error)
    incident = secrets.token_hex(8)
    _logger.error("a fault of the server", extra={"incident": incident, "method": method}, exc_info=error)
    return internal_status(incident)
