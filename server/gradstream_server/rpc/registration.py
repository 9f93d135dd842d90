"""How methods are added to gRPC's server: found by their names, none of them registered."""

from collections.abc import Sequence
from typing import Any, cast

import grpc


class Registration:
    """Takes methods as generated code adds them to a server.

    With each call, gRPC's asyncio server begins anew to wait for a call of every registered method; of some
    thirty that is felt in small calls. Generated code offers its methods both ways.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """To be found by their names."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """The same once more, which is left out."""


def unregistered(server: grpc.aio.Server) -> grpc.aio.Server:
    """A server for generated code to add methods to."""
    return cast(grpc.aio.Server, Registration(server))
