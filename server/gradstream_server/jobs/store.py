"""Where jobs, their logs and their data are kept; `stores/` implements it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.model import Model
from gradstream_server.jobs.spec import InlineData


class RequestIdTaken(Exception):
    """A job of the same owner with this request id is there already."""


class VersionTaken(Exception):
    """There is a model of this name and version already, or was."""


class StorageFull(Exception):
    """There is no room to keep more: the disk is full. What was there before is intact."""


@dataclass(frozen=True)
class Write:
    """New entries of one job's log, and the job after them."""

    job: Job
    events: Sequence[EventRecord]
    model: Model | None = None
    """What the job leaves, when it ends."""


class JobStore(Protocol):
    """Jobs and their logs. Methods block and may be called from several threads."""

    def create(self, write: Write) -> None:
        """Keep a new job with its first events, and the model that it leaves when it has ended with them, or
        nothing at all.

        Raises:
            RequestIdTaken: a job of its owner with its request id is there already.
            VersionTaken: the model cannot have the version that it is given.
            StorageFull: there is no room for it.
        """
        ...

    def append(self, writes: Sequence[Write]) -> None:
        """Add events to logs, update their jobs and keep the models that these leave, all or nothing.

        Raises:
            VersionTaken: a model cannot have the version that it is given.
            StorageFull: there is no room for them.
        """
        ...

    def delete(self, job: str) -> None:
        """Remove a job and its log; nothing happens when it is gone already."""
        ...

    def get(self, job: str) -> Job | None:
        """The job, or None."""
        ...

    def find_request(self, request_id: str, owner: str = "") -> Job | None:
        """The job that a request of its owner has made, or None."""
        ...

    def page(
        self,
        states: Collection[JobState],
        before: int | None,
        size: int,
        group: str = "",
        owner: str | None = None,
    ) -> tuple[list[Job], int | None]:
        """At most `size` jobs, newest first, and the cursor of the next page, or None at the end.

        Args:
            states: only jobs in one of these; all when empty.
            group: only jobs of this group; all when empty.
            owner: only jobs of this owner; all when None.
            before: the cursor that the page before has given; None for the newest.
        """
        ...

    def events(self, job: str, after: int, max_bytes: int) -> list[EventRecord]:
        """Events after a sequence, in order: as many as fit into `max_bytes`, but at least one."""
        ...

    def last_version(self, name: str) -> int:
        """The highest version that a model of a name has or had; 0 when there never was one."""
        ...

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        ...

    def ended_before(self, time: datetime, limit: int) -> list[Job]:
        """At most `limit` jobs that ended before a time."""
        ...

    def uses_data(self, digest: str, owner: str | None = None) -> bool:
        """Whether there is a job, of an owner or of any, with data of this digest."""
        ...

    def data_digests(self) -> set[str]:
        """The digests of the data of all jobs."""
        ...


class ModelKeeper(Protocol):
    """Keeps models when their jobs go."""

    def keep(self, job: str) -> None:
        """Keep of a job about to be deleted what its model needs; it is safe from anything once this returns.

        Raises:
            StorageFull: there is no room for it.
        """
        ...


class DataStore(Protocol):
    """The numbers of inline data, kept once per content."""

    def put(self, digest: str, data: InlineData) -> None:
        """Keep data under its digest, safe from anything once this returns; nothing happens when they are
        there already.

        Raises:
            StorageFull: there is no room for them.
        """
        ...

    def get(self, digest: str) -> InlineData | None:
        """The data of a digest, without names; None when they are not there."""
        ...

    def remove(self, digest: str) -> None:
        """Remove the data of a digest; nothing happens when they are gone already."""
        ...

    def digests(self) -> set[str]:
        """The digests of all data there are."""
        ...
