"""Going on: after the death of a worker, of a server, or its orderly end."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.jobs.in_process import HeldStore, checkpoint, eventually
from tests.unit.jobs.serving import serving

from gradstream.v1 import event_pb2
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed, StateChange, Warned, WarningReason
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.checkpoints import FileCheckpoints
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


async def test_time_to_start_a_worker_is_not_a_jobs(store: HeldStore) -> None:
    """After each start of the server, jobs with little time would fail that have not trained at all."""
    async with serving(store) as its:
        its.executor.has_workers.clear()
        job = await its.create(max_seconds=1e-3)
        await its.executor.has_begun(job.id)
        await asyncio.sleep(0.1)  # Longer than it may run.
        assert (await its.service.get(job.id)).state is JobState.RUNNING
        its.executor.has_workers.set()
        assert (await its.story(job.id))[-1] == "FAILED"
        assert (await its.last_event(job.id)).state_change.result_so_far.epochs == 1


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


@pytest.mark.parametrize("reason", [FaultReason.DATA_LOST, FaultReason.DIVERGED])
async def test_what_a_worker_fails_with_carries_what_was_reached(
    store: HeldStore, reason: FaultReason
) -> None:
    """A user would lose the model of hours with the data; or take numbers for a model that are none."""
    async with serving(store) as its:
        job = await its.running()
        its.checkpoints.prepare(job.id)
        its.checkpoints.write(job.id, "1-1", checkpoint(epoch=1))
        await its.service.pause(job.id)
        fault = Fault(reason, "it failed")
        its.executor.fails.append(StateChange(JobState.FAILED, fault.message, fault=fault))
        await its.service.resume(job.id)
        assert await its.end(job) == ["FAILED"]
        change = (await its.last_event(job.id)).state_change
        assert change.HasField("result_so_far") == (reason is FaultReason.DATA_LOST)


async def left_behind(store: HeldStore, tmp_path: Path, **jobs: int) -> tuple[SqlJobStore, dict[str, Job]]:
    """What a server leaves that is killed while the first of some jobs runs, each with its priority."""
    async with serving(store) as its:
        made = {}
        for name, priority in jobs.items():
            made[name] = await (its.create if made else its.running)(priority=priority)
        store.hold("append")
        with (
            closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as dying,
            closing(sqlite3.connect(tmp_path / "killed.sqlite")) as killed,
        ):
            dying.backup(killed)
    return SqlJobStore.open_sqlite(tmp_path / "killed.sqlite"), made


async def test_the_next_server_begins_with_the_important(store: HeldStore, tmp_path: Path) -> None:
    """An urgent job would wait behind all others after a restart."""
    left, jobs = await left_behind(store, tmp_path, first=-5, low=-5, high=7, normal=0)
    async with serving(HeldStore(left)) as its:
        await its.service.recover()
        assert await its.end(*jobs.values()) == ["SUCCEEDED"] * 4
        assert its.executor.begun == [jobs[name].id for name in ("high", "normal", "first", "low")]
        records = left.events(jobs["first"].id, 0, 1 << 20)
        changes = [event_pb2.TrainingEvent.FromString(record.body).state_change for record in records]
        (told,) = [change for change in changes if "its server died" in change.reason]
        assert (told.jobs_ahead, "waits for 1 job ahead" in told.reason) == (1, True)
    left.close()


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_server_starts_though_there_is_no_room(
    store: HeldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """Nobody could read his jobs, nor delete any to make room."""
    monkeypatch.setattr("gradstream_server.jobs.recovery._RETRY_S", 0.01)
    monkeypatch.setattr("gradstream_server.jobs.run._RETRY_S", 0.01)
    left, jobs = await left_behind(store, tmp_path, first=0, second=0)
    full = HeldStore(left)
    full.full = True
    async with serving(full) as its:
        await its.service.recover()
        assert (await its.service.get(jobs["first"].id)).state is JobState.RUNNING
        if stopped:
            assert (await its.service.cancel(jobs["first"].id)).state is JobState.CANCELLED
        full.full = False
        ends = ["CANCELLED" if stopped else "SUCCEEDED", "SUCCEEDED"]
        assert await its.end(*jobs.values()) == ends
    left.close()


async def test_one_job_that_cannot_be_read_does_not_keep_the_others_waiting(
    store: HeldStore, tmp_path: Path
) -> None:
    """A defect in one job would be the end of the service."""
    left, jobs = await left_behind(store, tmp_path, first=0, second=0)
    with closing(sqlite3.connect(tmp_path / "killed.sqlite")) as database:
        database.execute("UPDATE jobs SET spec = x'ff' WHERE id = ?", (jobs["first"].id,))
        database.commit()
    async with serving(HeldStore(left)) as its:
        await its.service.recover()
        assert await its.end(jobs["second"]) == ["SUCCEEDED"]
        assert (await its.service.cancel(jobs["first"].id)).state is JobState.CANCELLED
    left.close()


async def test_a_damaged_checkpoint_goes_before_one_that_is_good(
    store: HeldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the next crash nothing would be left to go on from but the damaged one."""
    async with serving(store) as its:
        job = await its.running()
        discarded: list[str] = []
        monkeypatch.setattr(FileCheckpoints, "discard", lambda *what: discarded.append(what[-1]))
        damaged = Warned(WarningReason.CHECKPOINT_DAMAGED, "1-2 is damaged", "1-2")
        told = [[Checkpointed(1, "1-1")], [Checkpointed(2, "1-2")], [damaged], [Checkpointed(3, "1-3")]]
        its.executor.tells.extend(told)
        its.executor.dies.append(KILLED)
        its.executor.let_go(job.id)
        await eventually(lambda: len(its.executor.tasks) == 2)
        assert its.executor.tasks[-1].checkpoints == ("1-3", "1-1")
        assert await its.end(job) == ["SUCCEEDED"]
        assert discarded == ["1-2"]


async def test_a_worker_that_was_killed_leaves_no_checkpoints(store: HeldStore) -> None:
    """The disk would fill with checkpoints of jobs that are gone."""
    async with serving(store) as its:
        job = await its.running()
        # It could not tell of it any more.
        its.checkpoints.prepare(job.id)
        its.checkpoints.write(job.id, "1-1", checkpoint(1))
        its.executor.dies.append(KILLED)
        await its.service.cancel(job.id)
        assert await its.end(job) == ["CANCELLED"]
        await eventually(lambda: its.checkpoints.jobs() == [])
        its.checkpoints.prepare(job.id)
        await its.service.delete(job.id)
        assert its.checkpoints.jobs() == []
