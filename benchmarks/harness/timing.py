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


class BareLoop:
    """A run that only computes, in this process, and so tells whether the machine was free.

    Alone on a core it takes as long as the CPU time it uses. When other programs take the core it waits, and
    a ratio to it then looks better than it is.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._waits: list[float] = []

    def __call__(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self._run()
        cpu = time.process_time() - cpu
        self._waits.append((time.perf_counter() - wall) / cpu)

    @property
    def verdict(self) -> str:
        """Empty, or that the figures beside it are not to be relied on."""
        wait = median(self._waits)
        return f"DISTURBED: the bare loop took {wait:.2f} of its CPU time" if wait > FREE else ""


FREE = 1.03
"""Wall-clock time over CPU time up to which the machine counts as free."""
