"""The database: its connections, transactions that know of a full disk, and its tables brought up to date."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError

from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores import sqlite
from gradstream_server.stores.reserve import Reserve
from gradstream_server.stores.schema import HEAD, JOBS
from gradstream_server.stores.sqlite import Durability

_T = TypeVar("_T")

_REVISION = "SELECT version_num FROM alembic_version"
# Nothing tells when a full disk has room again; to try with every write would make each of them slow.
_TRY_AGAIN_S = 1.0


class StoreError(Exception):
    """The database cannot be used; the text says why and what to do."""


class Database:
    """Connections for any thread to read by, and one to write by.

    When the disk is full, ordinary transactions are refused until there is room again. What ends jobs, puts
    them aside or removes them is kept all the same: it may use the reserve.
    """

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self.engine = engine
        self._reserve = reserve
        self.writing = engine.connect()
        """One thread writes, on one connection: to take one from the pool costs as much as a commit."""
        self._full = not reserve.restore()
        self._next_try = 0.0

    @classmethod
    def open_sqlite(cls, path: Path, durability: Durability = "power") -> "Database":
        """A SQLite file, made or migrated as needed.

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
        self.writing.close()
        self.engine.dispose()

    def commit(self, work: Callable[[], _T], at_any_rate: bool = False) -> _T:
        """Run a transaction; one that has to be kept at any rate may use the reserve.

        Raises:
            StorageFull: there is no room for it.
        """
        if self._full and not at_any_rate and not self._has_room():
            raise StorageFull("the disk is full")
        steps = self._make_room() if at_any_rate else iter(())
        while True:
            try:
                with self.writing.begin():
                    return work()
            except DatabaseError as error:
                if not self._is_for_room(error):
                    raise
                if not self._full:
                    self._full = True
                    self._reserve.release_half()
                    sqlite.restart_log(self.writing)
                if not next(steps, False):
                    raise StorageFull("the disk is full") from error

    def with_room(self, work: Callable[[], _T]) -> _T:
        """Do what has to be kept outside of the database at any rate: it may use the reserve.

        Raises:
            StorageFull: there is no room for it, even so.
        """
        while True:
            try:
                return work()
            except StorageFull:
                self._full = True
                if not self._reserve.release():
                    raise

    def _make_room(self) -> Iterator[bool]:
        """Do what can be done for what has to be kept, step by step."""
        sqlite.restart_log(self.writing)
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
            sqlite.give_back(self.writing)
        self._full = not self._reserve.restore()
        return not self._full


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
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # A table that is made anew is dropped first, and with it would go the rows that refer to it. No
            # other transaction gets this connection.
            connection.detach()
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            # Python begins a transaction for changes of rows alone. A server that is killed while it migrates
            # would leave tables of neither revision.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
