"""Looks at a waiting job now and then, for its log does not tell how its place in the queue changes."""

import threading
from collections.abc import Callable

from gradstream.client import Client
from gradstream.errors import GradstreamError
from gradstream.job import Job, JobState

_FIRST_S = 0.2
_EVERY_S = 1.0


class QueueLook:
    """Asks for a job in a thread of its own, over a connection of its own, until it waits no more."""

    def __init__(self, server: str, job: str, tell: Callable[[Job], None]) -> None:
        self._server, self._job, self._tell = server, job, tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue look", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _run(self) -> None:
        if self._stop.wait(_FIRST_S):
            return
        with Client(self._server, timeout_s=_EVERY_S) as client:
            while True:
                try:
                    job = client.get(self._job)
                except GradstreamError:
                    pass  # whoever reads the log notices, and says so
                else:
                    if self._stop.is_set() or job.state is not JobState.QUEUED:
                        return
                    self._tell(job)
                if self._stop.wait(_EVERY_S):
                    return
