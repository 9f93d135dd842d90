"""What is known of models, in a SQL database. `sql.py` adds them together with the ends of their jobs."""

from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import ColumnElement, Row, delete, func, insert, select

from gradstream_server.jobs.model import Model
from gradstream_server.stores.database import Database
from gradstream_server.stores.schema import DELETED_MODELS, MODELS

_COLUMNS = [column for column in MODELS.c if column.name != "number"]


class SqlModelStore:
    """Models by name and version. Any thread may read, one at a time write."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, version: int = 0) -> Model | None:
        query = select(*_COLUMNS).where(MODELS.c.name == name)
        query = (
            query.where(MODELS.c.version == version) if version else query.order_by(MODELS.c.version.desc())
        )
        with self._database.engine.connect() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return _from_row(row) if row else None

    def of_job(self, job: str) -> Model | None:
        with self._database.engine.connect() as connection:
            row = connection.execute(select(*_COLUMNS).where(MODELS.c.job == job)).one_or_none()
        return _from_row(row) if row else None

    def page(
        self, name: str, before: int | None, size: int, owner: str | None = None
    ) -> tuple[list[Model], int | None]:
        query = select(MODELS.c.number, *_COLUMNS).order_by(MODELS.c.number.desc()).limit(size + 1)
        query = query.where(*_of(owner))
        if name:
            query = query.where(MODELS.c.name == name)
        if before is not None:
            query = query.where(MODELS.c.number < before)
        with self._database.engine.connect() as connection:
            rows = connection.execute(query).all()
        cursor = rows[size - 1].number if len(rows) > size else None
        return [_from_row(row) for row in rows[:size]], cursor

    def versions(self, name: str) -> list[int]:
        query = select(MODELS.c.version).where(MODELS.c.name == name).order_by(MODELS.c.version)
        with self._database.engine.connect() as connection:
            return list(connection.scalars(query))

    def index(self, owner: str | None = None) -> list[tuple[str, int]]:
        query = select(MODELS.c.name, MODELS.c.version).order_by(MODELS.c.name, MODELS.c.version)
        query = query.where(*_of(owner))
        with self._database.engine.connect() as connection:
            return [(row.name, row.version) for row in connection.execute(query)]

    def names(self, limit: int, owner: str | None = None) -> list[str]:
        newest = func.max(MODELS.c.number).desc()
        query = select(MODELS.c.name).where(*_of(owner)).group_by(MODELS.c.name)
        query = query.order_by(newest).limit(limit)
        with self._database.engine.connect() as connection:
            return list(connection.scalars(query))

    def jobs(self) -> set[str]:
        with self._database.engine.connect() as connection:
            return set(connection.scalars(select(MODELS.c.job)))

    def delete(self, name: str, versions: Sequence[int]) -> list[Model]:
        chosen = MODELS.c.name == name, MODELS.c.version.in_(versions)

        def delete_all() -> list[Model]:
            writing = self._database.writing
            found = [_from_row(row) for row in writing.execute(select(*_COLUMNS).where(*chosen))]
            if found:
                writing.execute(delete(MODELS).where(*chosen))
                known = select(DELETED_MODELS.c.version).where(DELETED_MODELS.c.name == name)
                highest = max(writing.scalar(known) or 0, *(model.version for model in found))
                writing.execute(delete(DELETED_MODELS).where(DELETED_MODELS.c.name == name))
                writing.execute(insert(DELETED_MODELS), {"name": name, "version": highest})
            return found

        return self._database.commit(delete_all, at_any_rate=True)


def _of(owner: str | None) -> Sequence[ColumnElement[bool]]:
    """That a model belongs to an owner; nothing for all models."""
    if owner is None:
        return ()
    if not owner:
        return (MODELS.c.name.not_like("%/%"),)
    # LIKE would take upper and lower case for the same. What follows a slash in order is a 0.
    return MODELS.c.name > f"{owner}/", MODELS.c.name < f"{owner}0"


def _from_row(row: Row[tuple[object, ...]]) -> Model:
    values = {column.name: row._mapping[column] for column in _COLUMNS}
    if values["create_time"].tzinfo is None:  # SQLite keeps no time zones.
        values["create_time"] = values["create_time"].replace(tzinfo=UTC)
    return Model(**values)
