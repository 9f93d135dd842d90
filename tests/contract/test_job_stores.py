"""What every store of jobs has to do. A further one costs a function here, and a line in STORES."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

import pytest
from tests.domain import new_job

from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.store import JobStore, RequestIdTaken, Write
from gradstream_server.stores.sql import SqlJobStore


class ClosableStore(JobStore, Protocol):
    def close(self) -> None: ...


def sqlite(folder: Path) -> ClosableStore:
    """SQLite in a folder."""
    return SqlJobStore.open_sqlite(folder / "jobs.sqlite")


def fast_sqlite(folder: Path) -> ClosableStore:
    """The same, where a power cut may cost the newest commits."""
    return SqlJobStore.open_sqlite(folder / "jobs.sqlite", "process")


STORES: list[Callable[[Path], ClosableStore]] = [sqlite, fast_sqlite]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ClosableStore]]:
    """Opens the same store, as often as it is called."""
    opened: list[ClosableStore] = []

    def open_it() -> ClosableStore:
        opened.append(request.param(tmp_path))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ClosableStore]) -> ClosableStore:
    return open_store()


def queued() -> Job:
    return replace(new_job(), state=JobState.QUEUED, last_sequence=1)


def create(store: JobStore, job: Job | None = None) -> Job:
    job = job or queued()
    store.create(Write(job, [EventRecord(1, b"queued")]))
    return job


def more(job: Job, *bodies: bytes, state: JobState = JobState.RUNNING) -> Write:
    """The next entries of a job's log."""
    first = job.last_sequence + 1
    records = [EventRecord(first + i, body) for i, body in enumerate(bodies)]
    return Write(replace(job, state=state, last_sequence=job.last_sequence + len(bodies)), records)


def test_a_job_comes_back_as_it_was(open_store: Callable[[], ClosableStore]) -> None:
    """After a restart a user would find another job than before."""
    store = open_store()
    told = {"data_digest": "d" * 64, "priority": -(2**31), "cancel_on_disconnect": True, "group": "g" * 64}
    job = create(store, replace(queued(), **told))
    fault = Fault(FaultReason.DIVERGED, 'loss "∞"', {"epoch": "7"})
    ended = replace(
        job,
        state=JobState.FAILED,
        update_time=NOW + timedelta(microseconds=1),
        start_time=NOW,
        end_time=NOW + timedelta(microseconds=1),
        attempt=2,
        attempt_time=NOW - timedelta(microseconds=1),
        restarts=1,
        earlier_attempts_s=0.1 + 0.2,
        last_sequence=3,
        has_started=True,
        epochs_done=10_000_000,
        last_loss=5e-324,
        checkpoints=(Checkpointed(2**53 + 1, 'b "é"'), Checkpointed(1, "a")),
        fault=fault,
    )
    records = [EventRecord(2, b"\0" * 100_000), EventRecord(3, b"")]
    store.append([Write(ended, records)])
    store.close()
    again = open_store()
    assert again.get(job.id) == again.find_request(job.request_id) == ended
    assert again.events(job.id, 0, 10**9) == [EventRecord(1, b"queued"), *records]


@pytest.mark.parametrize("name", ["get", "find_request"])
def test_what_is_not_there_is_none(store: ClosableStore, name: str) -> None:
    """A user who mistypes an id would get a fault of the server."""
    for key in ("nope", "", "x" * 10_000, "\0", "'; DROP TABLE jobs; --", "🙂"):
        assert getattr(store, name)(key) is None
    assert store.events("nope", 0, 10) == []


def test_a_request_id_makes_one_job(store: ClosableStore) -> None:
    """A request that is repeated would train twice."""
    job = create(store)
    with pytest.raises(RequestIdTaken):
        create(store, replace(queued(), request_id=job.request_id))
    assert [found.id for found in store.page([], None, 10)[0]] == [job.id]


