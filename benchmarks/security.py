"""What TLS and tokens cost: a short run, a small call and an upload, of servers that differ in them alone.

    python benchmarks/security.py [--calls N] [--uploads N]

The run is the reference experiment of the manual trainer, from the call to the final prediction; the call is
GetJob. Connections are open already, as those of a client are after its first call. Calls alternate,
twenty at a time; the table has medians, of time and of CPU time of client and servers together, and ratios to
plaintext without authentication.
"""

import argparse
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import trustme
from harness.servers import COMMAND, running, serve_command
from harness.timing import Cost, Others, costs

from gradstream import TLS, Client, InvalidArgumentError

KINDS = {
    "plaintext": (False, False),
    "tokens": (False, True),
    "TLS": (True, False),
    "TLS, tokens": (True, True),
}
"""Whether TLS is spoken, and whether tokens are wanted."""
UPLOAD_BYTES = 16 << 20
AT_ONCE = 20
"""Calls that are measured together: processes tell their CPU time in hundredths of a second."""


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--calls", type=int, default=400)
    arguments.add_argument("--uploads", type=int, default=10)
    given = arguments.parse_args()
    with ExitStack() as stack, Others() as others:
        clients = [stack.enter_context(served(*kind)) for kind in KINDS.values()]
        rounds = given.calls // AT_ONCE
        runs = [_several(lambda c=client: c.train().result()) for client in clients]
        _print("reference run", costs(runs, rounds), AT_ONCE)
        jobs = [client.create() for client in clients]
        small = [_several(lambda c=c, job=job.id: c.get(job)) for c, job in zip(clients, jobs, strict=True)]
        _print("small call", costs(small, rounds), AT_ONCE)
        uploads = [lambda c=client: _upload(c) for client in clients]
        _print(f"upload of {UPLOAD_BYTES >> 20} MiB", costs(uploads, given.uploads), 1)
    print(others.verdict)


@contextmanager
def served(tls: bool, tokens: bool) -> Iterator[Client]:
    """A client of a server of its own."""
    with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as folder:
        data = f"{folder}/data"
        options: list[str] = []
        trusted = token = None
        if tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(f"{folder}/ca.pem")
            shown = f"{folder}/server.pem"
            authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(shown)
            options += ["--tls-cert", shown, "--tls-key", shown]
            trusted = TLS(f"{folder}/ca.pem")
        if tokens:
            create = [COMMAND, "token", "create", "bench", "--scope", "train", "--data-dir", data]
            token = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
            options += ["--auth", "tokens", "--audit-log", f"{folder}/audit.log"]
        with (
            running(serve_command(data, *options)) as server,
            Client(server.address, tls=trusted, token=token) as client,
        ):
            yield client


def _several(call: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(AT_ONCE):
            call()

    return run


def _upload(client: Client) -> None:
    # Refused when all has arrived, so that no time goes into reading it as a table.
    with suppress(InvalidArgumentError):
        client.upload(io.BytesIO(os.urandom(UPLOAD_BYTES)), name="noise.npy")


def _print(what: str, measured: list[Cost], calls: int) -> None:
    print(f"{what:<20}{'median':>10}{'ratio':>9}{'CPU':>12}{'ratio':>9}", flush=True)
    for kind, cost in zip(KINDS, measured, strict=True):
        ratios = cost.wall_s / measured[0].wall_s, cost.cpu_s / measured[0].cpu_s
        wall, cpu = cost.wall_s / calls * 1e3, cost.cpu_s / calls * 1e3
        print(f"  {kind:<18}{wall:>7.2f} ms{ratios[0]:>9.2f}{cpu:>9.2f} ms{ratios[1]:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
