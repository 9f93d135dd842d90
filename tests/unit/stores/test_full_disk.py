"""A full disk: what was there stays, what ends jobs is kept, and it goes on once there is room."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.disk import fill, small_disk
from tests.domain import new_job, table

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.spec import summarize
from gradstream_server.jobs.store import StorageFull, Write
from gradstream_server.stores.database import StoreError
from gradstream_server.stores.files import FileDataStore
from gradstream_server.stores.reserve import Reserve
from gradstream_server.stores.sql import SqlJobStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MiB."""
    with small_disk(tmp_path, 12) as disk:
        yield disk


@pytest.fixture
def store(disk: Path) -> Iterator[SqlJobStore]:
    store = SqlJobStore.open_sqlite(disk / "jobs.sqlite")
    yield store
    store.close()


def create(store: SqlJobStore) -> Job:
    job = replace(new_job(), state=JobState.RUNNING, last_sequence=1)
    store.create(Write(job, [EventRecord(1, b"begun")]))
    return job


def grow(store: SqlJobStore, job: Job, size: int = 3000) -> Job:
    """A job with one more event."""
    job = replace(job, last_sequence=job.last_sequence + 1)
    store.append([Write(job, [EventRecord(job.last_sequence, bytes(size))])])
    return job


def fail(store: SqlJobStore, job: Job) -> Job:
    return grow(store, replace(job, state=JobState.FAILED, end_time=NOW), 300)


def grow_until_full(store: SqlJobStore, jobs: list[Job]) -> None:
    with suppress(StorageFull):
        while True:
            for i, job in enumerate(jobs):
                jobs[i] = grow(store, job)


def eventually(action: Callable[[], Job]) -> Job:
    """The outcome of something that a full store refuses until it has looked again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return action()
        except StorageFull:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def assert_kept(store: SqlJobStore, jobs: list[Job]) -> None:
    for job in jobs:
        assert store.get(job.id) == job
        assert len(store.events(job.id, job.last_sequence - 1, 1)) == 1


def test_what_ends_jobs_is_kept_though_others_take_all_room(store: SqlJobStore, disk: Path) -> None:
    """A user's job would be RUNNING for ever, and nobody could tell him that the disk was full."""
    jobs = [create(store) for _ in range(40)]
    grow_until_full(store, jobs)
    fill(disk)
    with pytest.raises(StorageFull):
        create(store)
    talkative = jobs.pop()
    for i, job in enumerate(jobs):
        jobs[i] = fail(store, job)
        with pytest.raises(StorageFull):  # What jobs go on to say does not use up what is kept for ends.
            grow(store, talkative)
    assert_kept(store, jobs)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PAUSED, JobState.CANCELLING])
def test_that_a_job_is_put_aside_is_kept(store: SqlJobStore, disk: Path, state: JobState) -> None:
    """A server could not start with a job that was RUNNING, nor a user cancel the job that fills the disk."""
    jobs = [create(store) for _ in range(40)]
    grow_until_full(store, jobs)
    fill(disk)
    for i, job in enumerate(jobs):
        jobs[i] = grow(store, replace(job, state=state), 300)
        with pytest.raises(StorageFull):  # What it still has to tell of its training is not.
            grow(store, jobs[i])
        with pytest.raises(StorageFull):
            grow(store, replace(jobs[i], state=JobState.RUNNING), 300)
    assert_kept(store, jobs)


def test_an_end_is_kept_together_with_what_others_say(store: SqlJobStore, disk: Path) -> None:
    """A job's end would be lost because another job's event came along with it."""
    first, second = create(store), create(store)
    fill(disk)
    grow_until_full(store, [first])
    second = replace(second, state=JobState.FAILED, end_time=NOW, last_sequence=2)
    first = store.get(first.id) or first
    more = replace(first, last_sequence=first.last_sequence + 1)
    records = [EventRecord(more.last_sequence, b"more")], [EventRecord(2, b"the end")]
    store.append([Write(more, records[0]), Write(second, records[1])])
    assert_kept(store, [more, second])


def test_it_goes_on_when_there_is_room_again(store: SqlJobStore, disk: Path) -> None:
    """An operator who makes room would have to start the server again."""
    filler = fill(disk)
    jobs = [create(store)] if filler.stat().st_size == 0 else []
    with suppress(StorageFull):
        while True:
            jobs.append(create(store))
    filler.unlink()
    jobs.append(eventually(lambda: create(store)))
    jobs[0] = grow(store, jobs[0])
    assert_kept(store, jobs)
    assert (disk / "jobs.sqlite-reserve").stat().st_blocks * 512 >= 4 << 20


@pytest.mark.parametrize("others", [False, True])
def test_to_delete_jobs_makes_room(store: SqlJobStore, disk: Path, others: bool) -> None:
    """A user who deletes jobs because the disk is full would find it as full as before."""
    jobs = [create(store) for _ in range(20)]
    grow_until_full(store, jobs)
    if others:
        fill(disk)
    for job in jobs[:15]:
        store.delete(fail(store, job).id)
        assert store.get(job.id) is None
        assert store.events(job.id, 0, 1) == []
    for i in range(50):
        jobs[-1] = eventually(lambda: grow(store, jobs[-1])) if i == 0 else grow(store, jobs[-1])
    assert_kept(store, jobs[15:])


def test_a_server_starts_on_a_full_disk(store: SqlJobStore, disk: Path) -> None:
    """After a restart nobody could see his jobs, nor delete any to make room."""
    job = create(store)
    store.close()
    fill(disk)
    again = SqlJobStore.open_sqlite(disk / "jobs.sqlite")
    assert_kept(again, [job])
    with pytest.raises(StorageFull):
        create(again)
    assert_kept(again, [fail(again, job)])
    again.close()


def test_no_room_for_a_database_is_told(disk: Path) -> None:
    """An operator would read of a defect, not of what to do."""
    fill(disk)
    with pytest.raises(StoreError, match=r"jobs.sqlite: .*make room, or name another directory"):
        SqlJobStore.open_sqlite(disk / "jobs.sqlite")


def test_data_for_which_there_is_no_room_leave_nothing_behind(disk: Path) -> None:
    """What was written of a table that did not fit would keep the disk full."""
    data = table(rows=1_000_000, features=2)
    store = FileDataStore(disk)
    with pytest.raises(StorageFull):
        store.put(summarize(data).digest, data)
    assert list(disk.iterdir()) == []


def test_a_reserve_is_made_whole_whatever_was_left_of_it(disk: Path) -> None:
    """After a server was killed the room would be missing when it is needed, or be taken twice."""
    path = disk / "reserve"
    for left in (0, 1, 1 << 20, 3 << 20):
        path.write_bytes(bytes(left))
        reserve = Reserve(path, 2 << 20)
        assert reserve.restore()
        assert path.stat().st_size == 2 << 20
        assert shutil.disk_usage(disk).used == 2 << 20
    pieces = 0
    while reserve.release():
        pieces += 1
    assert pieces > 1
    assert shutil.disk_usage(disk).used == 0
    fill(disk)
    assert not reserve.restore()
    assert path.stat().st_size == 0
    assert reserve.is_disk_full()