def test_writes_are_all_or_nothing(store: ClosableStore) -> None:
    """A failed write would leave a job at an event that its log lacks."""
    jobs = [create(store) for _ in range(3)]
    broken = Write(replace(jobs[1], last_sequence=2), [EventRecord(1, b"a second event 1")])
    with pytest.raises(Exception):  # noqa: B017, PT011 - each store has its own
        store.append([more(jobs[0], b"a"), broken, more(jobs[2], b"c")])
    for job in jobs:
        assert store.get(job.id) == job
        assert store.events(job.id, 0, 1000) == [EventRecord(1, b"queued")]
    with pytest.raises(Exception):  # noqa: B017, PT011 - as above
        store.create(Write(new := queued(), [EventRecord(1, b"a"), EventRecord(1, b"b")]))
    assert store.get(new.id) is None


def test_several_writes_of_a_job_in_one_go(store: ClosableStore) -> None:
    """Under load a job would fall behind its own log."""
    job, other = create(store), create(store)
    first = more(job, b"running", b"2")
    second = more(first.job, b"done", state=JobState.SUCCEEDED)
    store.append([first, more(other, b"x"), second])
    assert store.get(job.id) == second.job
    assert [record.sequence for record in store.events(job.id, 0, 1000)] == [1, 2, 3, 4]


def test_events_come_in_order_and_in_pages(store: ClosableStore) -> None:
    """A watcher would see events out of order, miss some, or cost the server all its memory."""
    job, other = create(store), create(store)
    write = more(job, *(bytes([i % 256]) * 100 for i in range(1000)))
    store.append([more(other, b"of another job"), write])
    read: list[EventRecord] = []
    while page := store.events(job.id, read[-1].sequence if read else 0, 5000):
        assert len(page) == 1 or sum(len(record.body) for record in page) <= 5000
        read += page
    assert read == [EventRecord(1, b"queued"), *write.events]
    assert store.events(job.id, 500, 1) == [write.events[499]]
    assert store.events(job.id, 1001, 10**9) == []


def test_pages_are_newest_first_and_stand_still_while_jobs_are_added(store: ClosableStore) -> None:
    """A user who pages through jobs would see one twice, or miss one, because others start jobs meanwhile."""
    jobs = [create(store) for _ in range(25)]
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = store.page([], cursor, 4)
        seen += [job.id for job in page]
        if cursor is None:
            break
        assert len(page) == 4
        create(store)
    assert seen == [job.id for job in reversed(jobs)]


def test_pages_of_some_states(store: ClosableStore) -> None:
    """A user who asks for running jobs would page through all there ever were."""
    jobs = [create(store) for _ in range(12)]
    for job in jobs[::3]:
        store.append([more(job, b"x", state=JobState.RUNNING)])
    for job in jobs[1::3]:
        store.append([more(job, b"x", state=JobState.CANCELLED)])
    first, cursor = store.page([JobState.RUNNING], None, 3)
    rest, end = store.page([JobState.RUNNING], cursor, 3)
    assert [job.id for job in first + rest] == [job.id for job in reversed(jobs[::3])]
    assert end is None
    assert len(store.page([JobState.RUNNING, JobState.CANCELLED], None, 100)[0]) == 8
    assert store.page([JobState.FAILED], None, 100) == ([], None)
    assert store.page([], None, 12)[1] is None


def test_pages_of_a_group(store: ClosableStore) -> None:
    """A user would find runs of another sweep among those of his own, or miss some."""
    jobs = [create(store, replace(queued(), group=("", "a", "A", "a.b")[i % 4])) for i in range(16)]
    store.append([more(jobs[1], b"x", state=JobState.RUNNING)])
    first, cursor = store.page([], None, 3, "a")
    rest, end = store.page([], cursor, 3, "a")
    assert [job.id for job in first + rest] == [job.id for job in reversed(jobs[1::4])]
    assert end is None
    assert [job.id for job in store.page([JobState.RUNNING], None, 3, "a")[0]] == [jobs[1].id]
    assert store.page([], None, 3, "nope") == ([], None)
    assert len(store.page([], None, 100)[0]) == 16


