"""Runs that alternate, so that what disturbs the machine disturbs all of them; and whether anything did."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from harness.processes import descendants


def interleaved(runs: Sequence[Callable[[], object]], repeats: int, warm_up: int = 1) -> list[float]:
    """The median wall-clock time of each run, in seconds, over rounds that go through all of them."""
    rounds = [[seconds(run) for run in runs] for _ in range(warm_up + repeats)]
    return [median(times) for times in zip(*rounds[warm_up:], strict=True)]


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Cost:
    """What a run takes: medians."""

    wall_s: float
    cpu_s: float
    """Of this process and of the servers that it has started: what is left to compare on a busy machine."""


def costs(runs: Sequence[Callable[[], object]], repeats: int, warm_up: int = 1) -> list[Cost]:
    """What each run takes, over rounds that go through all of them."""

    def cost(run: Callable[[], object]) -> tuple[float, float]:
        before = _own_s()
        return seconds(run), _own_s() - before

    rounds = [[cost(run) for run in runs] for _ in range(warm_up + repeats)][warm_up:]
    return [
        Cost(*(median(values) for values in zip(*each, strict=True))) for each in zip(*rounds, strict=True)
    ]


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


class Others:
    """What programs that are not of this benchmark took of the processors while a block ran."""

    def __enter__(self) -> Self:
        self._begun, self._busy, self._own = time.monotonic(), _busy_s(), _own_s()
        return self

    def __exit__(self, *_: object) -> None:
        took = (_busy_s() - self._busy) - (_own_s() - self._own)
        self._share = took / (time.monotonic() - self._begun) / (os.cpu_count() or 1)

    @property
    def verdict(self) -> str:
        """How far the figures of the block are to be relied on."""
        judgement = "DISTURBED: other" if self._share > OTHERS else "Other"
        return f"{judgement} programs took {max(self._share, 0):.0%} of the processors' time."


OTHERS = 0.05
"""The part of the processors' time up to which others do not count."""
_TICKS = os.sysconf("SC_CLK_TCK")


def _busy_s() -> float:
    """What all programs have used so far, and what a hypervisor has kept from them."""
    user, nice, system, _, _, _, _, steal = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    )
    return (user + nice + system + steal) / _TICKS


def _own_s() -> float:
    """What this process and its descendants have used so far, those that have ended included."""
    total = 0.0
    for process in (os.getpid(), *descendants(os.getpid())):
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]
        total += sum(map(int, times)) / _TICKS
    return total
