"""A bare gRPC server that takes a stream of messages and throws them away.

    python benchmarks/harness/discarding.py

What comes is not even looked at; the answer is empty. The fastest that anything can receive a file.
"""

import asyncio
from collections.abc import AsyncIterator

import grpc

METHOD = "/discarding.Files/Upload"


async def _discard(requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext) -> bytes:
    async for _ in requests:
        pass
    return b""


class _Handlers(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.stream_unary_rpc_method_handler(_discard) if details.method == METHOD else None


async def _serve() -> None:
    server = grpc.aio.server(handlers=[_Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
