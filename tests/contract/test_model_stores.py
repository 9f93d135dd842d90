"""What every store of models has to do. A further one costs a function here, and a line in STORES."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.domain import new_job

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.model import Model
from gradstream_server.jobs.store import JobStore, VersionTaken, Write
from gradstream_server.models.store import ModelStore
from gradstream_server.stores.database import Database
from gradstream_server.stores.models import SqlModelStore
from gradstream_server.stores.sql import SqlJobStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@dataclass(frozen=True)
class Stores:
    """A store of models, the one of the jobs that leave them, and what closes both."""

    models: ModelStore
    jobs: JobStore
    close: Callable[[], None]


def sqlite(folder: Path) -> Stores:
    """SQLite in a folder."""
    database = Database.open_sqlite(folder / "jobs.sqlite")
    return Stores(SqlModelStore(database), SqlJobStore(database), database.close)


STORES: list[Callable[[Path], Stores]] = [sqlite]


@pytest.fixture(params=STORES)
def open_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Stores]]:
    """Opens the same stores, as often as it is called."""
    opened: list[Stores] = []

    def open_them() -> Stores:
        opened.append(request.param(tmp_path))
        return opened[-1]

    yield open_them
    for stores in opened:
        stores.close()


@pytest.fixture
def stores(open_stores: Callable[[], Stores]) -> Stores:
    return open_stores()


def created(stores: Stores) -> Job:
    job = replace(new_job(), state=JobState.RUNNING, last_sequence=1)
    stores.jobs.create(Write(job, [EventRecord(1, b"begun")]))
    return job


def ended(job: Job, name: str, version: int, **changes: object) -> Write:
    """The end of a job, which leaves a model."""
    end = replace(job, state=JobState.SUCCEEDED, last_sequence=2, model_name=name, model_version=version)
    model = Model(name, version, job.id, NOW, job.spec, b"outcome")
    return Write(end, [EventRecord(2, b"end")], replace(model, **changes))


def left(stores: Stores, name: str, version: int) -> Model:
    write = ended(created(stores), name, version)
    stores.jobs.append([write])
    assert write.model
    return write.model


def test_a_model_comes_back_as_it_was(open_stores: Callable[[], Stores]) -> None:
    """After a restart a user would find another model than before, or none."""
    stores = open_stores()
    write = ended(created(stores), "n" * 64, 2**31 - 1, spec=bytes(range(256)), outcome=b"\0" * 10_000)
    stores.jobs.append([write])
    stores.close()
    again = open_stores()
    assert again.models.get("n" * 64) == again.models.get("n" * 64, 2**31 - 1) == write.model
    assert again.models.of_job(write.job.id) == write.model
    assert again.models.jobs() == {write.job.id}


def test_a_model_outlives_its_job(stores: Stores) -> None:
    """Who tidies up his jobs would lose his models."""
    model = left(stores, "a", 1)
    stores.jobs.delete(model.job)
    assert stores.models.get("a") == model


def test_the_latest_is_the_one_of_the_highest_version(stores: Stores) -> None:
    """A user would be given an old model for the new one, or one of another name."""
    models = [left(stores, "a", version) for version in (1, 2, 10)]
    left(stores, "A", 11)
    left(stores, "a.", 12)
    assert stores.models.get("a") == models[-1]
    assert stores.models.get("a", 2) == models[1]
    assert stores.models.versions("a") == [1, 2, 10]
    for name, version in (("a", 3), ("b", 0), ("", 0), ("a' OR 1=1 --", 0), ("\0", 1)):
        assert stores.models.get(name, version) is None


def test_a_version_is_given_once(stores: Stores) -> None:
    """Two jobs of a name that end at once would leave one model, or their ends would be lost."""
    first, second = created(stores), created(stores)
    stores.jobs.append([ended(first, "a", 1)])
    with pytest.raises(VersionTaken):
        stores.jobs.append([ended(second, "a", 1)])
    assert stores.jobs.get(second.id) == second
    assert stores.jobs.last_version("a") == 1
    stores.jobs.append([ended(second, "a", 2)])
    assert stores.models.versions("a") == [1, 2]


def test_a_version_that_was_deleted_is_not_given_again(open_stores: Callable[[], Stores]) -> None:
    """A program that asks for version 2 would one day be given quite another model."""
    stores = open_stores()
    for version in (1, 2, 3):
        left(stores, "a", version)
    assert stores.jobs.last_version("b") == 0
    assert [model.version for model in stores.models.delete("a", [3, 7])] == [3]
    assert [model.version for model in stores.models.delete("a", [1])] == [1]
    stores.close()
    again = open_stores()
    assert again.models.get("a", 3) is None
    assert again.models.get("a") == again.models.get("a", 2)
    assert again.jobs.last_version("a") == 3
    with pytest.raises(VersionTaken):
        again.jobs.append([ended(created(again), "a", 2)])
    assert again.models.delete("a", again.models.versions("a")) != []
    assert again.models.delete("a", [2]) == []
    assert (again.jobs.last_version("a"), again.models.versions("a")) == (3, [])


def test_pages_are_newest_first_and_stand_still(stores: Stores) -> None:
    """A user who pages through models would see one twice, or miss one, because others train meanwhile."""
    models = [left(stores, "ab"[i % 2], i // 2 + 1) for i in range(10)]
    first, cursor = stores.models.page("", None, 4)
    left(stores, "c", 1)
    stores.models.delete(first[-1].name, [first[-1].version])
    rest, end = stores.models.page("", cursor, 10)
    assert first + rest == models[::-1]
    assert end is None
    assert stores.models.page("b", None, 2)[0] == [models[9], models[7]]
    assert stores.models.page("nope", None, 2) == ([], None)


def test_the_index_has_all_versions(stores: Stores) -> None:
    """Who looks after a server would not see what can be asked."""
    for name, version in (("b", 1), ("a", 10), ("a", 2)):
        left(stores, name, version)
    assert stores.models.index() == [("a", 2), ("a", 10), ("b", 1)]


def test_names_are_those_of_the_newest_models(stores: Stores) -> None:
    """Who mistypes a name would be told of models that nobody uses any more."""
    for name, version in (("old", 1), ("a", 1), ("b", 1), ("a", 2)):
        left(stores, name, version)
    assert stores.models.names(2) == ["a", "b"]


def test_a_job_that_is_kept_when_it_has_ended_leaves_its_model(stores: Stores) -> None:
    """A training of a moment would leave none."""
    left(stores, "house-prices", 1)
    write = ended(replace(new_job(), state=JobState.RUNNING), "house-prices", 2)
    stores.jobs.create(write)
    assert stores.models.get("house-prices") == write.model
    again = ended(replace(new_job(), state=JobState.RUNNING), "house-prices", 2)
    with pytest.raises(VersionTaken):
        stores.jobs.create(again)
    assert stores.jobs.get(again.job.id) is None
