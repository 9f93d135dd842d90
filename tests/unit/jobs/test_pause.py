"""Pausing: a job steps aside with what it has reached, for as long as it takes, and goes on from there."""

import asyncio

import pytest
from tests.unit.jobs.in_process import HeldStore, checkpoint, epochs
from tests.unit.jobs.serving import serving

from gradstream_server.jobs.errors import (
    Fault,
    FaultReason,
    JobAlreadyEnded,
    JobBeingCancelled,
    JobNotFound,
    QueueFull,
)
from gradstream_server.jobs.job import JobState


async def test_a_job_that_runs_frees_its_worker_and_goes_on_where_it_was(store: HeldStore) -> None:
    """A user who lets another job pass would lose what was trained."""
    async with serving(store) as its:
        job, other = await its.running(), await its.create()
        paused = await its.service.pause(job.id)
        assert (paused.state, paused.epochs_done) == (JobState.PAUSED, 1)
        assert await its.end(other) == ["SUCCEEDED"]
        await its.service.resume(job.id)
        its.executor.let_go(job.id)
        story = ["QUEUED", "RUNNING", "...", "PAUSED", "QUEUED", "RUNNING", "...", "SUCCEEDED"]
        assert await its.story(job.id) == story
        task = its.executor.tasks[-1]
        assert (task.attempt, task.has_started, task.reported_epochs) == (2, True, 1)
        assert task.checkpoints == ("1-1",)
        assert (await its.service.get(job.id)).restarts == 0


async def test_a_job_that_waits_leaves_the_queue_and_comes_back_at_its_end(store: HeldStore) -> None:
    """A paused job would run all the same, or push in front of those that waited."""
    async with serving(store) as its:
        running, job, other = await its.running(), await its.create(), await its.create()
        assert (await its.service.pause(job.id)).state is JobState.PAUSED
        assert its.service.jobs_ahead(other) == 0
        resumed = await its.service.resume(job.id)
        assert (resumed.state, its.service.jobs_ahead(resumed)) == (JobState.QUEUED, 1)
        await its.end(running, other, job)
        assert its.executor.begun == [running.id, other.id, job.id]


async def test_asked_again_it_changes_nothing(store: HeldStore) -> None:
    """A client that repeats a verb after a broken connection would get an error, or a second entry."""
    async with serving(store) as its:
        job, waiting = await its.running(), await its.create()
        for one in (job, waiting):
            answers = await asyncio.gather(*(its.service.pause(one.id) for _ in range(3)))
            assert [answer.state for answer in answers] == [JobState.PAUSED] * 3
            assert (await its.service.pause(one.id)).state is JobState.PAUSED
        for one in (job, waiting):
            answers = await asyncio.gather(*(its.service.resume(one.id) for _ in range(3)))
            assert all(answer.state in (JobState.RUNNING, JobState.QUEUED) for answer in answers)
            await its.service.resume(one.id)
        assert await its.end(job, waiting) == ["SUCCEEDED"] * 2
        assert (await its.story(job.id)).count("PAUSED") == 1


async def test_resuming_a_job_that_is_about_to_be_paused(store: HeldStore) -> None:
    """A user who changes his mind at once would find the job paused for ever."""
    async with serving(store) as its:
        job = await its.running()
        pausing = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0)  # Let it ask.
        assert (await its.service.resume(job.id)).state is JobState.RUNNING
        await pausing
        assert await its.end(job) == ["SUCCEEDED"]


async def test_cancelling_a_paused_job_leaves_what_it_has_reached(store: HeldStore) -> None:
    """A user who gives a paused job up would lose the model that it had reached."""
    async with serving(store) as its:
        job = await its.running()
        await its.service.pause(job.id)
        its.checkpoints.prepare(job.id)
        its.checkpoints.write(job.id, "1-1", checkpoint(epoch=1))
        assert (await its.service.cancel(job.id)).state is JobState.CANCELLED
        assert (await its.last_event(job.id)).state_change.result_so_far.epochs == 1
        assert its.checkpoints.jobs() == []


