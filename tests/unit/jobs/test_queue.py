"""The queue: first come, first served, no more at once than there are slots, no more waiting than may."""

import asyncio

import pytest
from tests.unit.jobs.in_process import HeldStore, eventually
from tests.unit.jobs.serving import serving

from gradstream.v1 import event_pb2
from gradstream_server.jobs.errors import Draining, InvalidRequest, QueueFull
from gradstream_server.jobs.job import JobState


async def test_first_come_first_served(store: HeldStore) -> None:
    """A user's job would be overtaken by later ones, or wait for ever."""
    async with serving(store) as its:
        jobs = [await its.create(seed=seed) for seed in range(6)]
        assert [its.service.jobs_ahead(job) for job in jobs[1:]] == [0, 1, 2, 3, 4]
        assert await its.end(*jobs) == ["SUCCEEDED"] * 6
        assert its.executor.begun == [job.id for job in jobs]
        assert its.executor.most_at_once == 1


async def test_the_important_come_first(store: HeldStore) -> None:
    """An urgent job would wait behind a thousand that have time."""
    async with serving(store) as its:
        first = await its.create()
        low, normal, high = [await its.create(priority=priority) for priority in (-5, 0, 7)]
        also_high = await its.create(priority=7)
        ahead = [its.service.jobs_ahead(job) for job in (high, also_high, normal, low)]
        assert ahead == [0, 1, 2, 3]
        await its.end(first, low, normal, high, also_high)
        assert its.executor.begun == [job.id for job in (first, high, also_high, normal, low)]
        told = event_pb2.TrainingEvent.FromString(store.events(also_high.id, 0, 1)[0].body).state_change
        assert (told.jobs_ahead, told.reason) == (1, "waits for 1 job ahead")


@pytest.mark.parametrize("priority", [-101, 101, 2**31 - 1])
async def test_a_priority_out_of_range_is_refused(store: HeldStore, priority: int) -> None:
    """Users would outbid each other without end."""
    async with serving(store) as its:
        with pytest.raises(InvalidRequest, match=f"priority: is {priority}; it has to be from -100 to 100"):
            await its.create(priority=priority)


async def test_as_many_run_at_once_as_there_are_slots(store: HeldStore) -> None:
    """A machine's cores would be idle, or fought over."""
    async with serving(store, slots=3) as its:
        jobs = [await its.running() for _ in range(3)]
        jobs += [await its.create() for _ in range(3)]
        assert its.service.load == (3, 3, 3)
        await its.end(*jobs)
        assert its.executor.most_at_once == 3
        await eventually(lambda: its.service.load == (3, 0, 0))


async def test_the_log_of_a_job_that_nothing_disturbs(store: HeldStore) -> None:
    """A user would not see in the log what has happened."""
    async with serving(store) as its:
        job = await its.create()
        its.executor.let_go(job.id)
        assert await its.story(job.id) == ["QUEUED", "RUNNING", "...", "SUCCEEDED"]
        ended = await its.service.get(job.id)
        assert (ended.state, ended.epochs_done, ended.attempt) == (JobState.SUCCEEDED, 20, 1)


async def test_one_more_than_may_wait_is_refused_and_nothing_of_it_is_kept(store: HeldStore) -> None:
    """One user could fill the server's disk, or a refused job would run all the same."""
    async with serving(store, max_queued=2) as its:
        jobs = [await its.running(), await its.create(), await its.create()]
        with pytest.raises(QueueFull, match="the queue is full: 2 jobs wait already; try again in 1 s"):
            await its.create()
        assert len(store.page([], None, 100)[0]) == 3
        await its.end(jobs[0])
        await its.executor.has_begun(jobs[1].id)
        await its.create()


async def test_requests_that_come_at_once_do_not_overfill_the_queue(store: HeldStore) -> None:
    """The bound would hold only for clients that wait for each other."""
    async with serving(store, slots=2, max_queued=3) as its:
        store.hold()
        creating = [asyncio.create_task(its.create()) for _ in range(9)]
        await store.waits("create")
        store.release()
        results = await asyncio.gather(*creating, return_exceptions=True)
        kept = [result for result in results if not isinstance(result, BaseException)]
        assert len(kept) == 2 + 3
        assert all(isinstance(result, QueueFull) for result in results if result not in kept)
        assert await its.end(*kept) == ["SUCCEEDED"] * 5


async def test_places_of_requests_that_failed_are_free_again(store: HeldStore) -> None:
    """After a full disk a server would refuse jobs for ever, although none waits."""
    async with serving(store, max_queued=1) as its:
        for _ in range(5):
            store.failures.append(OSError("disk full"))
            with pytest.raises(OSError, match="disk full"):
                await its.create()
        jobs = [await its.running(), await its.create()]
        assert await its.end(*jobs) == ["SUCCEEDED"] * 2


async def test_jobs_that_come_at_once_are_told_how_many_are_ahead(store: HeldStore) -> None:
    """A user would be told a wrong place in the queue."""
    async with serving(store, slots=2) as its:
        store.hold()
        creating = [asyncio.create_task(its.create()) for _ in range(5)]
        await store.waits("create")
        store.release()
        jobs = await asyncio.gather(*creating)
        ahead = [(its.service.jobs_ahead(job), store.events(job.id, 0, 1)[0]) for job in jobs]
        assert [place for place, _ in ahead] == [None, None, 0, 1, 2]
        told = [event_pb2.TrainingEvent.FromString(record.body).state_change for _, record in ahead]
        assert [change.jobs_ahead for change in told] == [0, 0, 0, 1, 2]


async def test_draining_puts_aside_what_runs_and_keeps_what_waits(store: HeldStore) -> None:
    """An operator who restarts a server would lose work, or wait for a job of days."""
    async with serving(store) as its:
        running, waiting = await its.running(), await its.create()
        await its.service.drain()
        with pytest.raises(Draining):
            await its.create()
        job = await its.service.get(running.id)
        assert (job.state, job.epochs_done) == (JobState.QUEUED, 1)
        assert [kept.epoch for kept in job.checkpoints] == [1]
        assert (await its.service.get(waiting.id)).state is JobState.QUEUED
        assert its.executor.begun == [running.id]


async def test_draining_waits_for_a_job_that_is_being_accepted(store: HeldStore) -> None:
    """A job that was accepted while the server began to stop would be RUNNING, and nobody run it."""
    async with serving(store) as its:
        store.hold("create")
        creating = asyncio.create_task(its.create())
        await store.waits("create")
        draining = asyncio.create_task(its.service.drain())
        await asyncio.sleep(0)  # Let it begin.
        store.release()
        job = await creating
        await draining
        assert (await its.service.get(job.id)).state is JobState.QUEUED


async def test_draining_while_the_end_of_a_job_is_on_its_way_to_the_store(store: HeldStore) -> None:
    """A server that is stopped at the wrong moment would crash, and tell of a finished job that it failed."""
    async with serving(store) as its:
        running = await its.running(epochs=1)
        store.hold()
        its.executor.let_go(running.id)
        await its.executor.has_ended(running.id)
        draining = asyncio.create_task(its.service.drain())
        await asyncio.sleep(0)
        store.release()
        await draining
        assert (await its.story(running.id))[-1] == "SUCCEEDED"


async def test_a_job_whose_log_cannot_be_written_fails_and_the_next_one_runs(store: HeldStore) -> None:
    """After a full disk, a user would watch a job for ever that nobody runs any more."""
    async with serving(store) as its:
        job, following = await its.running(), await its.create()
        store.failures.append(OSError("disk full"))
        assert await its.end(job, following) == ["FAILED", "SUCCEEDED"]
