"""The least that can predict: a gRPC server on asyncio that takes the bytes of rows and does one dot product.

python benchmarks/harness/dot.py FEATURES
"""

import asyncio
import sys

import grpc
import numpy as np

METHOD = "/dot.Prediction/Predict"


async def serve(features: int) -> None:
    """Serve until killed."""
    weight = np.arange(1.0, features + 1)

    async def predict(request: bytes, _: grpc.aio.ServicerContext) -> bytes:
        return (np.frombuffer(request).reshape(-1, features) @ weight).tobytes()

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return grpc.unary_unary_rpc_method_handler(predict) if details.method == METHOD else None

    server = grpc.aio.server(handlers=[Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