async def test_cancelling_a_paused_job_whose_checkpoints_cannot_be_used(
    store: HeldStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A user would look for the model in vain, and an operator not know of the disk that loses files."""
    async with serving(store) as its:
        job = await its.running()
        await its.service.pause(job.id)
        assert (await its.service.cancel(job.id)).state is JobState.CANCELLED
        change = (await its.last_event(job.id)).state_change
        assert change.reason == "none of its checkpoints can be used, so what it had reached is lost"
        assert not change.HasField("result_so_far")
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "a checkpoint cannot be used"
    ]


async def test_cancelling_while_it_is_being_paused(store: HeldStore) -> None:
    """A user could not stop a job whose trainer takes its time to pause."""
    async with serving(store) as its:
        job = await its.running()
        pausing = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0)  # Let it ask.
        await its.service.cancel(job.id)
        with pytest.raises((JobBeingCancelled, JobAlreadyEnded)):
            await pausing
        assert (await its.story(job.id))[-1] == "CANCELLED"
        with pytest.raises(JobAlreadyEnded, match="was cancelled already; only a job that has not ended"):
            await its.service.resume(job.id)


async def test_what_is_being_cancelled_or_has_ended_is_refused(store: HeldStore) -> None:
    """A user would count on going on later with a job that is gone."""
    async with serving(store) as its:
        job, done = await its.running(), await its.create()
        store.hold("append")
        cancelling = asyncio.create_task(its.service.cancel(job.id))
        await store.waits("append")
        for verb in (its.service.pause, its.service.resume):
            with pytest.raises(JobBeingCancelled, match=f"job {job.id} is being cancelled"):
                await verb(job.id)
        store.release()
        await cancelling
        await its.end(done)
        for verb in (its.service.pause, its.service.resume):
            with pytest.raises(JobAlreadyEnded, match="has already succeeded"):
                await verb(done.id)
            with pytest.raises(JobNotFound):
                await verb("nope")


async def test_pausing_a_job_whose_worker_has_just_died(store: HeldStore) -> None:
    """The pause would be lost, or the job be interrupted again when it is resumed."""
    async with serving(store, max_restarts=0) as its:
        store.hold("append")
        job = await its.create()
        its.executor.tells.append([epochs(1)])
        its.executor.dies.append(Fault(FaultReason.WORKER_DIED, "its worker was killed by SIGKILL"))
        its.executor.let_go(job.id)
        await its.executor.has_ended(job.id)
        pausing = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0)  # Let it ask.
        store.release()
        assert (await pausing).state is JobState.PAUSED
        await its.service.resume(job.id)
        assert await its.end(job) == ["SUCCEEDED"]


async def test_a_caller_who_leaves_has_resumed_all_the_same(store: HeldStore) -> None:
    """A job would be QUEUED for ever because a connection broke."""
    async with serving(store) as its:
        running, job = await its.running(), await its.create()
        await its.service.pause(job.id)
        store.hold("append")
        caller = asyncio.create_task(its.service.resume(job.id))
        await store.waits("append")
        caller.cancel()
        store.release()
        assert await its.end(running, job) == ["SUCCEEDED"] * 2


async def test_a_full_queue_does_not_take_a_resumed_job(store: HeldStore) -> None:
    """The bound of the queue would not hold; or a job would be lost on its way back."""
    async with serving(store, max_queued=1) as its:
        job = await its.running()
        await its.service.pause(job.id)
        running, waiting = await its.running(), await its.create()
        with pytest.raises(QueueFull):
            await its.service.resume(job.id)
        assert (await its.service.get(job.id)).state is JobState.PAUSED
        await its.end(running, waiting)
        await its.service.resume(job.id)
        assert await its.end(job) == ["SUCCEEDED"]
