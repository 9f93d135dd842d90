"""What `make demo` shows: a server, the reference experiments and a real table, through the command line."""

import contextlib
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

GRADSTREAM = Path(sysconfig.get_path("scripts"), "gradstream")
WEATHER = Path("examples", "data", "seattle-weather.csv")
DEADLINE_S = 120.0

# (what a reader is about to see, the arguments of gradstream)
TOUR: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "y = 2x from four points. The manual trainer derives the gradient by hand, and leaves out the 1/n:",
        ("train", "--trainer", "manual", "--plain"),
    ),
    (
        "The autograd trainer has PyTorch derive it, of the true mean:",
        ("train", "--trainer", "autograd", "--plain"),
    ),
    (
        "The module trainer is an nn.Module with torch.optim.SGD. It has an intercept as well:",
        (
            *("train", "--trainer", "module", "--plain"),
            *("--init", "weight=0.7268983721733093", "--init", "bias=-0.5131938457489014"),
        ),
    ),
    (
        "A real table: the day's high of 1461 days in Seattle, from the rain, the low and the wind.\n"
        "In the end the high to expect on a dry day with a low of 10 degrees and 2 m/s of wind:",
        (
            *("train", "--trainer", "module", "--plain", "--data", str(WEATHER), "--target", "temp_max"),
            *("--standardize", "--learning-rate", "0.1", "--epochs", "60", "--predict", "0,10,2"),
        ),
    ),
    ("Each run is kept as a job:", ("jobs",)),
)


def main() -> int:
    """Run the tour against a server of its own. Returns the exit status of the process."""
    os.chdir(Path(__file__).parent.parent)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gradstream-demo-") as folder:
        try:
            with server(Path(folder)) as address:
                for title, arguments in TOUR:
                    print(f"\n{title}")
                    show(arguments)
                    subprocess.run(
                        [GRADSTREAM, *arguments],
                        env=os.environ | {"GRADSTREAM_SERVER": address},
                        check=True,
                        timeout=DEADLINE_S,
                    )
        except (DemoError, subprocess.SubprocessError) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            log = Path(folder, "server.log")
            if log.exists():
                print(f"The server's log:\n{log.read_text()}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    print(f"\nThe server has stopped. All of this took {time.perf_counter() - started:.1f} s.")
    print(
        "To go on: `make serve` here, and in another terminal `.venv/bin/gradstream train --trainer manual`."
    )
    return 0


class DemoError(Exception):
    """The server did not do what the demo needs."""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server on a free port of this machine, its data and its log in `folder`. Gives its HOST:PORT.

    Raises:
        DemoError: it did not come up, or did not stop cleanly on SIGTERM, within `DEADLINE_S`.
    """
    arguments = ("serve", "--address", "127.0.0.1:0", "--data-dir", str(folder / "data"))
    show(arguments)
    with Path(folder, "server.log").open("w") as log:
        process = subprocess.Popen([GRADSTREAM, *arguments], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        too_late = threading.Timer(DEADLINE_S, process.kill)  # ends the wait for a line that never comes
        too_late.start()
        line = process.stdout.readline().strip()
        too_late.cancel()
        if not line:
            raise DemoError("the server ended before it listened")
        print(line)
        yield line.rsplit(maxsplit=1)[-1]
    finally:
        process.terminate()
        try:
            status = process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        process.stdout.close()
    if status != 0:
        raise DemoError(f"the server ended with exit status {status}, not 0, after SIGTERM")


def show(arguments: Sequence[str]) -> None:
    """Print the command as a person would type it."""
    print(f"$ gradstream {shlex.join(arguments)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
