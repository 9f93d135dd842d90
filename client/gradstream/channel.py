"""Where the server is, and how connections to it behave."""

import re

from gradstream.errors import GradstreamError, InvalidArgumentError, ServerUnreachableError, UnavailableError

DEFAULT_SERVER = "127.0.0.1:50051"
_DEFAULT_PORT = 50051

SERVER_LOST = "SERVER_LOST"
"""Reason of the error for a server that was there and does not come back."""

# What gRPC says when nothing accepts connections at the address, rather than a connection having broken.
# Should a later gRPC say it differently, an absent server is noticed only when patience ends.
_NOBODY_THERE = re.compile(
    r"Failed to connect to remote host|connect failed|errors resolving|[Rr]esolution failed|timed? ?out"
)

# What gRPC says when there is no connection yet, whatever the reason; where it may be TLS, that is found out.
_NOT_CONNECTED = re.compile(r"failed to connect to all addresses")

# What gRPC says when something accepts connections that does not speak HTTP/2, or is no gRPC server.
_WRONG_SERVER = re.compile(
    r"Failed parsing HTTP/2|http1\.x server|Received http2 header with status|invalid value for content-type"
)


def server_address(server: str) -> str:
    """The address to call, with its port.

    Raises InvalidArgumentError for what is neither HOST:PORT nor an address that gRPC knows.
    """
    address = server.strip()
    if re.match(r"(unix|dns|ipv4|ipv6|passthrough|unix-abstract):", address):
        return address
    match = re.fullmatch(r"(\[[^\[\]]+\]|[^:/\s\[\]]+)(?::(\d{1,5}))?", address)
    if match is None or int(match[2] or 1) not in range(1, 65536):
        raise InvalidArgumentError(
            f"{address!r} is not a server's address: give HOST:PORT, such as {DEFAULT_SERVER}",
            code="INVALID_ARGUMENT",
            reason="INVALID_ADDRESS",
        )
    return f"{match[1]}:{match[2] or _DEFAULT_PORT}"


def is_local(address: str) -> bool:
    """Whether it is one of this machine, to which nobody else is on the way."""
    return bool(re.match(r"(localhost|127\.[\d.]+|\[::1\]|unix|unix-abstract):", address))


def channel_options(address: str) -> list[tuple[str, int]]:
    """The settings of a connection."""
    options = [
        # Calls are tried again by our own rules. gRPC by itself would do so at once, and without end, with
        # those that a server which is just stopping does not take.
        ("grpc.enable_retries", 0),
        # A dead peer is noticed within 40 s while a call is open; the server allows pings 10 s apart.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        # The server bounds what it takes; what it sends is to be received whatever its size.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # We decide when to try again: gRPC is not to refuse a try because it is still waiting itself.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Each client has its own connection, and so its own fortune with it.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if is_local(address):
        # A proxy for the outside world has no business between two programs of one machine.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def is_nobody_there(error: GradstreamError) -> bool:
    """Whether nothing accepts connections at the address."""
    return (
        isinstance(error, UnavailableError) and not error.reason and bool(_NOBODY_THERE.search(error.message))
    )


def is_not_connected(error: GradstreamError) -> bool:
    """Whether no connection could be made, rather than one having broken."""
    refused = isinstance(error, UnavailableError) and not error.reason
    return refused and bool(_NOT_CONNECTED.search(error.message))


def unreachable(address: str, error: GradstreamError) -> ServerUnreachableError:
    """The error for a server that is not there; it says what to do."""
    return ServerUnreachableError(
        f"no gradstream server at {address}; start one with `gradstream serve` or name another with "
        "--server or GRADSTREAM_SERVER",
        code=error.code,
        reason="SERVER_UNREACHABLE",
    )


def lost(address: str, error: GradstreamError, patience_s: float) -> ServerUnreachableError:
    """The error for a server that was there, and has not come back for as long as the client waits."""
    return ServerUnreachableError(
        f"the server at {address} is not there any more: it was waited for {patience_s:g} s",
        code=error.code,
        reason=SERVER_LOST,
    )


def is_wrong_server(error: GradstreamError) -> bool:
    """Whether what answers is no gRPC server."""
    return not error.reason and bool(_WRONG_SERVER.search(error.message))


def wrong_server(address: str, error: GradstreamError) -> ServerUnreachableError:
    """The error for a server of another kind."""
    return ServerUnreachableError(
        f"what answers at {address} is not a gradstream server", code=error.code, reason="NOT_GRADSTREAM"
    )


def stopping(address: str, error: GradstreamError) -> UnavailableError:
    """The error for a job that a server does not take any more."""
    return UnavailableError(
        f"the server at {address} is stopping and takes no new jobs",
        code=error.code,
        reason=error.reason,
        retry_after=error.retry_after,
    )
