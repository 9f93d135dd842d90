"""The log: stored before it is told, without gaps, the same to all who read it, whenever they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from tests.domain import new_job
from tests.unit.jobs.in_process import HeldStore

from gradstream.v1 import event_pb2
from gradstream_server.jobs.codec import EventRecord
from gradstream_server.jobs.errors import JobNotFound, SequenceBeyondLog
from gradstream_server.jobs.events import EpochUpdates, Event, StateChange
from gradstream_server.jobs.job import IllegalTransition, Job
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.store import RequestIdTaken
from gradstream_server.rpc.codec import ProtoCodec

QUEUED, RUNNING, FAILED = StateChange("QUEUED"), StateChange("RUNNING"), StateChange("FAILED")


def epoch(number: int, numbers: int = 1) -> Event:
    """An epoch; its event takes some 8 bytes for each of `numbers`."""
    return EpochUpdates(
        np.array([number]), np.array([1 / number]), {"weight": np.ones((1, 1, numbers), np.float64)}
    )


@asynccontextmanager
async def log_of(store: HeldStore) -> AsyncIterator[EventLog]:
    log = EventLog(store, ProtoCodec())
    try:
        yield log
    finally:
        store.release()
        await log.close()


async def running_job(log: EventLog) -> Job:
    job = await log.create(new_job(), QUEUED)
    return await log.append(job.id, RUNNING)


async def read(log: EventLog, job: str, after: int = 0) -> list[EventRecord]:
    return [record async for records in log.tail(job, after) for record in records]


def sequences(records: Sequence[EventRecord]) -> list[int]:
    return [record.sequence for record in records]


async def test_a_reader_gets_every_event_once_from_any_sequence(store: HeldStore) -> None:
    """A client that re-attaches would see a gap or a repeat in its curve."""
    async with log_of(store) as log:
        job = await running_job(log)
        live = [asyncio.create_task(read(log, job.id, after)) for after in range(3)]
        for number in range(1, 30):
            await log.append(job.id, epoch(number))
        live += [asyncio.create_task(read(log, job.id, after)) for after in (0, 1, 17, 31)]
        await log.append(job.id, epoch(30), FAILED)
        ended = [await read(log, job.id, after) for after in (0, 17, 33)]
        whole = ended[0]
        assert sequences(whole) == list(range(1, 34))
        for after, task in zip((0, 1, 2, 0, 1, 17, 31), live, strict=True):
            assert await task == whole[after:]
        assert ended[1:] == [whole[17:], []]
        assert [event_pb2.TrainingEvent.FromString(r.body).sequence for r in whole] == sequences(whole)


async def test_events_are_stored_before_they_are_told(store: HeldStore) -> None:
    """A user would see an epoch that is gone after a crash."""
    async with log_of(store) as log:
        job = await running_job(log)
        reader = log.tail(job.id, 2)
        store.hold()
        stored = log.append(job.id, epoch(1))
        told = asyncio.ensure_future(anext(reader))
        await store.waits("append")
        assert not told.done()
        assert not stored.done()
        assert (await log.get(job.id)).epochs_done == 0
        store.release()
        assert sequences(await told) == [3]
        assert sequences(store.events(job.id, 2, 1000)) == [3]
        assert (await stored).epochs_done == (await log.get(job.id)).epochs_done == 1


async def test_appends_that_come_while_the_store_writes_share_a_transaction(store: HeldStore) -> None:
    """Many jobs at once would wait for a transaction each."""
    async with log_of(store) as log:
        jobs = [await running_job(log) for _ in range(5)]
        store.appends.clear()
        store.hold()
        first = log.append(jobs[0].id, epoch(1))
        await store.waits("append")
        others = [log.append(job.id, epoch(number)) for number in (2, 3) for job in jobs]
        store.release()
        await asyncio.gather(first, *others)
        assert [len(writes) for writes in store.appends] == [1, 10]
        for job in jobs:
            assert (await log.get(job.id)).epochs_done == 3


async def test_what_a_new_job_tells_within_moments_shares_its_transaction(store: HeldStore) -> None:
    """A short training would wait for the disk twice."""
    async with log_of(store) as log:
        job = new_job()
        created = log.create(job, QUEUED, RUNNING, gather_s=60)
        ended = log.append(job.id, epoch(1), FAILED)
        assert ((await created).state, (await ended).state) == ("RUNNING", "FAILED")
        assert not store.appends
        assert sequences(store.events(job.id, 0, 1 << 20)) == [1, 2, 3, 4]
        assert sequences(await read(log, job.id)) == [1, 2, 3, 4]


async def test_a_new_job_is_stored_though_it_tells_nothing(store: HeldStore) -> None:
    """Who starts a job would wait until it has something to tell."""
    async with log_of(store) as log:
        assert (await log.create(new_job(), QUEUED, RUNNING, gather_s=0.001)).state == "RUNNING"


async def test_a_new_job_does_not_hold_up_others(store: HeldStore) -> None:
    """Every new job would cost all others a moment."""
    async with log_of(store) as log:
        created = log.create(new_job(), QUEUED, gather_s=60)
        other = await log.create(new_job(), QUEUED)
        assert created.done()
        assert other.state == "QUEUED"


async def test_a_new_job_that_cannot_be_stored_takes_along_what_it_has_told(store: HeldStore) -> None:
    """Its worker would wait for the store for ever, or others would lose events with it."""
    async with log_of(store) as log:
        other, job = await running_job(log), new_job()
        store.hold()
        store.failures.append(OSError("disk full"))
        appends = [log.create(job, QUEUED, RUNNING, gather_s=60), log.append(job.id, epoch(1))]
        await store.waits("create")
        appends.append(log.append(job.id, epoch(2), FAILED))
        unharmed = log.append(other.id, epoch(1))
        store.release()
        for append in appends:
            with pytest.raises(OSError, match="disk full"):
                await append
        assert (await unharmed).last_sequence == 3
        assert not log.is_live(job.id)
        with pytest.raises(JobNotFound):
            await log.get(job.id)
        assert (await log.create(job, QUEUED, gather_s=0.001)).last_sequence == 1


async def test_a_job_that_is_there_already_is_not_touched_by_the_same_again(store: HeldStore) -> None:
    """Who repeats a request would overwrite the job that it has made."""
    async with log_of(store) as log:
        job = new_job()
        created = log.create(job, QUEUED, RUNNING, gather_s=60)
        await log.append(job.id, epoch(1), FAILED)
        whole = await read(log, job.id)
        again = replace(new_job(), request_id=(await created).request_id)
        appends = [log.create(again, QUEUED, RUNNING, gather_s=60), log.append(again.id, epoch(2))]
        for append in appends:
            with pytest.raises(RequestIdTaken):
                await append
        assert not log.is_live(again.id)
        assert await read(log, job.id) == store.events(job.id, 0, 1 << 20) == whole


async def test_closing_waits_for_a_new_job_that_has_told_nothing_yet(store: HeldStore) -> None:
    """A job that was accepted while the server stopped would be lost."""
    async with log_of(store) as log:
        job = new_job()
        created = log.create(job, QUEUED, gather_s=0.01)
        await log.close()
        assert created.done()
        assert sequences(store.events(job.id, 0, 1000)) == [1]


async def test_logs_that_have_ended_are_read_without_the_store_for_a_while(store: HeldStore) -> None:
    """To read what a short job has left would cost as much as the job."""
    async with log_of(store) as log:
        jobs = [await running_job(log) for _ in range(20)]
        for job in jobs:
            await log.append(job.id, epoch(1), FAILED)
        store.reads.clear()
        for job in reversed(jobs):
            assert sequences(await read(log, job.id)) == [1, 2, 3, 4]
        assert set(store.reads) == {job.id for job in jobs[:4]}, "a server that runs for years would keep all"


async def test_long_logs_that_have_ended_take_little_memory(store: HeldStore) -> None:
    """A server would keep tens of megabytes for readers who may never come."""
    async with log_of(store) as log:
        jobs = [await running_job(log) for _ in range(8)]
        for job in jobs:
            await log.append(job.id, epoch(1, numbers=100_000), FAILED)  # 0.8 MB
        store.reads.clear()
        for job in reversed(jobs):
            assert sequences(await read(log, job.id)) == [1, 2, 3, 4]
        assert set(store.reads) == {job.id for job in jobs[:3]}


async def test_a_reader_who_is_far_behind_reads_from_the_store(store: HeldStore) -> None:
    """A slow client would cost the server memory, or lose events."""
    async with log_of(store) as log:
        job = await running_job(log)
        slow = log.tail(job.id, 0)
        first = await anext(slow)
        for number in range(1, 41):
            await log.append(job.id, epoch(number, numbers=8192))  # 2.6 MB in all, more than stays in memory
        rest = asyncio.create_task(_rest(slow))
        await log.append(job.id, FAILED)
        assert sequences([*first, *await rest]) == list(range(1, 44))


async def test_a_reader_who_is_behind_is_told_that_a_job_was_deleted(store: HeldStore) -> None:
    """Its client would take a log without an end for a whole one, or ask for the rest for ever."""
    async with log_of(store) as log:
        job = await running_job(log)
        slow = log.tail(job.id, 0)
        await anext(slow)
        for number in range(1, 4):
            await log.append(job.id, epoch(number, numbers=131_072))  # 1 MiB each: one stays in memory.
        await log.append(job.id, FAILED)
        await log.delete(job.id)
        with pytest.raises(JobNotFound):
            await anext(slow)


async def _rest(records: AsyncIterator[Sequence[EventRecord]]) -> list[EventRecord]:
    return [record async for some in records for record in some]


async def test_a_failed_write_leaves_no_gap_and_frees_who_waits(store: HeldStore) -> None:
    """After a full disk the log would miss an event for ever, or its writers would hang."""
    async with log_of(store) as log:
        job, other = await running_job(log), await running_job(log)
        store.hold()
        store.failures.append(OSError("disk full"))
        failed = [log.append(job.id, epoch(1))]
        await store.waits("append")
        failed += [log.append(job.id, epoch(2)), log.append(job.id, epoch(3))]
        unharmed = log.append(other.id, epoch(1))
        store.release()
        for append in failed:
            with pytest.raises(OSError, match="disk full"):
                await append
        assert (await unharmed).last_sequence == 3
        assert (await log.get(job.id)).last_sequence == 2
        assert (await log.append(job.id, epoch(1), FAILED)).last_sequence == 4
        assert sequences(await read(log, job.id)) == [1, 2, 3, 4]


async def test_a_job_is_created_wholly_or_not_at_all(store: HeldStore) -> None:
    """A user would find half a job."""
    async with log_of(store) as log:
        store.failures.append(OSError("disk full"))
        job = new_job()
        with pytest.raises(OSError, match="disk full"):
            await log.create(job, QUEUED)
        with pytest.raises(JobNotFound):
            await log.get(job.id)
        assert (await log.create(job, QUEUED)).last_sequence == 1
        with pytest.raises(RequestIdTaken):
            await log.create(job, QUEUED)


async def test_what_a_job_does_not_allow_is_not_appended(store: HeldStore) -> None:
    """One wrong event would end the log of a job that goes on."""
    async with log_of(store) as log:
        job = await running_job(log)
        with pytest.raises(IllegalTransition):
            log.append(job.id, epoch(1), StateChange("CANCELLED"))
        await log.append(job.id, epoch(1), FAILED)
        assert sequences(await read(log, job.id)) == [1, 2, 3, 4]


async def test_a_cursor_beyond_the_log_or_an_unknown_job_is_refused(store: HeldStore) -> None:
    """A client with a wrong cursor would wait for ever."""
    async with log_of(store) as log:
        job = await running_job(log)
        with pytest.raises(SequenceBeyondLog, match=r"is 3.*watch after 2 or less"):
            await read(log, job.id, 3)
        with pytest.raises(JobNotFound, match="no job 'nope'"):
            await read(log, "nope")
        await log.append(job.id, FAILED)
        with pytest.raises(SequenceBeyondLog):
            await read(log, job.id, 4)


async def test_closing_waits_for_the_writes(store: HeldStore) -> None:
    """The last events before a stop would be lost."""
    async with log_of(store) as log:
        job = await running_job(log)
        store.hold()
        appends = [log.append(job.id, epoch(1))]
        await store.waits("append")
        appends.append(log.append(job.id, FAILED))
        closing = asyncio.create_task(log.close())
        store.release()
        await closing
        assert [(await append).last_sequence for append in appends] == [3, 4]
        assert sequences(store.events(job.id, 0, 1000)) == [1, 2, 3, 4]
