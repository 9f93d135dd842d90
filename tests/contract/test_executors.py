"""What every executor has to do. A further one costs a function here, and a line in EXECUTORS."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domain import resolved, table
from tests.processes import descendants, parent, wait_for_end, wait_until_idle

from gradstream_server.executors.local import LocalExecutor
from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import Completed, EpochUpdates, Event, Started, StateChange
from gradstream_server.jobs.executor import Executor, Task
from gradstream_server.stores.files import FileDataStore
from gradstream_server.trainers.registry import TRAINERS


def _quiet() -> None:
    """Workers of tests say nothing."""


Open = Callable[..., AbstractAsyncContextManager[Executor]]


@asynccontextmanager
async def local(folder: Path, slots: int = 1, stop_grace_s: float = 60) -> AsyncIterator[Executor]:
    """Worker processes of this machine."""
    data = FileDataStore(folder)
    executor = LocalExecutor(slots, 1, data.path, stop_grace_s, _quiet)
    executor.start()
    try:
        yield executor
    finally:
        await executor.close()


EXECUTORS = [local]
pytestmark = pytest.mark.parametrize("open_executor", EXECUTORS)


def workers() -> set[int]:
    """The processes that train for this one: children of its fork server."""
    return {pid for pid in descendants(os.getpid()) if parent(pid) != os.getpid()}


def task(job: str = "job", trainer: str = "manual", **fields: Any) -> Task:
    return Task(job, resolved(trainer, **{"device": "cpu"} | fields))


def endless(job: str = "job") -> Task:
    """A task that runs for minutes, in epochs of microseconds."""
    return task(job, epochs=10_000_000, report_every=1_000_000)


async def run(executor: Executor, what: Task) -> list[Event]:
    return [event async for events in executor.run(what) for event in events]


async def until_begun(executor: Executor, what: Task) -> tuple[asyncio.Task[list[Event]], list[Event]]:
    """A task that is under way, what it has told at first, and what it tells at last."""
    begun = asyncio.Event()
    events: list[Event] = []

    async def follow() -> list[Event]:
        async for some in executor.run(what):
            events.extend(some)
            begun.set()
        return events

    following = asyncio.create_task(follow())
    await begun.wait()
    return following, events


def fault_of(event: Event) -> FaultReason | None:
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
        assert [fault_of(event) for event in lost] == [FaultReason.TRAINER_FAILED]
        diverging = await run(executor, task("b", learning_rate=1e30))
        assert fault_of(diverging[-1]) is FaultReason.DIVERGED
        assert isinstance((await run(executor, task("c")))[-1], Completed)


async def test_as_many_tasks_run_at_once_as_there_are_slots(open_executor: Open, tmp_path: Path) -> None:
    """A machine's cores would be idle while jobs wait."""
    async with open_executor(tmp_path, slots=2) as executor:
        assert executor.slots == 2
        running = [await until_begun(executor, endless(job)) for job in ("a", "b")]
        for job in ("a", "b"):
            executor.stop(job)
        for following, _ in running:
            assert (await following)[-1] == StateChange("CANCELLED")


async def test_a_stop_ends_a_task_at_the_end_of_an_epoch(open_executor: Open, tmp_path: Path) -> None:
    """A user could not stop a job, or would lose its curve, or the worker with it."""
    async with open_executor(tmp_path) as executor:
        following, events = await until_begun(executor, endless())
        before = workers()
        executor.stop("job")
        executor.stop("job")
        await following
        assert [type(event) for event in events[:2]] == [Started, EpochUpdates]
        assert events[-1] == StateChange("CANCELLED")
        executor.stop("job")  # It has ended: nothing happens.
        executor.stop("unknown")
        assert isinstance((await run(executor, task("next")))[-1], Completed)
        assert workers() == before


async def test_a_stop_before_there_is_a_worker(open_executor: Open, tmp_path: Path) -> None:
    """A user who cancels just after the server's start would see the job train to its end."""
    async with open_executor(tmp_path) as executor:
        following = asyncio.create_task(run(executor, endless()))
        await asyncio.sleep(0)  # Let it ask for a worker: there is none yet.
        executor.stop("job")
        assert await following == [StateChange("CANCELLED")]
        assert isinstance((await run(executor, task("job")))[-1], Completed)


async def test_a_task_that_does_not_stop_is_killed(open_executor: Open, tmp_path: Path) -> None:
    """A user's cancel would wait as long as one epoch takes, an hour for large data."""
    data = table(rows=2_000_000, features=1)
    slow = task(trainer="autograd", data=data, batch_size=1, shuffle=False)  # An epoch takes a minute.
    FileDataStore(tmp_path).put(slow.spec.data.digest, data)
    async with open_executor(tmp_path, stop_grace_s=0.1) as executor:
        following, events = await until_begun(executor, slow)
        executor.stop("job")
        await following
        assert isinstance(events[0], Started)
        assert isinstance(events[-1], StateChange)
        assert (events[-1].state, events[-1].fault) == ("CANCELLED", None)
        assert "killed" in events[-1].reason
        assert isinstance((await run(executor, task("next")))[-1], Completed)


async def test_a_worker_that_dies_fails_its_task_and_is_replaced(open_executor: Open, tmp_path: Path) -> None:
    """A crash would leave a job RUNNING for ever, and the server with a worker less."""
    async with open_executor(tmp_path) as executor:
        following, events = await until_begun(executor, endless())
        (worker,) = workers()
        os.kill(worker, signal.SIGKILL)
        await following
        assert isinstance(events[0], Started)
        assert fault_of(events[-1]) is FaultReason.WORKER_DIED
        assert "signal 9" in getattr(events[-1], "reason", "")
        assert isinstance((await run(executor, task("next")))[-1], Completed)


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


async def test_a_stop_before_the_task_has_begun(open_executor: Open, tmp_path: Path) -> None:
    """A job cancelled on its way from the queue to its worker would train to its end."""
    async with open_executor(tmp_path) as executor:
        await executor.devices()
        executor.stop("job")
        assert [event.state for event in await run(executor, endless())] == ["CANCELLED"]


async def test_a_worker_that_nobody_listens_to_waits(open_executor: Open, tmp_path: Path) -> None:
    """A slow disk would cost the server growing memory, and a cancel would take minutes to arrive."""
    async with open_executor(tmp_path) as executor:
        data = table(rows=1, features=63)
        many = task(data=data, epochs=10_000_000, learning_rate=1e-6)
        FileDataStore(tmp_path).put(many.spec.data.digest, data)
        async with aclosing(executor.run(many)) as happenings:
            first = await anext(happenings)
            assert isinstance(first[0], Started)
            (worker,) = workers()
            await asyncio.to_thread(wait_until_idle, worker)


async def test_a_run_that_nobody_follows_any_more_harms_no_other(open_executor: Open, tmp_path: Path) -> None:
    """A job would fail because the log of the one before could not be written."""
    async with open_executor(tmp_path) as executor:
        async with aclosing(executor.run(endless("a"))) as events:
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
        following, _ = await until_begun(executor, endless())
        await executor.devices()
        mine = workers()
    following.cancel()
    wait_for_end(mine)
    assert mine
    assert not workers()
