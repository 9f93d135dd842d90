"""When to try again, and when to give up."""

import random
from dataclasses import dataclass

from gradstream.errors import GradstreamError, UnavailableError

_TRANSPORT_CODES = frozenset({"UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"})

_RESET_TRIES = 5


def is_broken_connection(error: GradstreamError) -> bool:
    """Whether the connection failed rather than the call.

    The server gives a reason with every error of its own; what a reset connection is turned into has none.
    """
    return not error.reason and error.code in _TRANSPORT_CODES


def is_transient(error: GradstreamError, tries: int) -> bool:
    """Whether the same request may succeed a little later. Every request can be repeated safely.

    A reset connection and a server that answers nonsense look alike, so INTERNAL and its like are tried a
    few times only; UNAVAILABLE for as long as patience lasts.
    """
    return isinstance(error, UnavailableError) or (is_broken_connection(error) and tries < _RESET_TRIES)


@dataclass
class Backoff:
    """Waits that grow, with jitter, until no progress has been made for too long."""

    patience_s: float
    """How long to go on without progress."""
    progressed_at: float
    """When progress was last made, in seconds of a monotonic clock."""
    initial_s: float = 0.05
    factor: float = 1.6
    maximum_s: float = 3.0
    tries: int = 0
    """Waits since progress was last made."""
    unclear: int = 0
    """Errors in a row that the server may have made as well as the network."""

    def progress(self, now: float) -> None:
        """Something has arrived: waits start small again."""
        self.progressed_at = now
        self.tries = self.unclear = 0

    def remaining(self, now: float) -> float:
        """Seconds until patience ends, at least 0."""
        return max(0.0, self.progressed_at + self.patience_s - now)

    def wait(self, now: float, at_least: float | None = None) -> float | None:
        """Seconds to wait before the next try; None when patience has ended."""
        longest = min(self.initial_s * self.factor ** min(self.tries, 30), self.maximum_s)
        self.tries += 1
        wait = max(longest * random.uniform(0.5, 1.0), at_least or 0.0)
        return wait if wait < self.remaining(now) else None
