"""What is particular about SQLite."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from gradstream_server.stores.reserve import NO_ROOM

Durability = Literal["power", "process"]
"""What a commit survives: a power cut, or the death of the process alone. After a power cut "process" may
miss the newest commits, never part of one."""

_SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}
# Of 4 KiB. After so many the log is brought to the database's own file: what it may lack room for then is
# half of the reserve.
_LOG_PAGES = 500
# In one go, with what moves for them less than the log has room for; and all of them more than the reserve.
_VACUUM_PAGES = 64
_VACUUM_ROUNDS = 32


def peek(path: Path, query: str) -> Any:
    """The first value that a query finds in a database, which is left as it is; None when it finds none."""
    if not path.exists():
        return None
    # To read a log, SQLite has to write beside it; without one, nothing of the database can change.
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
            return next(iter(connection.execute(query).fetchone() or ()), None)
    except sqlite3.Error:
        return None  # whoever opens it to use it is told


def configure(durability: Durability, connection: Any, _: object) -> None:
    """Set up a new connection of the driver."""
    for pragma in (
        # Of effect on a new database only: lets it shrink.
        "auto_vacuum=INCREMENTAL",
        # Readers and the writer do not wait for each other. The files themselves are safe from a power cut:
        # SQLite waits for the folder when it has made the log that commits go to.
        "journal_mode=WAL",
        f"synchronous={_SYNCHRONOUS[durability]}",
        "busy_timeout=5000",
        "foreign_keys=ON",
        # To overwrite with zeros what is deleted takes ten times as long as to delete it.
        "secure_delete=OFF",
        f"wal_autocheckpoint={_LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def says_full(error: DatabaseError | OSError) -> bool:
    """Whether it says that the disk is full."""
    return error.errno in NO_ROOM if isinstance(error, OSError) else _code(error) == sqlite3.SQLITE_FULL


def says_broken(error: DatabaseError) -> bool:
    """Whether it says that the disk is broken. So it also says of a quota that is used up, and of a full disk
    when room lacks for the index of the log."""
    return _code(error) == sqlite3.SQLITE_IOERR


def restart_log(connection: Connection) -> None:
    """Bring all commits from the log to the database's own file, as far as there is room for them there. The
    log is then used again from its beginning, and as long as it was it takes no more room."""
    with suppress(sqlite3.OperationalError):
        _driver(connection).execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def give_back(connection: Connection) -> None:
    """Give the disk what deleted jobs have left free in the database, which else is used again there."""
    driver = _driver(connection)
    restart_log(connection)
    for _ in range(_VACUUM_ROUNDS):
        if not driver.execute("PRAGMA freelist_count").fetchone()[0]:
            return
        try:
            # As a script, or it would end after the first page.
            driver.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        except sqlite3.OperationalError:
            return
        restart_log(connection)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _code(error: DatabaseError) -> int:
    """What SQLite calls an error, without the details."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
