"""What a person would write to receive a file: a gRPC server with one client stream of chunks.

    python benchmarks/harness/bare_upload.py discard|keep

`discard` counts the bytes; `keep` also writes them to a temporary file and hashes them, as whoever is to have
the file safely does.
"""

import asyncio
import hashlib
import sys
import tempfile
from collections.abc import AsyncIterator
from functools import partial

import grpc

METHOD = "/bare.Files/Upload"


async def _discard(chunks: AsyncIterator[bytes], _: grpc.aio.ServicerContext) -> bytes:
    count = 0
    async for chunk in chunks:
        count += len(chunk)
    return str(count).encode()


async def _keep(chunks: AsyncIterator[bytes], _: grpc.aio.ServicerContext) -> bytes:
    sha, writing, loop = hashlib.sha256(), None, asyncio.get_running_loop()
    with tempfile.TemporaryFile(buffering=0) as file:

        def take(chunk: bytes) -> None:
            file.write(chunk)
            sha.update(chunk)

        async for chunk in chunks:
            if writing:
                await writing
            writing = loop.run_in_executor(None, partial(take, chunk))
        if writing:
            await writing
    return sha.hexdigest().encode()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, kind: str) -> None:
        self._handler = grpc.stream_unary_rpc_method_handler(_discard if kind == "discard" else _keep)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handler if details.method == METHOD else None


async def _serve(kind: str) -> None:
    server = grpc.aio.server(handlers=[_Handlers(kind)], options=[("grpc.max_receive_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
