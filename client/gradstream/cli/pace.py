"""How fast epochs pass, by the server's clock."""

from collections import deque

from gradstream.events import EpochUpdates

_WINDOW_S = 10.0


class Pace:
    """Epochs a second over the last seconds, from when the server recorded them.

    When they were received would not do: those that passed while nobody watched come all at once.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, event: EpochUpdates) -> None:
        """Take epochs into account."""
        now = event.time.timestamp()
        self._seen.append((now, int(event.epochs[-1])))
        while len(self._seen) > 2 and self._seen[1][0] < now - _WINDOW_S:
            self._seen.popleft()

    @property
    def epochs_per_second(self) -> float | None:
        """None until it can be told."""
        if len(self._seen) < 2:
            return None
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        return (last - first) / (until - since) if until > since and last > first else None
