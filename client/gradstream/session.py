"""Calls with deadlines and retries: what both clients build on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gradstream.channel import (
    is_nobody_there,
    is_not_connected,
    is_wrong_server,
    lost,
    stopping,
    unreachable,
    wrong_server,
)
from gradstream.errors import GradstreamError, NotFoundError, UnavailableError
from gradstream.methods import CREATE_JOB, DELETE_DATASET, DELETE_JOB, DELETE_MODEL, Method, Request, Response
from gradstream.retry import Backoff, is_broken_connection, is_transient
from gradstream.transport import Transport

RetryCallback = Callable[[GradstreamError, float], None]
"""Called with the error and the seconds to wait, before a call is tried again."""


@dataclass
class Session:
    """A server, and how patient to be with it."""

    transport: Transport
    address: str
    timeout_s: float
    """How long a call that is no stream may take, tries included."""
    patience_s: float
    """How long a stream may be without progress while it cannot be re-attached."""
    on_retry: RetryCallback | None = None
    _reached: bool = field(default=False, init=False)
    _connected: bool = field(default=False, init=False)
    """Whether there was a connection, even if it broke before the first answer: somebody was there."""

    async def call(self, method: Method[Request, Response], request: Request) -> Response:
        """The answer. Raises GradstreamError when it is refused, or none comes in time."""
        backoff = self.backoff(self.timeout_s)
        may_have_arrived = False
        while True:
            try:
                left_s = backoff.remaining(time.monotonic())
                response = await self.transport.call(method, request, left_s)
            except GradstreamError as error:
                deletes = method in (DELETE_JOB, DELETE_DATASET, DELETE_MODEL)
                if deletes and may_have_arrived and isinstance(error, NotFoundError):
                    return method.response()  # deleted by the try whose answer was lost
                may_have_arrived |= is_broken_connection(error) and not is_nobody_there(error)
                await self.wait(backoff, error, starting=method is CREATE_JOB)
            else:
                self.reached()
                return response

    def backoff(self, patience_s: float | None = None) -> Backoff:
        """A new count of patience; by default that of streams."""
        return Backoff(self.patience_s if patience_s is None else patience_s, time.monotonic())

    def reached(self) -> None:
        """Note that the server has answered: from now on it is worth waiting for it to come back."""
        self._reached = True

    async def wait(
        self, backoff: Backoff, error: GradstreamError, *, again: bool = False, starting: bool = False
    ) -> None:
        """Wait before the next try, or raise the error when there should be none.

        `again` says that the same was granted before, so that a limit is only a matter of time: to the
        server, the connection that broke may still look open. `starting` says that a job is to be started,
        which a server that is stopping will never do.
        """
        if starting and error.reason == "DRAINING":
            raise stopping(self.address, error) from error
        never = not self._reached
        if never and is_not_connected(error) and (fault := await self.transport.tls_fault()):
            raise fault from error
        if not self._reached and is_wrong_server(error):
            raise wrong_server(self.address, error) from error
        nobody_there = is_nobody_there(error)
        if nobody_there and not (self._reached or self._connected):
            raise unreachable(self.address, error) from error
        self._connected |= not nobody_there
        if not is_broken_connection(error):
            self.reached()
        if not is_transient(error, backoff.unclear) and not (again and error.retry_after is not None):
            raise error
        # After any number of tries to reach a server, one reset connection still says nothing about it.
        backoff.unclear = 0 if isinstance(error, UnavailableError) else backoff.unclear + 1
        wait_s = backoff.wait(time.monotonic(), at_least=error.retry_after)
        if wait_s is None:
            raise (
                lost(self.address, error, backoff.patience_s) if nobody_there else error
            ) from error.__cause__
        if self.on_retry is not None:
            self.on_retry(error, wait_s)
        await self.transport.sleep(wait_s)
