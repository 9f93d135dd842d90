"""A store for each test, copied from one that was migrated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.jobs.in_process import HeldStore

from gradstream_server.stores.sql import SqlJobStore


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store."""
    path = tmp_path_factory.mktemp("store") / "empty.sqlite"
    SqlJobStore.open_sqlite(path).close()
    return path


@pytest.fixture
def store(migrated: Path, tmp_path: Path) -> Iterator[HeldStore]:
    """A real store, empty."""
    inner = SqlJobStore.open_sqlite(Path(shutil.copy(migrated, tmp_path / "jobs.sqlite")))
    held = HeldStore(inner)
    yield held
    held.release()
    inner.close()
