"""What every executor has to do. A further one costs a function here, and a line in EXECUTORS."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
from tests.domain import begun, resolved, table, told
from tests.processes import descendants, forked, wait_for_end, wait_until_idle

from gradstream_server.executors.local import LocalExecutor
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.executors.messages import Equipment
from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import Checkpointed, Completed, EpochUpdates, Event, Started, StateChange
from gradstream_server.jobs.executor import Executor, Interrupted, Task
from gradstream_server.jobs.run import next_attempt
from gradstream_server.stores.checkpoints import FileCheckpoints
from gradstream_server.stores.datasets import DatasetFolder
from gradstream_server.stores.files import FileDataStore
from gradstream_server.trainers.registry import TRAINERS


def _quiet() -> None:
    """Workers of tests say nothing."""


Said = list[Event | Interrupted]
Open = Callable[..., AbstractAsyncContextManager[Executor]]


@asynccontextmanager
async def local(
    folder: Path,
    slots: int = 1,
    stop_grace_s: float = 60,
    threads: int = 1,
    checkpoint_interval_s: float = 60,
) -> AsyncIterator[Executor]:
    """Worker processes of this machine."""
    data = FileDataStore(folder)
    equipment = Equipment(
        threads=threads,
        data=data,
        datasets=DatasetFolder(folder / "datasets"),
        matrices=MatrixCache(folder / "matrices", max_bytes=0),
        checkpoints=FileCheckpoints(folder / "checkpoints"),
        checkpoint_interval_s=checkpoint_interval_s,
        max_parameters=100_000,
        configure_logging=_quiet,
    )
    executor = LocalExecutor(slots, equipment, stop_grace_s)
    executor.start()
    try:
        yield executor
    finally:
        await executor.close()


EXECUTORS = [local]
pytestmark = pytest.mark.parametrize("open_executor", EXECUTORS)


def workers() -> set[int]:
    """The processes that train for this one: children of its fork server."""
    return forked()


def task(job: str = "job", trainer: str = "manual", **fields: Any) -> Task:
    return Task(job, resolved(trainer, **{"device": "cpu"} | fields))


def endless(job: str = "job") -> Task:
    """A task that runs for minutes, in epochs of microseconds."""
    return task(job, epochs=10_000_000, report_every=1_000_000)


def slow_epochs(folder: Path) -> Task:
    """A task whose epochs take a minute each."""
    data = table(rows=2_000_000, features=1)
    what = task(trainer="autograd", data=data, batch_size=1, shuffle=False)
    FileDataStore(folder).put(what.spec.data.digest, data)
    return what


def _nothing() -> None:
    pass


async def run(executor: Executor, what: Task) -> Said:
    return [event async for said in executor.run(what, _nothing) for event in _flat(said)]


def _flat(said: Sequence[Event] | Interrupted) -> Sequence[Event | Interrupted]:
    return [said] if isinstance(said, Interrupted) else said


async def until(executor: Executor, what: Task, kind: type = Started) -> tuple[asyncio.Task[Said], Said]:
    """A task that is under way and has said something of a kind; all that it says, now and later."""
    happened = asyncio.Event()
    all_said: Said = []

    async def follow() -> Said:
        async for said in executor.run(what, _nothing):
            all_said.extend(_flat(said))
            if any(isinstance(event, kind) for event in _flat(said)):
                happened.set()
        return all_said

    following = asyncio.create_task(follow())
    await happened.wait()
    return following, all_said


def fault_of(event: Event | Interrupted) -> FaultReason | None:
    return event.fault.reason if isinstance(event, StateChange) and event.fault else None


@pytest.mark.parametrize("trainer", TRAINERS)
async def test_a_task_is_trained_to_its_end(open_executor: Open, tmp_path: Path, trainer: str) -> None:
    """A user's job would not run."""
    async with open_executor(tmp_path) as executor:
        first, *updates, last = await run(executor, task(trainer=trainer, epochs=30))
        assert isinstance(first, Started)
        assert isinstance(last, Completed)
        epochs = [n for update in updates if isinstance(update, EpochUpdates) for n in update.epochs.tolist()]
        assert epochs == list(range(1, 31))
        assert set(last.receipt.versions) == {"gradstream", "python", "numpy", "torch"}
        assert last.receipt.threads == 1


async def test_a_task_finds_its_data(open_executor: Open, tmp_path: Path) -> None:
    """A user's own table would not be what is trained on."""
    data = table(rows=50, features=3, targets=2)
    what = task(data=data, predict_rows=data.features[:2], learning_rate=0.3, epochs=20_000)
    FileDataStore(tmp_path).put(what.spec.data.digest, data)
    async with open_executor(tmp_path) as executor:
        *_, last = await run(executor, what)
        assert isinstance(last, Completed)
        np.testing.assert_allclose(last.predictions, data.targets[:2], rtol=1e-4)


