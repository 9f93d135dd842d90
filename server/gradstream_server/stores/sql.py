"""Jobs and their logs in a SQL database, by SQLAlchemy Core. SQLite in the data directory."""

import json
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    URL,
    Engine,
    Row,
    bindparam,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.job import ENDED, Job, JobState
from gradstream_server.jobs.store import RequestIdTaken, Write
from gradstream_server.stores.schema import EVENTS, HEAD, JOBS

_FIXED = {"id", "request_id", "spec", "create_time"}
_CHANGING = [field.name for field in fields(Job) if field.name not in _FIXED]
_UPDATE_JOB = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_INSERT_JOB = insert(JOBS)
_INSERT_EVENTS = insert(EVENTS)
_PAGE_EVENTS = 256


class StoreError(Exception):
    """The database cannot be used; the text says why and what to do."""


class SqlJobStore:
    """Jobs and their logs. The engine's connections are pooled; any thread may call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # One thread writes, on one connection: to take one from the pool costs as much as a commit.
        self._writing = engine.connect()

    @classmethod
    def open_sqlite(cls, path: Path) -> "SqlJobStore":
        """The store in a SQLite file, made or migrated as needed.

        Raises:
            StoreError: it cannot be read or written, or a newer version has made it.
        """
        engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(engine, "connect", _configure_sqlite)
        try:
            migrate(engine)
        except BaseException as error:
            engine.dispose()
            if isinstance(error, DatabaseError):
                what = f"cannot use the database {path}: {error.orig}"
                raise StoreError(f"{what}; restore it, or name another directory with --data-dir") from error
            raise
        return cls(engine)

    def close(self) -> None:
        """Close every connection."""
        self._writing.close()
        self._engine.dispose()

    def create(self, write: Write) -> None:
        row = {name: getattr(write.job, name) for name in _FIXED} | _changing(write.job)
        try:
            with self._writing.begin():
                self._writing.execute(_INSERT_JOB, row)
                self._insert_events(write)
        except IntegrityError as error:
            if self.find_request(write.job.request_id):
                raise RequestIdTaken(write.job.request_id) from error
            raise

    def append(self, writes: Sequence[Write]) -> None:
        with self._writing.begin():
            for write in writes:
                self._insert_events(write)
            latest = {write.job.id: write.job for write in writes}
            self._writing.execute(
                _UPDATE_JOB,
                [
                    {"job_id": job.id} | {f"new_{name}": value for name, value in _changing(job).items()}
                    for job in latest.values()
                ],
            )

    def get(self, job: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one_or_none()
        return _job(row) if row else None

    def find_request(self, request_id: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.request_id == request_id)).one_or_none()
        return _job(row) if row else None

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
        return [_job(row) for row in rows[:size]], cursor

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
            return [_job(row) for row in connection.execute(query)]

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
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _configure_sqlite(connection: Any, _: object) -> None:
    # WAL: readers and the writer do not wait for each other. NORMAL: a commit survives the death of the
    # process; after a power cut the newest commits may be missing, never part of one.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _changing(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in _CHANGING}
    if job.fault:
        fault = job.fault
        row["fault"] = json.dumps(
            {"reason": fault.reason, "message": fault.message, "facts": dict(fault.facts)}
        )
    return row


def _job(row: Row[Any]) -> Job:
    values = row._asdict()
    del values["number"]
    values["state"] = JobState(values["state"])
    for name in ("create_time", "start_time", "end_time"):
        # SQLite keeps no time zones.
        time = cast(datetime | None, values[name])
        values[name] = time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
    if values["fault"]:
        fault = json.loads(values["fault"])
        values["fault"] = Fault(FaultReason(fault["reason"]), fault["message"], fault["facts"])
    return Job(**values)
