"""Jobs and their logs in a SQL database, by SQLAlchemy Core."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import ENDED, Job, JobState
from gradstream_server.jobs.store import RequestIdTaken, StorageFull, VersionTaken, Write
from gradstream_server.stores.database import Database
from gradstream_server.stores.rows import CHANGING, from_row, to_changes, to_row
from gradstream_server.stores.schema import DELETED_MODELS, EVENTS, JOBS, MODELS
from gradstream_server.stores.sqlite import Durability

_UPDATE_JOB = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"))
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)
_INSERT_JOB = insert(JOBS)
_INSERT_EVENTS = insert(EVENTS)
_INSERT_MODELS = insert(MODELS)
_PAGE_EVENTS = 256
_DELETED_AT_ONCE = 64
_SMALL_BYTES = 1 << 10


class SqlJobStore:
    """Jobs and their logs. Any thread may read, one at a time write.

    When the disk is full, new jobs and ordinary events are refused until there is room again. What ends jobs,
    puts them aside or removes them is kept all the same.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open_sqlite(cls, path: Path, durability: Durability = "power") -> "SqlJobStore":
        """The store in a SQLite file, made or migrated as needed. StoreError when it cannot be used."""
        return cls(Database.open_sqlite(path, durability))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def create(self, write: Write) -> None:
        row = to_row(write.job)

        def insert_all() -> None:
            self._database.writing.execute(_INSERT_JOB, row)
            self._insert_events(write)
            self._insert_models([write])

        try:
            self._database.commit(insert_all)
        except IntegrityError as error:
            if self.find_request(write.job.request_id, write.job.owner):
                raise RequestIdTaken(write.job.request_id) from error
            if self._is_version_taken([write]):
                raise VersionTaken from error
            raise

    def append(self, writes: Sequence[Write]) -> None:
        def insert_all() -> None:
            for write in writes:
                self._insert_events(write)
            self._insert_models(writes)
            latest = {write.job.id: write.job for write in writes}
            self._database.writing.execute(
                _UPDATE_JOB,
                [
                    {"job_id": job.id} | {f"new_{name}": value for name, value in to_changes(job).items()}
                    for job in latest.values()
                ],
            )

        try:
            self._database.commit(insert_all, at_any_rate=any(map(_has_to_be_kept, writes)))
        except IntegrityError as error:
            if self._is_version_taken(writes):
                raise VersionTaken from error
            raise

    def delete(self, job: str) -> None:
        def delete_all() -> None:
            # Not left to the cascade, which keeps a copy of what it changes until it is done.
            self._database.writing.execute(delete(EVENTS).where(EVENTS.c.job == job))
            self._database.writing.execute(delete(JOBS).where(JOBS.c.id == job))

        def delete_some() -> bool:
            newest = select(EVENTS.c.sequence).where(EVENTS.c.job == job).order_by(EVENTS.c.sequence.desc())
            some = EVENTS.c.sequence.in_(newest.limit(_DELETED_AT_ONCE))
            return (
                self._database.writing.execute(delete(EVENTS).where(EVENTS.c.job == job, some)).rowcount > 0
            )

        try:
            self._database.commit(delete_all)
        except StorageFull:
            # Little by little it takes less room. Cut short it leaves the job, with the beginning of its log.
            while self._database.commit(delete_some, at_any_rate=True):
                pass
            self._database.commit(delete_all, at_any_rate=True)

    def get(self, job: str) -> Job | None:
        with self._database.engine.connect() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one_or_none()
        return from_row(row) if row else None

    def find_request(self, request_id: str, owner: str = "") -> Job | None:
        query = select(JOBS).where(JOBS.c.request_id == request_id, JOBS.c.owner == owner)
        with self._database.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return from_row(row) if row else None

    def page(
        self,
        states: Collection[JobState],
        before: int | None,
        size: int,
        group: str = "",
        owner: str | None = None,
    ) -> tuple[list[Job], int | None]:
        query = select(JOBS).order_by(JOBS.c.number.desc()).limit(size + 1)
        if states:
            query = query.where(JOBS.c.state.in_([str(state) for state in states]))
        if group:
            query = query.where(JOBS.c.group == group)
        if owner is not None:
            query = query.where(JOBS.c.owner == owner)
        if before is not None:
            query = query.where(JOBS.c.number < before)
        with self._database.engine.connect() as connection:
            rows = connection.execute(query).all()
        cursor = rows[size - 1].number if len(rows) > size else None
        return [from_row(row) for row in rows[:size]], cursor

    def events(self, job: str, after: int, max_bytes: int) -> list[EventRecord]:
        query = (
            select(EVENTS.c.sequence, EVENTS.c.body)
            .where(EVENTS.c.job == job, EVENTS.c.sequence > after)
            .order_by(EVENTS.c.sequence)
            .limit(_PAGE_EVENTS)
        )
        records: list[EventRecord] = []
        size = 0
        with self._database.engine.connect() as connection:
            for sequence, body in connection.execution_options(yield_per=16).execute(query):
                if records and size + len(body) > max_bytes:
                    break
                records.append(EventRecord(sequence, body))
                size += len(body)
        return records

    def last_version(self, name: str) -> int:
        with self._database.engine.connect() as connection:
            return max(
                connection.scalar(select(func.max(table.c.version)).where(table.c.name == name)) or 0
                for table in (MODELS, DELETED_MODELS)
            )

    def unfinished(self) -> list[Job]:
        query = (
            select(JOBS)
            .where(JOBS.c.state.not_in([str(state) for state in ENDED]))
            .order_by(JOBS.c.number.asc())
        )
        with self._database.engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]

    def ended_before(self, time: datetime, limit: int) -> list[Job]:
        ended = JOBS.c.end_time < time.astimezone(UTC)  # SQLite keeps no time zones.
        query = select(JOBS).where(ended).order_by(JOBS.c.end_time).limit(limit)
        with self._database.engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]

    def uses_data(self, digest: str, owner: str | None = None) -> bool:
        query = select(JOBS.c.id).where(JOBS.c.data_digest == digest).limit(1)
        if owner is not None:
            query = query.where(JOBS.c.owner == owner)
        with self._database.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def data_digests(self) -> set[str]:
        query = select(JOBS.c.data_digest).where(JOBS.c.data_digest != "").distinct()
        with self._database.engine.connect() as connection:
            return set(connection.scalars(query))

    def _insert_events(self, write: Write) -> None:
        if write.events:
            rows = [
                {"job": write.job.id, "sequence": record.sequence, "body": record.body}
                for record in write.events
            ]
            self._database.writing.execute(_INSERT_EVENTS, rows)

    def _insert_models(self, writes: Sequence[Write]) -> None:
        if models := [vars(write.model) for write in writes if write.model]:
            self._database.writing.execute(_INSERT_MODELS, models)

    def _is_version_taken(self, writes: Sequence[Write]) -> bool:
        """Whether that is why models could not be kept."""
        models = [write.model for write in writes if write.model]
        return any(self.last_version(model.name) >= model.version for model in models)


def _has_to_be_kept(write: Write) -> bool:
    """Whether it ends a job, or says no more than where one stands that is not to go on now."""
    size = sum(len(record.body) for record in write.events)
    return write.job.ended or (write.job.state is not JobState.RUNNING and size <= _SMALL_BYTES)
