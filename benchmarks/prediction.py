"""Predictions of 1 and 1000 rows for 1 and 8 clients, against MLServer and against a bare dot product.

    python benchmarks/prediction.py [--seconds S] [--rounds N]

All are asked for the same linear model of 16 features by the same program, on asyncio, in raw bytes:
gradstream and MLServer (scikit-learn, no pool of workers) by the Open Inference Protocol, the bare server
of harness/dot.py in bytes of its own. Each client has a connection and sends when its answer is there. The
servers take turns in short rounds. Latencies are those of all requests; ratios of requests a second are
medians of those of the rounds. CPU is that of the server alone, for each request: what is left to compare
on a busy machine.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import grpc
import numpy as np
from harness.dot import METHOD as DOT
from harness.mlserver import mlserver
from harness.processes import cpu_s
from harness.servers import RunningServer, gradstream_server, running
from harness.timing import Others

from gradstream import Client
from gradstream.inference.open_inference_pb2 import ModelInferRequest, ModelInferResponse

FEATURES = 16
WEIGHT = np.arange(1.0, FEATURES + 1)
INFER = "/inference.GRPCInferenceService/ModelInfer"
TARGETS = {1: 2.0, 1000: 3.0}
"""Requests a second against MLServer, by rows."""
LATENCY_TARGET = 1.6
"""Median latency of one client against the bare server."""


@dataclass
class Asked:
    """One server with one way to ask it, and what has been measured."""

    server: RunningServer
    method: str
    request: bytes
    expected: bytes
    is_open: bool
    """Whether it speaks the Open Inference Protocol."""
    latencies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, clients: int, seconds: float) -> None:
        """Ask for some seconds."""
        asyncio.run(self._measure(clients, seconds))

    async def _measure(self, clients: int, seconds: float) -> None:
        # Of one address clients would otherwise share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with AsyncExitStack() as opened:
            channels = [
                await opened.enter_async_context(grpc.aio.insecure_channel(self.server.address, options))
                for _ in range(clients)
            ]
            calls = [channel.unary_unary(self.method) for channel in channels]
            for answer in await asyncio.gather(*(call(self.request) for call in calls)):
                self._check(answer)
            latencies: list[float] = []
            cpu, begun = cpu_s(self.server.process), time.perf_counter()

            async def client(call: Callable[[bytes], Awaitable[bytes]]) -> None:
                while (start := time.perf_counter()) < begun + seconds:
                    await call(self.request)
                    latencies.append(time.perf_counter() - start)

            await asyncio.gather(*map(client, calls))
        self.latencies += latencies
        self.rates.append(len(latencies) / (time.perf_counter() - begun))
        self.cpu.append((cpu_s(self.server.process) - cpu) / len(latencies))

    def _check(self, answer: bytes) -> None:
        """What comes back are the predictions."""
        if self.is_open:
            answer = ModelInferResponse.FromString(answer).raw_output_contents[0]
        np.testing.assert_allclose(np.frombuffer(answer), np.frombuffer(self.expected), rtol=1e-12)

    def line(self, what: str) -> str:
        """A line of the table."""
        p50, p99 = np.percentile(self.latencies, [50, 99]) * 1e3
        return f"{what:34} {median(self.rates):8.0f} {p50:9.2f} {p99:8.2f} {median(self.cpu) * 1e3:9.2f}"

    @property
    def latency(self) -> float:
        """The median."""
        return float(np.median(self.latencies))


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=float, default=1.0)
    arguments.add_argument("--rounds", type=int, default=10)
    options = arguments.parse_args()
    dot = running([sys.executable, str(Path(__file__).with_name("harness") / "dot.py"), str(FEATURES)])
    with (
        gradstream_server("--workers", "1") as ours,
        mlserver(FEATURES) as theirs,
        dot as bare,
        Others() as others,
    ):
        train(ours)
        print("rows, clients, server              requests/s  median ms   p99 ms  CPU ms")
        for rows, target in TARGETS.items():
            for clients in (1, 8):
                compare(ours, theirs, bare, rows, clients, target, options)
    print(others.verdict)


def compare(
    ours: RunningServer, theirs: RunningServer, bare: RunningServer, rows: int, clients: int, target: float,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Measure the three in turns, and print them."""
    features = np.random.default_rng(0).normal(size=(rows, FEATURES))
    expected = (features @ WEIGHT).tobytes()
    request = ModelInferRequest(model_name="model", raw_input_contents=[features.tobytes()])
    request.inputs.add(name="features", datatype="FP64", shape=features.shape)
    body = request.SerializeToString()
    asked = {
        "gradstream": Asked(ours, INFER, body, expected, True),
        "MLServer": Asked(theirs, INFER, body, expected, True),
        "bare dot product": Asked(bare, DOT, features.tobytes(), expected, False),
    }
    for each in asked.values():
        each.measure(clients, options.seconds / 2)
        each.latencies.clear(), each.rates.clear(), each.cpu.clear()
    for _ in range(options.rounds):
        for each in asked.values():
            each.measure(clients, options.seconds)
    for name, each in asked.items():
        print(each.line(f"{rows:4} {clients}  {name}"))
    mine, other, least = asked.values()
    ratio = median(a / b for a, b in zip(mine.rates, other.rates, strict=True))
    p99 = np.percentile(mine.latencies, 99) / np.percentile(other.latencies, 99)
    cpu = median(a / b for a, b in zip(other.cpu, mine.cpu, strict=True))
    print(f"     against MLServer: {ratio:.1f} times its requests/s, target {target:g}")
    print(f"     {p99:.2f} times its p99, target 1; its CPU is {cpu:.1f} times ours")
    against = f"     against the bare server: {mine.latency / least.latency:.2f} times its median latency"
    print(against + (f", target {LATENCY_TARGET}" if clients == 1 else ""))


def train(server: RunningServer) -> None:
    """The model that all have."""
    features = np.random.default_rng(0).normal(size=(100, FEATURES))
    with Client(server.address) as client:
        # There is nothing to learn: it begins with what is to be found.
        client.train(
            features, features @ WEIGHT, initial_parameters={"weight": WEIGHT[np.newaxis]}, intercept=False,
            epochs=1, learning_rate=1e-30, model_name="model",
        ).result()  # fmt: skip


if __name__ == "__main__":
    main()