async def test_a_task_that_cannot_run_fails_alone(open_executor: Open, tmp_path: Path) -> None:
    """One broken job would take the worker from everybody."""
    async with open_executor(tmp_path) as executor:
        lost = await run(executor, task("a", data=table()))  # Nobody has put its data there.
        assert [fault_of(event) for event in lost] == [FaultReason.DATA_LOST]
        diverging = await run(executor, task("b", learning_rate=1e30))
        assert fault_of(diverging[-1]) is FaultReason.DIVERGED
        assert isinstance((await run(executor, task("c")))[-1], Completed)


async def test_as_many_tasks_run_at_once_as_there_are_slots(open_executor: Open, tmp_path: Path) -> None:
    """A machine's cores would be idle while jobs wait."""
    async with open_executor(tmp_path, slots=2) as executor:
        assert executor.slots == 2
        running = [await until(executor, endless(job)) for job in ("a", "b")]
        for job in ("a", "b"):
            executor.stop(job)
        for following, _ in running:
            assert isinstance((await following)[-1], Interrupted)


async def test_a_stop_ends_a_task_at_the_end_of_an_epoch(open_executor: Open, tmp_path: Path) -> None:
    """A user could not stop a job, or would lose its curve, its model, or the worker with it."""
    async with open_executor(tmp_path) as executor:
        following, said = await until(executor, endless())
        before = workers()
        executor.stop("job")
        executor.stop("job")
        await following
        assert [type(event) for event in said[:2]] == [Started, EpochUpdates]
        *_, checkpointed, interrupted = said
        assert isinstance(checkpointed, Checkpointed)
        assert isinstance(interrupted, Interrupted)
        assert (interrupted.died, interrupted.killed) == (None, False)
        assert interrupted.result_so_far
        assert interrupted.result_so_far.epochs == checkpointed.epoch
        executor.stop("unknown")  # Nothing happens.
        assert isinstance((await run(executor, task("next")))[-1], Completed)
        assert workers() == before


@pytest.mark.parametrize("how", ["stopped", signal.SIGKILL, signal.SIGSEGV])
async def test_a_task_goes_on_where_it_was(
    open_executor: Open, tmp_path: Path, how: str | signal.Signals
) -> None:
    """A crash, or a pause, would cost a user the training until then, or change its result."""
    what = task(epochs=150_000, report_every=1_000, trainer="manual")
    async with open_executor(tmp_path, checkpoint_interval_s=0) as executor:
        undisturbed = await run(executor, what)
        job = begun(what.spec)
        following, first = await until(executor, next_attempt(job, what.spec), Checkpointed)
        if isinstance(how, signal.Signals):
            (worker,) = workers()
            os.kill(worker, how)
            await following
            assert isinstance(first[-1], Interrupted)
            assert first[-1].died
            assert first[-1].died.reason is FaultReason.WORKER_DIED
            assert how.name in first[-1].died.message
        else:
            executor.stop(job.id)
            await following
        job = told(job, [*first[:-1], StateChange("RUNNING")])
        assert 0 < job.checkpoints[0].epoch < what.spec.epochs
        second = await run(executor, next_attempt(job, what.spec))
        assert not any(isinstance(event, Started) for event in second)
        assert curve(first + second) == curve(undisturbed)
        *_, end = second
        *_, expected = undisturbed
        assert isinstance(end, Completed)
        assert isinstance(expected, Completed)
        assert (end.final_loss, end.receipt) == (expected.final_loss, expected.receipt)


def curve(said: Said) -> list[tuple[int, float]]:
    updates = [event for event in said if isinstance(event, EpochUpdates)]
    return [pair for u in updates for pair in zip(u.epochs.tolist(), u.losses.tolist(), strict=True)]


async def test_a_stop_before_there_is_a_worker(open_executor: Open, tmp_path: Path) -> None:
    """A user who cancels just after the server's start would see the job train to its end."""
    async with open_executor(tmp_path) as executor:
        following = asyncio.create_task(run(executor, endless()))
        await asyncio.sleep(0)  # Let it ask for a worker: there is none yet.
        executor.stop("job")
        assert await following == [Interrupted()]
        assert isinstance((await run(executor, task("job")))[-1], Completed)


