"""What a person would write: a gRPC server that trains in the handler and answers with one message.

    python benchmarks/harness/minimal.py threads|aio

The request is the number of epochs, the answer the prediction for x = 5, each as text. The trainer is the one
that gradstream's workers use, so that what is compared is everything around it.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

from gradstream_server.trainers.manual import ManualTrainer
from gradstream_server.trainers.problem import Problem

METHOD = "/minimal.Training/Train"
_X = np.array([[1], [2], [3], [4]], np.float32)
_ASKED = np.array([[5]], np.float32)


def predict(epochs: int) -> float:
    """Train the manual reference experiment, and predict."""
    problem = Problem(_X, 2 * _X, epochs, learning_rate=0.01, batch_size=4, reduction="sum", intercept=False)
    trainer = ManualTrainer(problem)
    for _ in trainer.train():
        pass
    return float(trainer.predict(_ASKED)[0, 0])


def _answer(request: bytes) -> bytes:
    return repr(predict(int(request))).encode()


def _handle(request: bytes, _: grpc.ServicerContext) -> bytes:
    return _answer(request)


async def _handle_aio(request: bytes, _: grpc.aio.ServicerContext) -> bytes:
    return _answer(request)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, kind: str) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(_handle if kind == "threads" else _handle_aio)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handler if details.method == METHOD else None


def _serve_with_threads() -> None:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Handlers("threads")])
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    server.wait_for_termination()


async def _serve_with_asyncio() -> None:
    server = grpc.aio.server(handlers=[_Handlers("aio")])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "threads":
        _serve_with_threads()
    else:
        asyncio.run(_serve_with_asyncio())