def test_unfinished_jobs_are_oldest_first(store: ClosableStore) -> None:
    """After a restart the job that waits longest would come last."""
    jobs = [create(store) for _ in range(len(JobState))]
    for job, state in zip(jobs, JobState, strict=True):
        if state is not JobState.QUEUED:
            store.append([more(job, b"x", state=state)])
    live = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING)
    expected = [job.id for job, state in zip(jobs, JobState, strict=True) if state in live]
    assert [job.id for job in store.unfinished()] == expected


def test_a_deleted_job_is_gone_with_its_log(open_store: Callable[[], ClosableStore]) -> None:
    """What a user deletes would still be there, or what others keep would go with it."""
    store = open_store()
    job, other = create(store), create(store)
    store.append([more(job, b"x", b"y"), more(other, b"z")])
    store.delete(job.id)
    store.delete(job.id)
    store.delete("nope")
    store.close()
    again = open_store()
    assert again.get(job.id) is None
    assert again.find_request(job.request_id) is None
    assert again.events(job.id, 0, 1000) == []
    assert [found.id for found in again.page([], None, 10)[0]] == [other.id]
    assert len(again.events(other.id, 0, 1000)) == 2
    create(again, replace(queued(), request_id=job.request_id))


def test_pages_stand_still_while_jobs_are_deleted(store: ClosableStore) -> None:
    """A user who pages through jobs would miss one because others delete jobs meanwhile."""
    jobs = [create(store) for _ in range(10)]
    first, cursor = store.page([], None, 4)
    store.delete(first[-1].id)
    store.delete(jobs[-1].id)
    rest, end = store.page([], cursor, 10)
    assert [job.id for job in first + rest] == [job.id for job in reversed(jobs)]
    assert end is None


def test_jobs_that_ended_before_a_time(store: ClosableStore) -> None:
    """Old jobs would fill the disk, or jobs would go that are not old enough, or have not ended."""
    ended: list[str] = []
    for minutes in (3, 1, 2, 4):
        write = more(create(store), b"end", state=JobState.SUCCEEDED)
        time = NOW + timedelta(minutes=minutes)
        store.append([replace(write, job=replace(write.job, end_time=time))])
        ended.append(write.job.id)
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING):
        store.append([more(create(store), b"x", state=state)])
    found = store.ended_before(NOW + timedelta(minutes=4), 100)
    assert {job.id for job in found} == set(ended[:3])
    assert len(store.ended_before(NOW + timedelta(minutes=4), 2)) == 2
    in_tokyo = (NOW + timedelta(minutes=2)).astimezone(timezone(timedelta(hours=9)))
    assert [job.id for job in store.ended_before(in_tokyo, 100)] == [ended[1]]
    assert store.ended_before(NOW, 100) == []


def test_data_are_in_use_until_the_last_job_with_them_is_gone(store: ClosableStore) -> None:
    """The table of a job that waits would be removed together with another job."""
    jobs = [create(store, replace(queued(), data_digest="d")) for _ in range(2)]
    assert store.uses_data("d")
    assert "d" in store.data_digests()
    assert not store.uses_data("e")
    store.delete(jobs[0].id)
    assert store.uses_data("d")
    store.delete(jobs[1].id)
    assert not store.uses_data("d")


def test_after_a_failed_write_it_goes_on(store: ClosableStore) -> None:
    """One fault would take the store from everybody until the server is started again."""
    job = create(store)
    for _ in range(20):
        with pytest.raises(Exception):  # noqa: B017, PT011 - each store has its own
            store.append([Write(job, [EventRecord(1, b"a second event 1")])])
        assert store.get(job.id) == job
    write = more(job, b"x")
    store.append([write])
    assert store.get(job.id) == write.job


def test_jobs_are_read_while_others_are_written(store: ClosableStore) -> None:
    """A server with a busy job would answer nobody else."""
    job = create(store)
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(store.get, job.id) for _ in range(100)]
        for _ in range(100):
            write = more(job, b"x" * 1000)
            store.append([write])
            job = write.job
        assert all(read.result() for read in reads)
    assert store.get(job.id) == job
