"""What the server and the client cost before they do anything: time to start, and memory.

    python benchmarks/footprint.py [--repeats N]

The server is ready when it answers a health check with SERVING; it is started in a new data directory, and
again in the same one. Commands are run alternately; their times include the start of Python itself, which is
the first of them. The memory of a server that rests after some jobs is read from /proc (Linux).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

from harness.processes import command, descendants, has_loaded, memory
from harness.servers import COMMAND, gradstream_server, running, serve_command
from harness.timing import interleaved

from gradstream import Client

READY_TARGET_S = 1.0
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import gradstream": ([sys.executable, "-c", "import gradstream"], 0.3),
    "from gradstream import Client": ([sys.executable, "-c", "from gradstream import Client"], 0.3),
    "gradstream --help": ([COMMAND, "--help"], 0.1),
    "gradstream train --help": ([COMMAND, "train", "--help"], None),
}
# How long the processes rest before they are measured: what they give back, they give back by then.
REST_S = 2.0


def ready_s(data_dir: str) -> float:
    """Time from the start of a server's process to the first SERVING."""
    start = time.perf_counter()
    with running(serve_command(data_dir)) as server, Client(server.address) as client:
        assert client.health() == "SERVING"
        return time.perf_counter() - start


def print_readiness(repeats: int) -> None:
    """How long a server takes to answer."""
    fresh, warm = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as data_dir:
            fresh.append(ready_s(data_dir))
            warm.append(ready_s(data_dir))
    print("server ready after                seconds   target")
    for name, times in (("start, new data directory", fresh), ("start, its own data directory", warm)):
        print(f"{name:30} {median(times):>10.2f} {READY_TARGET_S:>8}")


def print_commands(repeats: int) -> None:
    """How long commands take."""
    runs = [lambda words=words: subprocess.check_output(words) for words, _ in COMMANDS.values()]
    print("\ncommand                           seconds   target")
    for (name, (_, target)), figure in zip(COMMANDS.items(), interleaved(runs, repeats), strict=True):
        print(f"{name:30} {figure:>10.3f} {target or '':>8}")


def print_memory() -> None:
    """What each process of a resting server holds."""
    with gradstream_server() as server, Client(server.address) as client:
        for trainer in ("manual", "autograd", "module") * client.server_info().workers:
            client.train(trainer=trainer).result()
        time.sleep(REST_S)  # What a server gives back when it rests is not to be counted.
        print("\nidle server, MiB                   RSS     PSS     own   torch")
        for process in (server.process, *descendants(server.process)):
            use, torch = memory(process), "loaded" if has_loaded(process, "libtorch") else "-"
            figures = f"{use.resident:>7.0f} {use.proportional:>7.0f} {use.own:>7.0f}"
            print(f"{_role(process, server.process):30} {figures}   {torch}")
        assert not has_loaded(server.process, "libtorch"), "the main process has loaded torch"


def _role(process: int, main_process: int) -> str:
    if process == main_process:
        return "main process"
    if "resource_tracker" in command(process):
        return "resource tracker (Python's)"
    return "fork server" if any(descendants(process)) else "worker"


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    print_readiness(repeats)
    print_commands(repeats)
    print_memory()


if __name__ == "__main__":
    main()
