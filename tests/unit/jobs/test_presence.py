"""Jobs that are to be cancelled when nobody watches them any more."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from tests.domain import new_job
from tests.unit.jobs.in_process import HeldStore
from tests.unit.jobs.serving import Serving, serving

from gradstream.v1 import event_pb2
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.presence import Presence


async def ended(its: Serving, job: Job) -> JobState | None:
    """The state in which a job ends, without watching it."""
    async for _ in its.log.tail(job.id, 0):
        pass
    return (await its.service.get(job.id)).state


async def last_changes(its: Serving, job: Job) -> list[event_pb2.StateChange]:
    """What was said of its cancellation and of its end."""
    records = [record async for some in its.service.watch(job.id, 0) for record in some]
    events = [event_pb2.TrainingEvent.FromString(record.body) for record in records]
    return [event.state_change for event in events if event.HasField("state_change")][-2:]


async def test_a_job_that_nobody_watches_is_cancelled_if_it_asked_for_that(store: HeldStore) -> None:
    """A job that is only of use to who watches it would hold a worker for hours after he has left."""
    async with serving(store, slots=3, disconnect_grace_s=0.5) as its:
        watched, left, other = [
            await its.create(cancel_on_disconnect=asked, epochs=1000) for asked in (True, True, False)
        ]
        async with aclosing(its.service.watch(watched.id, 0)) as watching:
            await anext(watching)
            assert await ended(its, left) is JobState.CANCELLED
            for change in await last_changes(its, left):
                assert change.reason == "nobody watched it for 0.5 s", "its owner would ask who did it"
            assert not (await its.service.get(watched.id)).ended
        assert await ended(its, watched) is JobState.CANCELLED
        assert not (await its.service.get(other.id)).ended
        assert await its.end(other) == ["SUCCEEDED"]


async def test_who_comes_back_in_time_finds_the_job(store: HeldStore) -> None:
    """A job would be lost to a connection that breaks for a moment."""
    async with serving(store, disconnect_grace_s=60) as its:
        job = await its.create(cancel_on_disconnect=True)
        for _ in range(3):
            async with aclosing(its.service.watch(job.id, 0)) as watching:
                await anext(watching)
        assert await its.end(job) == ["SUCCEEDED"]


async def test_who_watches_what_he_has_just_started_is_there_from_the_beginning(store: HeldStore) -> None:
    """Where nobody may be away at all, every such job would be cancelled before it can be watched."""
    async with serving(store, disconnect_grace_s=0) as its:
        job = await its.create(cancel_on_disconnect=True)
        assert await its.end(job) == ["SUCCEEDED"]
        left = await its.create(cancel_on_disconnect=True, epochs=1000)
        assert await ended(its, left) is JobState.CANCELLED


async def test_one_of_several_who_leaves_takes_nothing_from_the_others() -> None:
    """The job would be cancelled under the eyes of who still watches."""
    cancelled: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def cancel(job: str, _reason: str) -> Job:
        cancelled.set_result(job)
        return new_job()

    presence = Presence(0, cancel)
    job = replace(new_job(), cancel_on_disconnect=True)
    with presence.watching(job):
        with presence.watching(job):
            pass
        presence.expect(job)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not cancelled.done()
    assert await cancelled == job.id


async def test_who_comes_after_one_who_came_and_left_at_once_finds_the_job() -> None:
    """The job would be cancelled under the eyes of who watches, because of an absence that is long over."""
    cancelled: list[str] = []

    async def cancel(job: str, _reason: str) -> Job:
        cancelled.append(job)
        return new_job()

    presence = Presence(0.02, cancel)
    job = replace(new_job(), cancel_on_disconnect=True)
    presence.expect(job)
    await asyncio.sleep(0)
    with presence.watching(job):
        pass
    for _ in range(5):
        await asyncio.sleep(0)  # Let the first absence end; the second goes on.
    with presence.watching(job):
        await asyncio.sleep(0.06)  # Longer than he may be away.
        assert cancelled == []
    presence.close()


async def test_a_job_of_an_earlier_server_waits_for_its_watchers_too(store: HeldStore) -> None:
    """A job would be cancelled because its server was restarted, or never for the same reason."""
    async with serving(store, disconnect_grace_s=60) as its:
        job = await its.running(cancel_on_disconnect=True, epochs=1000)
    async with serving(store, disconnect_grace_s=0.05) as its:
        await its.service.recover()
        assert await ended(its, job) is JobState.CANCELLED
