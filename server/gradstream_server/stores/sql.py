"""Jobs and their logs in a SQL database, by SQLAlchemy Core. SQLite in the data directory."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

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
from gradstream_server.stores.reserve import NO_ROOM, Reserve
from gradstream_server.stores.rows import CHANGING, from_row, to_changes, to_row
from gradstream_server.stores.schema import EVENTS, HEAD, JOBS

Durability = Literal["power", "process"]
"""What a commit survives: a power cut, or the death of the process alone. After a power cut "process" may
miss the newest commits, never part of one."""

_SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}
_UPDATE_JOB = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"))
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)
_INSERT_JOB = insert(JOBS)
_INSERT_EVENTS = insert(EVENTS)
_PAGE_EVENTS = 256
# Pages that are given back to the disk in one go: with all that moves for them they fit into the reserve.
_VACUUM_PAGES = 32
_VACUUM_ROUNDS = 32


class StoreError(Exception):
    """The database cannot be used; the text says why and what to do."""


class SqlJobStore:
    """Jobs and their logs. The engine's connections are pooled; any thread may call.

    When the disk is full, new jobs and ordinary events are refused until there is room again. What ends jobs
    or removes them is kept all the same: it may use the reserve.
    """

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self._engine = engine
        self._reserve = reserve
        # One thread writes, on one connection: to take one from the pool costs as much as a commit.
        self._writing = engine.connect()

    @classmethod
    def open_sqlite(cls, path: Path, durability: Durability = "power") -> "SqlJobStore":
        """The store in a SQLite file, made or migrated as needed.

        Raises:
            StoreError: it cannot be read or written, or a newer version has made it.
        """
        engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(engine, "connect", partial(_configure_sqlite, durability))
        try:
            reserve = Reserve(path.with_name(path.name + "-reserve"))
            try:
                migrate(engine)
            except DatabaseError:
                # SQLite needs some room to open a database at all, and does not always say that this is why.
                if not reserve.give_up():
                    raise
                migrate(engine)
            reserve.hold()
            return cls(engine, reserve)
        except BaseException as error:
            engine.dispose()
            if isinstance(error, DatabaseError | OSError):
                cause = error.orig if isinstance(error, DatabaseError) else error.strerror
                what = f"cannot use the database {path}: {cause}"
                remedy = "make room" if _says_full(error) else "restore it"
                raise StoreError(f"{what}; {remedy}, or name another directory with --data-dir") from error
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

        self._commit(insert_all, at_any_rate=any(write.job.ended for write in writes))

    def delete(self, job: str) -> None:
        def delete_all() -> None:
            # Not left to the cascade, which keeps a copy of what it changes until it is done.
            self._writing.execute(delete(EVENTS).where(EVENTS.c.job == job))
            self._writing.execute(delete(JOBS).where(JOBS.c.id == job))

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
        self, states: Collection[JobState], before: int | None, size: int
    ) -> tuple[list[Job], int | None]:
        query = select(JOBS).order_by(JOBS.c.number.desc()).limit(size + 1)
        if states:
            query = query.where(JOBS.c.state.in_([str(state) for state in states]))
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
        query = select(JOBS).where(JOBS.c.end_time < time).order_by(JOBS.c.end_time).limit(limit)
        with self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]

    def uses_data(self, digest: str) -> bool:
        query = select(JOBS.c.id).where(JOBS.c.data_digest == digest).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def _commit(self, work: Callable[[], None], at_any_rate: bool = False) -> None:
        """Run a transaction; one that has to be kept at any rate may use the reserve.

        Raises:
            StorageFull: there is no room for it.
        """
        if not (at_any_rate or self._has_room()):
            raise StorageFull("the disk is full")
        try:
            self._transact(work)
        except StorageFull:
            if not (self._reserve.give_up() and at_any_rate):
                raise
            self._transact(work)

    def _transact(self, work: Callable[[], None]) -> None:
        try:
            with self._writing.begin():
                work()
        except DatabaseError as error:
            # A quota that is used up, and room that lacks for the index of the WAL, are told as if the disk
            # were broken.
            unclear = _sqlite_code(error) == sqlite3.SQLITE_IOERR
            if _says_full(error) or (unclear and not self._reserve.fits_again()):
                raise StorageFull("the disk is full") from error
            raise

    def _has_room(self) -> bool:
        """Whether there is room for more than ends of jobs: for the reserve, and as much again."""
        if self._reserve.due() and not self._reserve.hold():
            self._give_back()
            self._reserve.hold()
        return self._reserve.held

    def _give_back(self) -> None:
        """Give the disk what deleted jobs have left free in the database, which else is used again there."""
        for _ in range(_VACUUM_ROUNDS):
            try:
                with self._writing.begin():
                    free = self._writing.scalar(text("PRAGMA freelist_count"))
                    self._writing.execute(text(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")).all()
                    self._writing.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).all()
            except DatabaseError:
                return
            if not free:
                return

    def _insert_events(self, write: Write) -> None:
        if write.events:
            rows = [
                {"job": write.job.id, "sequence": record.sequence, "body": record.body}
                for record in write.events
            ]
            self._writing.execute(_INSERT_EVENTS, rows)


def migrate(engine: Engine) -> None:
    """Bring the tables to the revision of this version.

    Raises:
        StoreError: they are of a newer one.
    """
    with engine.connect() as connection:
        known = inspect(connection).has_table("alembic_version")
        revision = connection.scalar(text("SELECT version_num FROM alembic_version")) if known else None
    if revision == HEAD:
        return
    if revision and revision > HEAD:
        raise StoreError(
            f"the database is of revision {revision}, this version of gradstream knows those up to {HEAD}; "
            "use the version that has made it, or name another directory with --data-dir"
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


def _configure_sqlite(durability: Durability, connection: Any, _: object) -> None:
    for pragma in (
        # Has an effect on a new database only: lets it shrink when room is needed.
        "auto_vacuum=INCREMENTAL",
        # Readers and the writer do not wait for each other.
        "journal_mode=WAL",
        f"synchronous={_SYNCHRONOUS[durability]}",
        "busy_timeout=5000",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _says_full(error: DatabaseError | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return _sqlite_code(error) == sqlite3.SQLITE_FULL


def _sqlite_code(error: DatabaseError) -> int:
    """What SQLite calls an error, without the details."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
