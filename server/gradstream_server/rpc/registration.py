"""How methods are added to gRPC's server: found by their names, none of them registered, ours guarded."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import grpc

# The class is generic in its stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Registration:
    """Takes methods as generated code adds them to a server, which offers them in two ways.

    With each call, gRPC's asyncio server begins anew to wait for a call of every registered method, and an
    interceptor costs it more than a small call itself: both are felt.
    """

    def __init__(self, server: grpc.aio.Server, guard: "Callable[[Handler, str], Handler] | None") -> None:
        self._server = server
        self._guard = guard

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """The methods as they cannot be guarded; left out."""

    def add_registered_method_handlers(self, service: str, handlers: "dict[str, Handler]") -> None:
        """The same methods, by name."""
        if guard := self._guard:
            handlers = {name: guard(each, f"/{service}/{name}") for name, each in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def unregistered(
    server: grpc.aio.Server, guard: "Callable[[Handler, str], Handler] | None" = None
) -> grpc.aio.Server:
    """A server for generated code to add methods to.

    Args:
        guard: what becomes of each method, by its full name.
    """
    return cast(grpc.aio.Server, Registration(server, guard))
