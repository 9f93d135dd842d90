"""What is kept, and for how long."""

import asyncio
import threading

import pytest
from tests.domain import table
from tests.unit.jobs.in_process import HeldStore, eventually
from tests.unit.jobs.serving import DataInMemory, serving

from gradstream_server.config import ServerConfig
from gradstream_server.jobs.errors import InvalidSpec, JobNotEnded, JobNotFound, NoRoom
from gradstream_server.jobs.spec import KnownData
from gradstream_server.jobs.store import StorageFull


async def test_a_job_that_has_ended_is_deleted_with_its_data(store: HeldStore) -> None:
    """A user could not get rid of what is nobody's business any more."""
    async with serving(store, slots=2) as its:
        job, same = await its.create(data=table()), await its.create(data=table(), seed=1)
        await its.end(job, same)
        await its.service.delete(job.id)
        assert len(its.data.kept) == 1  # The other job has the same.
        with pytest.raises(JobNotFound):
            await its.service.get(job.id)
        with pytest.raises(JobNotFound):
            await its.service.delete(job.id)
        await its.service.delete(same.id)
        assert not its.data.kept


async def test_data_that_a_dead_server_has_left_are_removed(store: HeldStore) -> None:
    """Every crash between keeping data and keeping their job would cost disk for ever."""
    data = DataInMemory()
    async with serving(store, data=data) as its:
        job = await its.create(data=table())
        await its.end(job)
        data.put("stray", table(rows=9))
    async with serving(store, data=data) as its:
        await its.service.recover()
        assert data.digests() == {job.data_digest}


async def test_a_job_that_lives_is_not_deleted(store: HeldStore) -> None:
    """A user would delete what others wait for."""
    async with serving(store) as its:
        job, waiting = await its.running(), await its.create()
        for one, state in ((job, "running"), (waiting, "queued")):
            with pytest.raises(JobNotEnded, match=f"job {one.id} is {state}; .* cancel it first"):
                await its.service.delete(one.id)
        await its.service.pause(waiting.id)
        with pytest.raises(JobNotEnded, match="paused"):
            await its.service.delete(waiting.id)
        assert await its.end(job) == ["SUCCEEDED"]


async def test_a_watcher_of_a_job_that_is_deleted_is_told(store: HeldStore) -> None:
    """A user would take a part of a curve for the whole."""
    async with serving(store) as its:
        job = await its.create(epochs=3000)
        await its.end(job)
    async with serving(store) as its:  # It reads from the store.
        watching = its.service.watch(job.id, 0)
        await anext(watching)
        await its.service.delete(job.id)
        with pytest.raises(JobNotFound):
            async for _ in watching:
                pass


async def test_jobs_are_deleted_when_their_time_is_over(store: HeldStore) -> None:
    """A server that runs for years would fill its disk."""
    async with serving(store, keep_ended_s=1e-3) as its:
        job = await its.running()
        await its.service.recover()
        await its.end(job)

        async def watch_for_ever() -> None:
            while True:
                await its.story(job.id)

        with pytest.raises(JobNotFound):
            await watch_for_ever()


async def test_jobs_are_kept_unless_an_operator_says_otherwise(store: HeldStore) -> None:
    """Users would lose what they have trained, and nobody would know why."""
    assert ServerConfig().keep_ended == 0
    async with serving(store, keep_ended_s=0) as its:
        job = await its.create()
        await its.end(job)
        await its.service.recover()
        await asyncio.sleep(0.5)  # To delete it would take less.
        assert (await its.service.get(job.id)).ended


async def test_a_resolved_spec_trains_again_without_its_numbers(store: HeldStore) -> None:
    """A user who wants to check a result would need the data again."""
    async with serving(store, slots=2) as its:
        data = table()
        job = await its.create(data=data)
        again = await its.create(known_data=KnownData(job.data_digest))
        assert (again.spec, again.data_digest) == (job.spec, job.data_digest)
        with pytest.raises(InvalidSpec, match="digest: is 'unknown', which this server does not have"):
            await its.create(known_data=KnownData("unknown"))
        with pytest.raises(InvalidSpec, match="that of the numbers is"):
            await its.create(data=data, known_data=KnownData("another"))
        assert await its.end(job, again) == ["SUCCEEDED"] * 2


async def test_a_job_for_which_there_is_no_room_is_refused(store: HeldStore) -> None:
    """A user would not learn that the disk of the server is full."""
    async with serving(store) as its:
        store.failures.append(StorageFull())
        with pytest.raises(NoRoom, match="the server's disk is full"):
            await its.create()
        running = await its.running()
        store.failures.append(StorageFull())
        with pytest.raises(NoRoom):
            await its.create()  # It would have had to wait.
        job = await its.create()
        assert its.service.jobs_ahead(job) == 0
        assert await its.end(running, job) == ["SUCCEEDED"] * 2


async def test_the_last_of_several_takes_the_data_along(
    store: HeldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that no job has any more would take room until the server starts again."""
    async with serving(store, slots=2) as its:
        first, second = await its.create(data=table()), await its.create(data=table(), seed=1)
        await its.end(first, second)
        may_go_on, uses_data = threading.Event(), store.uses_data

        def slowly(digest: str) -> bool:
            uses = uses_data(digest)
            may_go_on.wait(10)
            return uses

        monkeypatch.setattr(store, "uses_data", slowly)
        deletes = [asyncio.create_task(its.service.delete(job.id)) for job in (first, second)]
        await eventually(lambda: store.get(second.id) is None)
        await asyncio.sleep(0.05)
        may_go_on.set()
        await asyncio.gather(*deletes)
        assert its.data.digests() == set()
