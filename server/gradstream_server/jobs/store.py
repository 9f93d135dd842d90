"""Where jobs, their logs and their data are kept; `stores/` implements it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.spec import InlineData


class RequestIdTaken(Exception):
    """A job with this request id is there already."""


@dataclass(frozen=True)
class Write:
    """New entries of one job's log, and the job after them."""

    job: Job
    events: Sequence[EventRecord]


class JobStore(Protocol):
    """Jobs and their logs. Methods block and may be called from several threads."""

    def create(self, write: Write) -> None:
        """Keep a new job with its first events, or nothing at all.

        Raises:
            RequestIdTaken: a job with its request id is there already.
        """
        ...

    def append(self, writes: Sequence[Write]) -> None:
        """Add events to logs and update their jobs, all or nothing."""
        ...

    def get(self, job: str) -> Job | None:
        """The job, or None."""
        ...

    def find_request(self, request_id: str) -> Job | None:
        """The job that a request has made, or None."""
        ...

    def page(
        self, states: Collection[JobState], before: int | None, size: int
    ) -> tuple[list[Job], int | None]:
        """At most `size` jobs, newest first, and the cursor of the next page, or None at the end.

        Args:
            states: only jobs in one of these; all when empty.
            before: the cursor that the page before has given; None for the newest.
        """
        ...

    def events(self, job: str, after: int, max_bytes: int) -> list[EventRecord]:
        """Events after a sequence, in order: as many as fit into `max_bytes`, but at least one."""
        ...

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        ...


class DataStore(Protocol):
    """The numbers of inline data, kept once per content."""

    def put(self, digest: str, data: InlineData) -> None:
        """Keep data under its digest; nothing happens when they are there already."""
        ...