async def test_it_is_told_when_a_worker_begins(open_executor: Open, tmp_path: Path) -> None:
    """A job's time would be over before there is a worker to train it, or never."""
    async with open_executor(tmp_path) as executor:
        has_begun = asyncio.Event()
        happenings = executor.run(endless(), has_begun.set)
        first = asyncio.ensure_future(anext(happenings))
        await asyncio.sleep(0)  # Let it ask for a worker: there is none yet.
        assert not has_begun.is_set()
        await first
        assert has_begun.is_set()
        await happenings.aclose()


async def test_a_task_that_does_not_stop_is_killed(open_executor: Open, tmp_path: Path) -> None:
    """A user's cancel would wait as long as one epoch takes, an hour for large data."""
    async with open_executor(tmp_path, stop_grace_s=0.1) as executor:
        following, said = await until(executor, slow_epochs(tmp_path))
        executor.stop("job")
        await following
        assert isinstance(said[0], Started)
        assert said[-1] == Interrupted(killed=True)
        assert isinstance((await run(executor, task("next")))[-1], Completed)


async def test_a_worker_that_dies_while_it_stops_was_not_killed(open_executor: Open, tmp_path: Path) -> None:
    """A user would be told of a trainer that does not stop, and not of one that crashes."""
    async with open_executor(tmp_path) as executor:
        following, said = await until(executor, slow_epochs(tmp_path))
        executor.stop("job")
        (worker,) = workers()
        os.kill(worker, signal.SIGSEGV)
        await following
        assert isinstance(said[-1], Interrupted)
        assert (said[-1].killed, said[-1].died is None) == (False, False)


async def test_a_suspended_worker_holds_up_nobody(open_executor: Open, tmp_path: Path) -> None:
    """One worker that the system does not let run would stop the whole server for every user."""
    async with open_executor(tmp_path, stop_grace_s=0.1) as executor:
        await executor.devices()
        (worker,) = workers()
        os.kill(worker, signal.SIGSTOP)
        # More than a pipe takes.
        what = task("large", predict_rows=np.zeros((100_000, 1)))
        following = asyncio.create_task(run(executor, what))
        await asyncio.sleep(0)  # Let it be given to a worker.
        executor.stop("large")
        assert await following == [Interrupted(killed=True)]
        assert isinstance((await run(executor, what))[-1], Completed)


async def test_a_worker_suspended_while_it_speaks_holds_up_nobody(
    open_executor: Open, tmp_path: Path
) -> None:
    """The same, for what a worker says: half of it is there, and the rest may never come."""
    data = table(rows=1, features=300, targets=300)
    what = task(data=data, epochs=1_000_000, learning_rate=1e-9)
    FileDataStore(tmp_path).put(what.spec.data.digest, data)
    async with open_executor(tmp_path, stop_grace_s=0.1) as executor:
        await executor.devices()
        (worker,) = workers()
        following = asyncio.create_task(run(executor, what))
        await asyncio.sleep(0)  # Let it be given to the worker.
        wait_until_idle(worker)  # Nobody reads: it waits in the middle of its first parameters.
        os.kill(worker, signal.SIGSTOP)
        rescue = Timer(10, os.kill, (worker, signal.SIGCONT))
        rescue.start()
        await asyncio.sleep(0.05)  # Let what there is be read.
        assert rescue.is_alive()
        rescue.cancel()
        executor.stop(what.job)
        assert await following == [Interrupted(killed=True)]
        assert isinstance(
            (await run(executor, replace(what, spec=replace(what.spec, epochs=3))))[-1], Completed
        )


@pytest.mark.parametrize("trainer", TRAINERS)
async def test_a_task_that_takes_more_memory_than_it_may_fails_alone(
    open_executor: Open, tmp_path: Path, trainer: str
) -> None:
    """One job too large would take the machine from all others, or the worker from the next."""
    data = table(rows=400_000, features=20)  # 64 MB
    unlimited = task(trainer=trainer, data=data, epochs=2, learning_rate=1e-3)
    FileDataStore(tmp_path).put(unlimited.spec.data.digest, data)
    limited = replace(unlimited, spec=replace(unlimited.spec, max_memory_bytes=64 << 20))
    async with open_executor(tmp_path) as executor:
        await executor.devices()
        before = workers()
        for _ in range(2):
            *_, end = await run(executor, limited)
            assert isinstance(end, StateChange)
            assert fault_of(end) is FaultReason.OUT_OF_MEMORY
            assert f"{64 << 20} bytes of max_memory_bytes" in end.reason
            assert isinstance((await run(executor, unlimited))[-1], Completed)
        assert workers() == before


