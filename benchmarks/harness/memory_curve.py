"""The memory of a process over time, as a line of text."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from harness.processes import memory

_EVERY_S = 0.25
_BARS = "▁▂▃▄▅▆▇█"


class MemoryCurve:
    """What a process has allocated, in MiB, looked at every now and then while a block runs."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Look while the block runs."""
        stop = threading.Event()

        def look() -> None:
            self._look()
            while not stop.wait(_EVERY_S):
                self._look()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._look()

    def _look(self) -> None:
        self._samples.append((time.monotonic(), memory(self._process).anonymous))

    @property
    def most(self) -> float:
        """The greatest of all."""
        return max(size for _, size in self._samples)

    def growth(self, begin: float, end: float) -> float:
        """By how much it has grown between two times, by time.monotonic().

        From the median of the first fifth of that time to that of the last: single looks jump.
        """
        fifth = (end - begin) / 5
        first = [size for at, size in self._samples if begin <= at <= begin + fifth]
        last = [size for at, size in self._samples if end - fifth <= at <= end]
        return median(last) - median(first)

    def drawn(self, width: int = 72) -> str:
        """The curve, with its least and its greatest value."""
        begin, end = self._samples[0][0], self._samples[-1][0]
        sizes = [size for _, size in self._samples]
        least = min(sizes)
        step = (self.most - least) / (len(_BARS) - 1) or 1
        line, shown = "", sizes[0]
        for place in range(width):
            until = begin + (end - begin) * (place + 1) / width
            since = until - (end - begin) / width
            # The greatest of its time, or where nobody has looked, what was there before.
            shown = max((size for at, size in self._samples if since < at <= until), default=shown)
            line += _BARS[round((shown - least) / step)]
        return f"{line}  {least:.0f} to {self.most:.0f} MiB in {end - begin:.0f} s"
