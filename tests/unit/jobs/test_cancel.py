"""Cancelling: whenever it is asked, the job ends, once, and the answer is what then stands in its log."""

import asyncio

import pytest
from tests.unit.jobs.in_process import HeldStore
from tests.unit.jobs.serving import serving

from gradstream_server.jobs.errors import JobAlreadyEnded, JobNotFound
from gradstream_server.jobs.job import JobState


async def test_a_job_that_waits_is_cancelled_at_once(store: HeldStore) -> None:
    """A user would wait for a job to begin only to see it stop, or hold a place that others need."""
    async with serving(store) as its:
        running, waiting, last = await its.running(), await its.create(), await its.create()
        assert (await its.service.cancel(waiting.id)).state is JobState.CANCELLED
        assert its.service.jobs_ahead(last) == 0
        assert await its.story(waiting.id) == ["QUEUED", "CANCELLED"]
        assert await its.end(running, last) == ["SUCCEEDED", "SUCCEEDED"]
        assert waiting.id not in its.executor.begun


async def test_a_job_that_runs_is_asked_to_stop(store: HeldStore) -> None:
    """A user could not stop what runs, or would be told that it had stopped while it had not."""
    async with serving(store) as its:
        job = await its.running(epochs=1000)
        assert (await its.service.cancel(job.id)).state is JobState.CANCELLING
        assert await its.story(job.id) == ["QUEUED", "RUNNING", "...", "CANCELLING", "...", "CANCELLED"]
        assert (await its.service.get(job.id)).epochs_done == 1
        assert (await its.last_event(job.id)).state_change.result_so_far.epochs == 1


async def test_asked_again_it_changes_nothing(store: HeldStore) -> None:
    """A client that repeats a cancel after a broken connection would get an error, or a second entry."""
    async with serving(store) as its:
        job, waiting = await its.running(), await its.create()
        answers = await asyncio.gather(*(its.service.cancel(job.id) for _ in range(5)))
        assert {answer.state for answer in answers} <= {JobState.CANCELLING, JobState.CANCELLED}
        assert (await its.story(job.id)).count("CANCELLING") == 1
        assert (await its.service.cancel(job.id)).state is JobState.CANCELLED
        answers = await asyncio.gather(*(its.service.cancel(waiting.id) for _ in range(2)))
        assert (await its.story(waiting.id))[-1] == "CANCELLED"
        assert answers[-1].state in (JobState.CANCELLING, JobState.CANCELLED)


async def test_two_at_once_cancel_a_job_that_waits_once(store: HeldStore) -> None:
    """Two users who cancel the same job would get a fault of the server."""
    async with serving(store) as its:
        await its.running()
        waiting = await its.create()
        answers = await asyncio.gather(*(its.service.cancel(waiting.id) for _ in range(3)))
        assert [answer.state for answer in answers] == [JobState.CANCELLED] * 3
        assert await its.story(waiting.id) == ["QUEUED", "CANCELLED"]


async def test_a_job_on_its_way_to_running(store: HeldStore) -> None:
    """A cancel that comes just as the job begins would be lost."""
    async with serving(store) as its:
        first, job = await its.running(), await its.create()
        store.hold("append")
        its.executor.let_go(first.id)
        while job.id not in its.executor.begun:
            await store.waits("append")
            if job.id not in its.executor.begun:
                store.let_one_pass("append")
        assert (await its.service.get(job.id)).state is JobState.QUEUED
        cancelling = asyncio.create_task(its.service.cancel(job.id))
        await asyncio.sleep(0)  # Let it ask.
        store.release()
        assert (await cancelling).state in (JobState.CANCELLING, JobState.CANCELLED)
        assert (await its.story(job.id))[-1] == "CANCELLED"


async def test_a_job_whose_whole_run_is_on_its_way_to_the_store(store: HeldStore) -> None:
    """A cancel that comes just as the job ends would be a fault of the server."""
    async with serving(store, slots=2) as its:
        busy = await its.running(epochs=1)
        store.hold()
        creating = asyncio.create_task(its.create(epochs=1))
        await store.waits("create")
        its.executor.let_go(busy.id)  # Its last events are written next, the other job's after them.
        await its.executor.has_ended(busy.id)
        store.release("create")
        await store.waits("append")
        job = await creating
        its.executor.let_go(job.id)
        await its.executor.has_ended(job.id)
        cancelling = asyncio.create_task(its.service.cancel(job.id))
        await asyncio.sleep(0)  # Let it find the job as it is stored: RUNNING.
        store.release()
        with pytest.raises(JobAlreadyEnded):
            await cancelling
        assert (await its.service.get(job.id)).state is JobState.SUCCEEDED


async def test_a_caller_who_does_not_wait_has_cancelled_all_the_same(store: HeldStore) -> None:
    """A user whose connection breaks would see a job that is CANCELLING and trains to its end."""
    async with serving(store) as its:
        job = await its.running(epochs=1000)
        store.hold()
        caller = asyncio.create_task(its.service.cancel(job.id))
        await store.waits("append")
        caller.cancel()
        store.release()
        assert (await its.story(job.id))[-1] == "CANCELLED"
        assert caller.cancelled()


async def test_a_job_that_has_ended_is_refused(store: HeldStore) -> None:
    """A user would believe to have stopped what had ended long ago."""
    async with serving(store) as its:
        job = await its.running()
        await its.end(job)
        with pytest.raises(JobAlreadyEnded, match="has already succeeded"):
            await its.service.cancel(job.id)
        with pytest.raises(JobNotFound):
            await its.service.cancel("nope")
