"""A file through `Client.upload`, against bare gRPC client streams of 1 MiB chunks of the same file.

    make bench BENCHMARKS=benchmarks/upload.py ARGS="[--mib N] [--rounds N]"

All servers are of the same kind, grpc.aio's. The first bare stream is neither hashed nor kept; the second is
hashed at both ends and written to a file, as an upload that can be relied on has to be. Of `upload`, the time
until the last byte is sent is given, and the time until the server has read the table and answered; then the
same file a second time, of which no byte is sent. Rounds alternate; the table has medians, and each round's
throughput as a part of that of the bare ones.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import grpc
import numpy as np
from harness import bare_upload
from harness.servers import gradstream_server, running
from harness.timing import Others, seconds

from gradstream import Client, Dataset

CHUNK_BYTES = 1 << 20
TARGET = 0.8
"""Of the throughput of the stream that is thrown away."""


def chunks(path: Path, sha: "hashlib._Hash | None") -> Iterator[bytes]:
    """A file, to be sent."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            if sha:
                sha.update(chunk)
            yield chunk


def upload(client: Client, path: Path) -> tuple[Dataset, float, float]:
    """The data set, and the seconds until all is sent, and until it is there."""
    told: list[float] = []
    start = time.perf_counter()
    dataset = client.upload(path, on_progress=lambda _, __: told.append(time.perf_counter() - start))
    return dataset, told[-1], time.perf_counter() - start


def again(client: Client, path: Path) -> None:
    """Upload a file that the server has."""
    told: list[int] = []
    client.upload(path, on_progress=lambda sent, _: told.append(sent))
    assert not told, "a file that is there already was sent"


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--mib", type=int, default=256)
    arguments.add_argument("--rounds", type=int, default=9)
    options = arguments.parse_args()
    mib = options.mib
    server = [sys.executable, bare_upload.__file__]
    names = (
        "bare, discarded",
        "bare, hashed and kept",
        "upload, last byte sent",
        "upload, table read",
        "again",
    )
    rounds: list[list[float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running([*server, "discard"]) as discarding,
        running([*server, "keep"]) as keeping,
        gradstream_server() as gradstream,
        grpc.insecure_channel(discarding.address) as discarded,
        grpc.insecure_channel(keeping.address) as kept,
        Client(gradstream.address) as client,
        Others() as others,
    ):
        path = Path(folder) / "table.npy"
        np.save(path, np.random.default_rng(0).normal(size=(mib << 14, 8)).astype(np.float64))
        for _ in range(options.rounds + 1):
            with path.open("r+b") as file:  # another file each time, for the server keeps one once
                file.seek(-8, os.SEEK_END)
                file.write(np.random.default_rng().normal(size=1).tobytes())

            def bare_discarded() -> None:
                discarded.stream_unary(bare_upload.METHOD)(chunks(path, None))

            def bare_kept() -> None:
                sha = hashlib.sha256()
                answer = kept.stream_unary(bare_upload.METHOD)(chunks(path, sha))
                assert answer == sha.hexdigest().encode()

            times = [seconds(bare_discarded), seconds(bare_kept)]
            dataset, *taken = upload(client, path)
            times += taken
            times.append(seconds(lambda: again(client, path)))
            client.delete_dataset(dataset.digest)
            rounds.append(times)
    print(f"{mib} MiB                   seconds    MiB/s   of discarded  target   of kept")
    for i, name in enumerate(names):
        taken = [times[i] for times in rounds[1:]]
        ratios = [median(times[j] / times[i] for times in rounds[1:]) for j in (0, 1)]
        target = TARGET if name == "upload, last byte sent" else ""
        figures = f"{median(taken):>7.3f} {mib / median(taken):>8.0f}"
        print(f"{name:25} {figures} {ratios[0]:>14.2f} {target:>7} {ratios[1]:>9.2f}")
    print(others.verdict)


if __name__ == "__main__":
    main()
