"""Chaos for as long as you like: `python -m tests.chaos --minutes 60 --seed 1`, or `make chaos`."""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.chaos.report import Report
from tests.chaos.round import run_round


def main() -> int:
    """Round after round, each with the next seed, until the time is over or something is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long to go on (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (default: 1)")
    parser.add_argument("--round", type=float, default=120, help="seconds of chaos in a round (default: 120)")
    parser.add_argument("--keep-going", action="store_true", help="also when something was found")
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    total, seed, rounds = Report(), options.seed, 0
    while not rounds or time.monotonic() < until:
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
        print(f"round of seed {seed}, in {folder}", flush=True)
        report = _in_a_process(seed, options.round, folder)
        print(report, flush=True)
        total.add(report)
        seed, rounds = seed + 1, rounds + 1
        if not report.findings:
            shutil.rmtree(folder)
        elif not options.keep_going:
            break
    print(f"{rounds} rounds, seeds {options.seed} to {seed - 1}, together:\n{total}")
    return 1 if total.findings else 0


def _in_a_process(seed: int, seconds: float, folder: Path) -> Report:
    """A round in a process of its own: what gRPC keeps of an earlier one cannot disturb it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run_round, seed, seconds, folder).result()


if __name__ == "__main__":
    sys.exit(main())
