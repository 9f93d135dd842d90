"""Calls that come while another is on its way to the store, and callers who leave before it is there."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.domain import table
from tests.unit.jobs.in_process import HeldStore, checkpoint
from tests.unit.jobs.serving import serving

from gradstream_server.jobs.errors import JobAlreadyEnded
from gradstream_server.jobs.job import JobState
from gradstream_server.jobs.store import Write


async def _leave(call: "asyncio.Task[Any]") -> None:
    """Be gone before there is an answer, as a client whose connection breaks."""
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


async def test_a_job_that_is_paused_while_it_is_being_resumed_is_queued_once(store: HeldStore) -> None:
    """Two workers would train the same job at once, and its log would tell every epoch twice."""
    async with serving(store, slots=2) as its:
        first, second, job = await its.running(), await its.running(), await its.create()
        await its.service.pause(job.id)
        store.hold("append")
        resuming = asyncio.create_task(its.service.resume(job.id))
        await store.waits("append")
        pausing = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0)
        store.release()
        await resuming, await pausing
        assert (await its.service.resume(job.id)).state is JobState.QUEUED
        await its.end(first, second)
        assert await its.end(job) == ["SUCCEEDED"]
        assert its.executor.begun.count(job.id) == 1


async def test_who_leaves_while_a_job_is_being_cancelled_leaves_no_checkpoints(
    store: HeldStore, tmp_path: Path
) -> None:
    """They would fill the disk until the server is started again."""
    async with serving(store, checkpoints=tmp_path / "checkpoints") as its:
        job = await its.running()
        await its.service.pause(job.id)
        its.checkpoints.prepare(job.id)
        its.checkpoints.write(job.id, "1-1", checkpoint(1))
        store.hold("append")
        cancelling = asyncio.create_task(its.service.cancel(job.id))
        await store.waits("append")
        await _leave(cancelling)
        store.release()
    # It has drained: what was begun is done.
    assert its.checkpoints.jobs() == []


async def test_who_leaves_while_a_job_is_being_deleted_leaves_no_data(
    store: HeldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would stay: the job that had them is gone."""
    begun, may_go_on, delete = threading.Event(), threading.Event(), store.delete

    def delete_slowly(job: str) -> None:
        begun.set()
        may_go_on.wait()
        delete(job)

    monkeypatch.setattr(store, "delete", delete_slowly)
    async with serving(store) as its:
        job = await its.create(data=table())
        await its.end(job)
        deleting = asyncio.create_task(its.service.delete(job.id))
        await asyncio.to_thread(begun.wait)
        await _leave(deleting)
        may_go_on.set()
    assert store.get(job.id) is None
    assert its.data.kept == {}


async def test_a_job_that_two_resume_while_it_is_being_paused_runs_once(store: HeldStore) -> None:
    """It would be queued while it runs, and fail for that."""
    async with serving(store) as its:
        job = await its.running()
        pausing = asyncio.create_task(its.service.pause(job.id))
        resuming = [asyncio.create_task(its.service.resume(job.id)) for _ in range(2)]
        answers = await asyncio.gather(*resuming)
        assert all(answer.state in (JobState.QUEUED, JobState.RUNNING) for answer in answers)
        story = ["QUEUED", "RUNNING", "...", "PAUSED", "QUEUED", "RUNNING", "...", "SUCCEEDED"]
        its.executor.let_go(job.id)
        assert await its.story(job.id) == story
        with suppress(JobAlreadyEnded):
            await pausing


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
async def test_a_job_that_is_stored_while_its_server_does_not_know_it_yet(
    store: HeldStore, monkeypatch: pytest.MonkeyPatch, verb: str, waits: bool
) -> None:
    """Who finds a job in a list the very moment it is there would get a fault of the server for its id."""
    stored, may_go_on, create = threading.Event(), threading.Event(), store.create

    def create_slowly(write: Write) -> None:
        create(write)
        stored.set()
        may_go_on.wait()

    async with serving(store) as its:
        if waits:
            await its.running()
        monkeypatch.setattr(store, "create", create_slowly)
        creating = asyncio.create_task(its.create())
        await asyncio.to_thread(stored.wait)
        [listed] = (await its.service.page([], None, 1))[0]
        asking = asyncio.create_task(getattr(its.service, verb)(listed.id))
        watching = asyncio.create_task(anext(its.service.watch(listed.id, listed.last_sequence, 60)))
        await its.service.get(listed.id)  # By now they have asked.
        may_go_on.set()
        assert (await creating).id == listed.id
        expected = {
            "cancel": {"CANCELLING", "CANCELLED"},
            "pause": {"PAUSED"},
            "resume": {"QUEUED", "RUNNING"},
        }
        assert (await asking).state in expected[verb]
        await watching
