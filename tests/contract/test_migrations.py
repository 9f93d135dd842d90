"""Migrations: data of an earlier version go on working, and a new store has the tables as written."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from gradstream_server.stores.schema import HEAD, METADATA
from gradstream_server.stores.sql import SqlJobStore, migrate


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


def test_migrations_make_the_tables_of_the_schema(engine: Engine) -> None:
    """A column that is in the schema but in no migration would break the first server that is updated."""
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def test_a_store_that_is_up_to_date_stays_as_it_is(engine: Engine) -> None:
    """Each start would rewrite the tables, or lose what is in them."""
    for _ in range(2):
        migrate(engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS mark (x INTEGER)"))
    assert inspect(engine).has_table("mark")
    assert inspect(engine).has_table("jobs")
    engine.dispose()


@pytest.mark.parametrize("name", ["with space", "50% off", "what?", "a#b", "ümläut"])
def test_the_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A user's data directory would end up under another name, or nowhere."""
    folder = tmp_path / name
    folder.mkdir()
    SqlJobStore.open_sqlite(folder / "jobs.sqlite").close()
    assert (folder / "jobs.sqlite").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
