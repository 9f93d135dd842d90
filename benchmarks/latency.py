"""A short run from the call to the final prediction, against a server that trains in its handler.

    python benchmarks/latency.py [--calls N]

The reference experiment of the manual trainer with 100 epochs, on warm servers. The minimal server of
harness/minimal.py has the same trainer, streams nothing and keeps nothing; it is measured with a thread pool
and with asyncio, and the faster counts. The default, `--durability power`, waits for the disk once before the
result is told, which `--durability process` does not. Calls alternate; the table has medians.
"""

import argparse

import grpc
from harness.minimal import METHOD, predict
from harness.servers import gradstream_server, minimal_server
from harness.timing import BareLoop, interleaved

from gradstream import Client

EPOCHS = 100
TARGET = 2.5


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--calls", type=int, default=500)
    calls = arguments.parse_args().calls
    with (
        gradstream_server() as server,
        gradstream_server("--durability", "process") as hasty_server,
        minimal_server("threads") as threads,
        minimal_server("aio") as aio,
        Client(server.address) as client,
        Client(hasty_server.address) as hasty_client,
        grpc.insecure_channel(threads.address) as to_threads,
        grpc.insecure_channel(aio.address) as to_aio,
    ):
        for each in (client, hasty_client):
            each.server_info()  # returns when the first worker is ready
        expected = predict(EPOCHS)

        def gradstream(client: Client) -> None:
            completed = client.train(trainer="manual", epochs=EPOCHS).result()
            assert completed.predictions == expected

        def minimal(channel: grpc.Channel) -> None:
            assert float(channel.unary_unary(METHOD)(str(EPOCHS).encode())) == expected

        loop = BareLoop(lambda: predict(EPOCHS))
        runs = [
            lambda: gradstream(client),
            lambda: gradstream(hasty_client),
            lambda: minimal(to_threads),
            lambda: minimal(to_aio),
            loop,
        ]
        ours, hasty, *others, bare = interleaved(runs, calls, warm_up=50)
    print(f"{EPOCHS} epochs, call to final prediction      median")
    print(f"gradstream                             {ours * 1e3:7.2f} ms")
    print(f"gradstream, --durability process       {hasty * 1e3:7.2f} ms")
    print(f"minimal server, thread pool            {others[0] * 1e3:7.2f} ms")
    print(f"minimal server, asyncio                {others[1] * 1e3:7.2f} ms")
    print(f"training alone                         {bare * 1e3:7.2f} ms")
    print(f"ratio to the faster minimal server     {ours / min(others):7.2f}  target {TARGET} {loop.verdict}")
    print(f"  with --durability process            {hasty / min(others):7.2f}")


if __name__ == "__main__":
    main()
