"""Jobs and their logs in a SQL database, by SQLAlchemy Core. SQLite in the data directory."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    URL,
    Engine,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import ENDED, Job, JobState
from gradstream_server.jobs.store import RequestIdTaken, StorageFull, Write
from gradstream_server.stores import sqlite
from gradstream_server.stores.reserve import Reserve
from gradstream_server.stores.rows import CHANGING, from_row, to_changes, to_row
from gradstream_server.stores.schema import EVENTS, HEAD, JOBS
from gradstream_server.stores.sqlite import Durability as Durability

_T = TypeVar("_T")

_UPDATE_JOB = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"))
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)
_INSERT_JOB = insert(JOBS)
_INSERT_EVENTS = insert(EVENTS)
_REVISION = "SELECT version_num FROM alembic_version"
_PAGE_EVENTS = 256
_DELETED_AT_ONCE = 64
_SMALL_BYTES = 1 << 10
# Nothing tells when a full disk has room again; to try with every write would make each of them slow.
_TRY_AGAIN_S = 1.0


class StoreError(Exception):
    """The database cannot be used; the text says why and what to do."""


class SqlJobStore:
    """Jobs and their logs. The engine's connections are pooled; any thread may call.

    When the disk is full, new jobs and ordinary events are refused until there is room again. What ends jobs,
    puts them aside or removes them is kept all the same: it may use the reserve.
    """

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self._engine = engine
        self._reserve = reserve
        # One thread writes, on one connection: to take one from the pool costs as much as a commit.
        self._writing = engine.connect()
        self._full = not reserve.restore()
        self._next_try = 0.0

    @classmethod
    def open_sqlite(cls, path: Path, durability: Durability = "power") -> "SqlJobStore":
        """The store in a SQLite file, made or migrated as needed.

        Raises:
            StoreError: it cannot be read or written, or a newer version has made it.
        """
        # Before anything is set up: whatever connects to use it changes the file.
        _refuse_newer(sqlite.peek(path, _REVISION))
        engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(engine, "connect", partial(sqlite.configure, durability))
        try:
            reserve = Reserve(path.with_name(path.name + "-reserve"))
            while True:
                try:
                    migrate(engine)
                    return cls(engine, reserve)
                except DatabaseError:
                    # To open a database takes some room, and SQLite does not always say that this is missing.
                    if not reserve.release():
                        raise
        except (DatabaseError, OSError) as error:
            engine.dispose()
            cause = error.strerror if isinstance(error, OSError) else error.orig
            remedy = "make room" if sqlite.says_full(error) else "restore it"
            raise StoreError(
                f"cannot use the database {path}: {cause}; "
                f"{remedy}, or name another directory with --data-dir"
            ) from error
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._writing.close()
        self._engine.dispose()

    def create(self, write: Write) -> None:
        row = to_row(write.job)

        def insert_all() -> None:
            self._writing.execute(_INSERT_JOB, row)
            self._insert_events(write)

        try:
            self._commit(insert_all)
        except IntegrityError as error:
            if self.find_request(write.job.request_id):
                raise RequestIdTaken(write.job.request_id) from error
            raise

    def append(self, writes: Sequence[Write]) -> None:
        def insert_all() -> None:
            for write in writes:
                self._insert_events(write)
            latest = {write.job.id: write.job for write in writes}
            self._writing.execute(
                _UPDATE_JOB,
                [
                    {"job_id": job.id} | {f"new_{name}": value for name, value in to_changes(job).items()}
                    for job in latest.values()
                ],
            )

        self._commit(insert_all, at_any_rate=any(map(_has_to_be_kept, writes)))

    def delete(self, job: str) -> None:
        def delete_all() -> None:
            # Not left to the cascade, which keeps a copy of what it changes until it is done.
            self._writing.execute(delete(EVENTS).where(EVENTS.c.job == job))
            self._writing.execute(delete(JOBS).where(JOBS.c.id == job))

        def delete_some() -> bool:
            newest = select(EVENTS.c.sequence).where(EVENTS.c.job == job).order_by(EVENTS.c.sequence.desc())
            some = EVENTS.c.sequence.in_(newest.limit(_DELETED_AT_ONCE))
            return self._writing.execute(delete(EVENTS).where(EVENTS.c.job == job, some)).rowcount > 0

        try:
            self._commit(delete_all)
        except StorageFull:
            # Little by little it takes less room. Cut short it leaves the job, with the beginning of its log.
            while self._commit(delete_some, at_any_rate=True):
                pass
            self._commit(delete_all, at_any_rate=True)

    def get(self, job: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one_or_none()
        return from_row(row) if row else None

    def find_request(self, request_id: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.request_id == request_id)).one_or_none()
        return from_row(row) if row else None

    def page(
        self, states: Collection[JobState], before: int | None, size: int, group: str = ""
    ) -> tuple[list[Job], int | None]:
        query = select(JOBS).order_by(JOBS.c.number.desc()).limit(size + 1)
        if states:
            query = query.where(JOBS.c.state.in_([str(state) for state in states]))
        if group:
            query = query.where(JOBS.c.group == group)
        if before is not None:
            query = query.where(JOBS.c.number < before)
        with self._engine.connect() as connection:
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
        with self._engine.connect() as connection:
            for sequence, body in connection.execution_options(yield_per=16).execute(query):
                if records and size + len(body) > max_bytes:
                    break
                records.append(EventRecord(sequence, body))
                size += len(body)
        return records

    def unfinished(self) -> list[Job]:
        query = (
            select(JOBS)
            .where(JOBS.c.state.not_in([str(state) for state in ENDED]))
            .order_by(JOBS.c.number.asc())
        )
        with self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]

    def ended_before(self, time: datetime, limit: int) -> list[Job]:
        ended = JOBS.c.end_time < time.astimezone(UTC)  # SQLite keeps no time zones.
        query = select(JOBS).where(ended).order_by(JOBS.c.end_time).limit(limit)
        with self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]

    def uses_data(self, digest: str) -> bool:
        query = select(JOBS.c.id).where(JOBS.c.data_digest == digest).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def data_digests(self) -> set[str]:
        query = select(JOBS.c.data_digest).where(JOBS.c.data_digest != "").distinct()
        with self._engine.connect() as connection:
            return set(connection.scalars(query))

    def _commit(self, work: Callable[[], _T], at_any_rate: bool = False) -> _T:
        """Run a transaction; one that has to be kept at any rate may use the reserve.

        Raises:
            StorageFull: there is no room for it.
        """
        if self._full and not at_any_rate and not self._has_room():
            raise StorageFull("the disk is full")
        steps = self._make_room() if at_any_rate else iter(())
        while True:
            try:
                with self._writing.begin():
                    return work()
            except DatabaseError as error:
                if not self._is_for_room(error):
                    raise
                if not self._full:
                    self._full = True
                    self._reserve.release_half()
                    sqlite.restart_log(self._writing)
                if not next(steps, False):
                    raise StorageFull("the disk is full") from error

    def _make_room(self) -> Iterator[bool]:
        """Do what can be done for what has to be kept, step by step."""
        sqlite.restart_log(self._writing)
        yield True
        while self._reserve.release():
            yield True

    def _is_for_room(self, error: DatabaseError) -> bool:
        return sqlite.says_full(error) or (sqlite.says_broken(error) and self._reserve.is_disk_full())

    def _has_room(self) -> bool:
        """Whether there is room again: for the reserve, and some more beside it."""
        if time.monotonic() < self._next_try:
            return False
        self._next_try = time.monotonic() + _TRY_AGAIN_S
        if not self._reserve.restore():
            sqlite.give_back(self._writing)
        self._full = not self._reserve.restore()
        return not self._full

    def _insert_events(self, write: Write) -> None:
        if write.events:
            rows = [
                {"job": write.job.id, "sequence": record.sequence, "body": record.body}
                for record in write.events
            ]
            self._writing.execute(_INSERT_EVENTS, rows)


def _has_to_be_kept(write: Write) -> bool:
    """Whether it ends a job, or says no more than where one stands that is not to go on now."""
    size = sum(len(record.body) for record in write.events)
    return write.job.ended or (write.job.state is not JobState.RUNNING and size <= _SMALL_BYTES)


def _refuse_newer(revision: str | None) -> None:
    if revision and revision > HEAD:
        raise StoreError(
            f"the database is of revision {revision}, this version of gradstream knows those up to {HEAD}; "
            "use the version that has made it, or name another directory with --data-dir"
        )


def migrate(engine: Engine) -> None:
    """Bring the tables to the revision of this version.

    Raises:
        StoreError: they are of a newer one, or do not tell theirs.
    """
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        revision = connection.scalar(text(_REVISION)) if "alembic_version" in tables else None
    if revision == HEAD:
        return
    _refuse_newer(revision)
    if revision is None and JOBS.name in tables:
        raise StoreError(
            "the database does not tell which revision it is of: it is damaged; restore it, or name another "
            "directory with --data-dir"
        )
    # Importing Alembic takes as long as starting all the rest; most starts have nothing to migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Python begins a transaction for changes of rows alone. A server that is killed while it migrates
            # would leave tables of neither revision.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
