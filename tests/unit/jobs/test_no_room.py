"""A full disk: who loses nothing waits, who asks is told, and who ends takes along what was reached."""

import asyncio

import pytest
from tests.domain import table
from tests.unit.jobs.in_process import HeldStore, checkpoint, eventually
from tests.unit.jobs.serving import Serving, serving

from gradstream_server.jobs.errors import Fault, FaultReason, NoRoom
from gradstream_server.jobs.events import Checkpointed
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.store import StorageFull


@pytest.fixture(autouse=True)
def try_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is long for a test."""
    monkeypatch.setattr("gradstream_server.jobs.run._RETRY_S", 0.01)


async def with_checkpoint(its: Serving, numbers: int = 0) -> Job:
    """A job that runs, and has left a checkpoint after its first epoch."""
    job = await its.running(epochs=1000)
    its.checkpoints.prepare(job.id)
    its.checkpoints.write(job.id, "1-1", checkpoint(1, numbers))
    return await its.log.append(job.id, Checkpointed(1, "1-1"))


async def test_jobs_that_wait_go_on_waiting(store: HeldStore) -> None:
    """One job that fills the disk would fail all that wait, though they have lost nothing."""
    async with serving(store) as its:
        first = await its.running()
        others = [await its.create() for _ in range(3)]
        store.full = True
        assert await its.end(first) == ["FAILED"]
        its.executor.let_go(*(job.id for job in others))
        await asyncio.sleep(0.1)
        waiting = [await its.service.get(job.id) for job in others]
        assert [job.state for job in waiting] == [JobState.QUEUED] * 3
        assert [its.service.jobs_ahead(job) for job in waiting] == [0, 0, 1]
        store.full = False
        assert await its.end(*others) == ["SUCCEEDED"] * 3
        ends = [(await its.service.get(job.id)).end_time for job in others]
        assert ends == sorted(ends)
        assert [(await its.service.get(job.id)).attempt for job in others] == [1, 1, 1]


@pytest.mark.parametrize("verb", ["cancel", "pause"])
async def test_one_that_waits_for_room_can_be_stopped(store: HeldStore, verb: str) -> None:
    """A user could not call a job back that is next, or it would run all the same."""
    async with serving(store) as its:
        first, job = await its.running(), await its.create()
        store.full = True
        await its.end(first)
        asked = asyncio.create_task(getattr(its.service, verb)(job.id))
        if verb == "cancel":
            assert (await asked).state is JobState.CANCELLED
            return
        await asyncio.sleep(0.05)
        store.full = False
        assert (await asked).state is JobState.PAUSED
        await its.service.resume(job.id)
        assert await its.end(job) == ["SUCCEEDED"]


async def test_a_worker_that_dies_costs_nothing_more(store: HeldStore) -> None:
    """A crash while the disk is full would end a job that could go on from its checkpoint."""
    async with serving(store) as its:
        job = await its.running()
        its.executor.dies.append(Fault(FaultReason.WORKER_DIED, "its worker was killed"))
        store.full = True
        its.executor.let_go(job.id)
        await its.executor.has_ended(job.id)
        await asyncio.sleep(0.05)
        store.full = False
        assert await its.end(job) == ["SUCCEEDED"]
        assert (await its.service.get(job.id)).restarts == 1


async def test_the_server_stops_though_jobs_wait_for_room(store: HeldStore) -> None:
    """A server whose disk is full could not be stopped, and what waits would be lost."""
    async with serving(store) as its:
        first, job = await its.running(), await its.create()
        store.full = True
        await its.end(first)
        asked = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            await its.service.drain()
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], Exception | Job)
        assert (await its.service.get(job.id)).state is JobState.QUEUED


async def test_a_job_ends_with_what_it_has_reached(store: HeldStore) -> None:
    """A full disk would take the model of hours along with the last epochs."""
    async with serving(store) as its:
        job = await with_checkpoint(its)
        store.full = True
        assert await its.end(job) == ["FAILED"]
        change = (await its.last_event(job.id)).state_change
        assert change.result_so_far.epochs == 1
        await eventually(lambda: its.checkpoints.jobs() == [])


async def test_or_without_if_that_is_too_large(store: HeldStore) -> None:
    """The job would be RUNNING until there is room, or lose its result without a word."""
    async with serving(store) as its:
        job = await with_checkpoint(its, numbers=1000)
        store.full = True
        assert await its.end(job) == ["FAILED"]
        change = (await its.last_event(job.id)).state_change
        assert not change.HasField("result_so_far")
        assert "there was no room to keep what it had reached" in change.reason
        failed = await its.service.get(job.id)
        assert failed.fault
        assert (failed.fault.reason, failed.fault.message) == (FaultReason.STORAGE_FULL, change.reason)


async def test_a_job_that_is_to_be_cancelled_is_cancelled(store: HeldStore) -> None:
    """Who cancels a job because the disk is full would read of a fault, and of a job that failed."""
    async with serving(store) as its:
        job = await with_checkpoint(its)
        store.full = True
        assert (await its.service.cancel(job.id)).state in (JobState.CANCELLING, JobState.CANCELLED)
        assert (await its.story(job.id))[-2:] == ["CANCELLING", "CANCELLED"]
        assert (await its.last_event(job.id)).state_change.result_so_far.epochs == 1


async def test_verbs_that_find_no_room_say_so_and_change_nothing(store: HeldStore) -> None:
    """A user would read of a fault of the server; a job that should have been paused would never run."""
    async with serving(store) as its:
        running, paused = await its.running(), await its.create()
        waiting = [await its.create() for _ in range(3)]
        await its.service.pause(paused.id)
        store.full = True
        with pytest.raises(NoRoom):
            await its.service.pause(waiting[1].id)
        with pytest.raises(NoRoom):
            await its.service.resume(paused.id)
        assert [its.service.jobs_ahead(job) for job in waiting] == [0, 1, 2]
        store.failures.append(StorageFull())
        with pytest.raises(NoRoom):
            await its.service.cancel(waiting[1].id)
        assert [its.service.jobs_ahead(job) for job in waiting] == [0, 1, 2]
        store.full = False
        assert await its.end(running, *waiting) == ["SUCCEEDED"] * 4
        assert (await its.service.get(paused.id)).state is JobState.PAUSED
        store.full = True
        with pytest.raises(NoRoom):  # It would start at once.
            await its.service.resume(paused.id)
        store.full = False
        await its.service.resume(paused.id)
        assert await its.end(paused) == ["SUCCEEDED"]


async def test_a_job_that_is_refused_leaves_no_data(store: HeldStore) -> None:
    """Each try of a client would make a full disk fuller."""
    async with serving(store) as its:
        store.full = True
        for _ in range(2):
            with pytest.raises(NoRoom):
                await its.create(data=table())
        assert its.data.digests() == set()
        store.full = False
        kept = await its.create(data=table())
        store.full = True
        with pytest.raises(NoRoom):
            await its.create(data=table(), seed=1)
        assert its.data.digests() == {kept.data_digest}