@pytest.mark.parametrize("threads", [1, 2, 16])
async def test_a_limit_of_memory_does_not_hinder_a_task_within_it(
    open_executor: Open, tmp_path: Path, threads: int
) -> None:
    """The smallest limit would fail jobs that need next to nothing, or kill workers for want of threads."""
    data = table(rows=200_000, features=4, dtype="float32")  # 4 MB, worth several threads.
    async with open_executor(tmp_path, threads=threads) as executor:
        for trainer in TRAINERS:
            for rows in (None, data):
                what = task(
                    trainer=trainer, data=rows, epochs=20, learning_rate=1e-3, max_memory_bytes=64 << 20
                )
                FileDataStore(tmp_path).put(what.spec.data.digest, data)
                *_, end = await run(executor, what)
                assert isinstance(end, Completed), end


def test_workers_end_with_a_server_that_is_killed(open_executor: Open, tmp_path: Path) -> None:
    """A server that died would leave processes that train for hours, for nobody."""
    program = (
        "import asyncio, pathlib, tests.contract.test_executors as this; "
        f"asyncio.run(this.train_for_hours(this.{open_executor.__name__}, pathlib.Path({str(tmp_path)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stdout.readline() == b"begun\n"
        left = descendants(server.pid)
        server.kill()
    assert len(left) >= 2  # The fork server and a worker.
    wait_for_end(left)


async def train_for_hours(open_executor: Open, folder: Path) -> None:
    """What a server does in the test above."""
    async with open_executor(folder) as executor:
        following, _ = await until(executor, slow_epochs(folder))
        print("begun", flush=True)
        await following


async def test_a_worker_that_dies_idle_is_replaced(open_executor: Open, tmp_path: Path) -> None:
    """The next job after a crash would fail although nothing is wrong with it."""
    async with open_executor(tmp_path) as executor:
        await executor.devices()
        (worker,) = workers()
        os.kill(worker, signal.SIGKILL)
        wait_for_end({worker})
        assert isinstance((await run(executor, task()))[-1], Completed)


async def test_a_worker_that_died_idle_fails_nobody(open_executor: Open, tmp_path: Path) -> None:
    """A job would fail for what happened to a worker before it got there."""
    async with open_executor(tmp_path) as executor:
        await executor.devices()
        for turn in range(5):
            (worker,) = workers()
            os.kill(worker, signal.SIGKILL)
            # At once, before the executor can have seen it.
            assert isinstance((await run(executor, task(f"job {turn}")))[-1], Completed)


async def test_a_stop_without_a_task_is_of_no_consequence(open_executor: Open, tmp_path: Path) -> None:
    """A job that is resumed would be interrupted because of a stop that came just after its last attempt."""
    async with open_executor(tmp_path) as executor:
        executor.stop("job")
        assert isinstance((await run(executor, task("job")))[-1], Completed)
        executor.stop("job")
        assert isinstance((await run(executor, task("job")))[-1], Completed)


async def test_a_worker_that_nobody_listens_to_waits(open_executor: Open, tmp_path: Path) -> None:
    """A slow disk would cost the server growing memory, and a cancel would take minutes to arrive."""
    async with open_executor(tmp_path) as executor:
        data = table(rows=1, features=63)
        many = task(data=data, epochs=10_000_000, learning_rate=1e-6)
        FileDataStore(tmp_path).put(many.spec.data.digest, data)
        async with aclosing(executor.run(many, _nothing)) as happenings:
            first = await anext(happenings)
            assert isinstance(first[0], Started)
            (worker,) = workers()
            await asyncio.to_thread(wait_until_idle, worker)


async def test_a_run_that_nobody_follows_any_more_harms_no_other(open_executor: Open, tmp_path: Path) -> None:
    """A job would fail because the log of the one before could not be written."""
    async with open_executor(tmp_path) as executor:
        async with aclosing(executor.run(endless("a"), _nothing)) as events:
            await anext(events)
        for job in ("b", "c"):
            assert isinstance((await run(executor, task(job)))[-1], Completed)


async def test_devices_are_those_that_a_task_can_name(open_executor: Open, tmp_path: Path) -> None:
    """A user would be offered a device that does not work."""
    async with open_executor(tmp_path) as executor:
        devices = [device.name for device in await executor.devices()]
        assert "cpu" in devices
        for device in devices:
            assert isinstance((await run(executor, task(device=device)))[-1], Completed)


async def test_closing_leaves_no_processes(open_executor: Open, tmp_path: Path) -> None:
    """A stopped server would go on using the machine."""
    async with open_executor(tmp_path, slots=2) as executor:
        following, _ = await until(executor, endless())
        await executor.devices()
        mine = workers()
    following.cancel()
    wait_for_end(mine)
    assert mine
    assert not workers()
