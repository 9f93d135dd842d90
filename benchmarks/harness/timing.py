"""Runs that alternate, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Callable, Sequence
from statistics import median


def interleaved(runs: Sequence[Callable[[], object]], repeats: int, warm_up: int = 1) -> list[float]:
    """The median wall-clock time of each run, in seconds, over rounds that go through all of them."""
    rounds = [[seconds(run) for run in runs] for _ in range(warm_up + repeats)]
    return [median(times) for times in zip(*rounds[warm_up:], strict=True)]


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
