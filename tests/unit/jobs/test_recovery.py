"""Going on: after the death of a worker, of a server, or its orderly end."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.unit.jobs.in_process import HeldStore, checkpoint
from tests.unit.jobs.serving import serving

from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.job import JobState
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.sql import SqlJobStore

KILLED = Fault(FaultReason.WORKER_DIED, "its worker was killed by SIGKILL", {"exit_code": "-9"})


async def test_a_job_whose_worker_dies_is_started_again(store: HeldStore) -> None:
    """A user would lose hours of training to one crash."""
    async with serving(store) as its:
        its.executor.dies.extend([KILLED, KILLED])
        job = await its.create()
        assert await its.end(job) == ["SUCCEEDED"]
        job = await its.service.get(job.id)
        assert (job.attempt, job.restarts) == (3, 2)
        assert [task.attempt for task in its.executor.tasks] == [1, 2, 3]
        assert [task.has_started for task in its.executor.tasks] == [False, True, True]


async def test_not_more_often_than_allowed(store: HeldStore) -> None:
    """A job that kills its worker every time would keep it from everybody for ever."""
    async with serving(store, max_restarts=2) as its:
        its.executor.dies.extend([KILLED] * 3)
        job, next_one = await its.create(), await its.create()
        assert await its.end(job, next_one) == ["FAILED", "SUCCEEDED"]
        failed = await its.service.get(job.id)
        assert failed.fault
        assert failed.fault.reason is FaultReason.WORKER_DIED
        assert "its worker was killed by SIGKILL, and the job had been started again 2 times" in (
            failed.fault.message
        )


async def test_the_next_server_goes_on_with_all_that_an_earlier_one_has_left(
    store: HeldStore, tmp_path: Path
) -> None:
    """After a crash, jobs that were accepted would never run, or be RUNNING for ever."""
    folder = tmp_path / "checkpoints"
    async with serving(store, slots=2, checkpoints=folder) as its:
        running, cancelling = await its.running(), await its.running()
        paused, first, second = await its.create(), await its.create(), await its.create()
        await its.service.pause(paused.id)
        store.hold("append")
        with (
            closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as dying,
            closing(sqlite3.connect(tmp_path / "crashed.sqlite")) as crashed,
        ):
            dying.backup(crashed)
            crashed.execute("UPDATE jobs SET state = 'CANCELLING' WHERE id = ?", (cancelling.id,))
            crashed.commit()

    left = SqlJobStore.open_sqlite(tmp_path / "crashed.sqlite")
    states = ["RUNNING", "CANCELLING", "PAUSED", "QUEUED", "QUEUED"]
    assert [job.state for job in left.unfinished()] == states
    async with serving(HeldStore(left), checkpoints=folder) as its:
        its.checkpoints.prepare("stray")
        await its.service.recover()
        assert (await its.service.get(cancelling.id)).state is JobState.CANCELLED
        assert (await its.service.get(paused.id)).state is JobState.PAUSED
        assert await its.end(running, first, second) == ["SUCCEEDED"] * 3
        assert its.executor.begun == [running.id, first.id, second.id]
        story = ["QUEUED", "RUNNING", "...", "QUEUED", "RUNNING", "...", "SUCCEEDED"]
        assert await its.story(running.id) == story
        again = await its.service.get(running.id)
        assert (again.attempt, again.restarts) == (2, 0)
        assert "stray" not in its.checkpoints.jobs()
        await its.service.resume(paused.id)
        assert await its.end(paused) == ["SUCCEEDED"]
    left.close()


async def test_a_job_that_failed_leaves_what_its_last_checkpoint_holds(store: HeldStore) -> None:
    """A user would lose the model of hours with the job."""
    async with serving(store, max_restarts=0) as its:
        job = await its.running()
        await its.service.pause(job.id)
        its.checkpoints.prepare(job.id)
        its.checkpoints.write(job.id, "1-1", checkpoint(epoch=1))
        its.executor.dies.append(KILLED)
        await its.service.resume(job.id)
        assert await its.end(job) == ["FAILED"]
        assert (await its.last_event(job.id)).state_change.result_so_far.epochs == 1


async def test_time_is_up_for_a_job_that_runs_too_long(store: HeldStore) -> None:
    """One job that never ends would keep a worker from everybody."""
    async with serving(store) as its:
        job = await its.create(max_seconds=1e-3)
        assert (await its.story(job.id))[-1] == "FAILED"
        failed = await its.service.get(job.id)
        assert failed.fault
        assert failed.fault.reason is FaultReason.TIME_LIMIT_EXCEEDED
        change = (await its.last_event(job.id)).state_change
        assert change.result_so_far.epochs == 1
        assert "max_seconds" in change.reason


async def test_a_full_disk_fails_the_job_in_question(store: HeldStore) -> None:
    """A user would watch a job for ever that nobody runs any more, and not learn why."""
    async with serving(store) as its:
        job, next_one = await its.running(), await its.create()
        store.failures.append(StorageFull())
        assert await its.end(job, next_one) == ["FAILED", "SUCCEEDED"]
        failed = await its.service.get(job.id)
        assert failed.fault
        assert failed.fault.reason is FaultReason.STORAGE_FULL
        assert "the server's disk is full" in failed.fault.message
