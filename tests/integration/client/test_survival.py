"""Jobs that survive, as a program sees them: each epoch once, and the curve of a run undisturbed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.processes import descendants, parent, wait_until
from tests.proxy import cutting_proxy
from tests.server import RunningServer, running_server

from gradstream import (
    AsyncClient,
    Checkpoint,
    Client,
    Completed,
    EpochUpdate,
    FailedPreconditionError,
    Heartbeat,
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    JobState,
    NotFoundError,
    Run,
    StateChange,
)

QUICK = ["--checkpoint-interval", "0.1", "--heartbeat", "0.1", "--disconnect-grace", "0.3", "--workers", "2"]
ENDLESS: dict[str, Any] = {"trainer": "autograd", "epochs": 10_000_000, "report_every": 1000}
EPOCHS = 4000
TABLE = np.random.default_rng(0).normal(size=(64, 4))
# Mini-batches in a new order every epoch, and a curve that never comes to rest.
SPEC: dict[str, Any] = {
    "features": TABLE[:, :3],
    "targets": TABLE[:, 3],
    "trainer": "autograd",
    "epochs": EPOCHS,
    "batch_size": 16,
    "learning_rate": 0.05,
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that does soon what others do after seconds."""
    with running_server(tmp_path_factory.mktemp("quick") / "data", *QUICK) as server:
        yield server


@pytest.fixture
def client(quick: RunningServer) -> Iterator[Client]:
    with Client(quick.address) as client:
        yield client


@pytest.fixture(scope="module")
def undisturbed(quick: RunningServer) -> tuple[np.ndarray, Completed]:
    """The curve and the result of a run that nothing disturbs."""
    with Client(quick.address) as client:
        run = client.train(**SPEC)
        result = run.result()
        return run.losses, result


def kill_workers(server: RunningServer) -> None:
    """Kill all that trains: the children of the server's fork server."""
    for pid in descendants(server.process.pid):
        if parent(pid) != server.process.pid:
            os.kill(pid, signal.SIGKILL)


class Successor:
    """Starts a server on the address and the data of one that has died, as soon as a client has noticed."""

    def __init__(self, stack: ExitStack, died: RunningServer) -> None:
        self._stack, self._died, self.started = stack, died, False

    def __call__(self, *_: object) -> None:
        if not self.started:
            self.started = True
            died = self._died
            self._stack.enter_context(running_server(died.data_dir, *QUICK, address=died.address))


def check(run: Run, epochs: list[int], undisturbed: tuple[np.ndarray, Completed]) -> None:
    """Every epoch once, and nothing tells that anything has happened."""
    losses, result = undisturbed
    assert epochs == list(range(1, EPOCHS + 1))
    np.testing.assert_array_equal(run.losses, losses)
    assert run.result().receipt.parameter_digest == result.receipt.parameter_digest


def test_a_job_that_is_paused(client: Client, undisturbed: tuple[np.ndarray, Completed]) -> None:
    run = client.train(**SPEC)
    epochs = [next(event.epoch for event in run if isinstance(event, EpochUpdate))]
    paused = run.pause()
    assert paused.state is JobState.PAUSED
    assert 0 < paused.checkpoint_epoch == paused.epochs_done < EPOCHS
    assert run.pause().last_sequence == paused.last_sequence, "again: no change"
    for event in run:
        if isinstance(event, StateChange) and event.state is JobState.PAUSED:
            assert run.resume().state in (JobState.QUEUED, JobState.RUNNING)
        if isinstance(event, EpochUpdate):
            epochs.append(event.epoch)
    check(run, epochs, undisturbed)
    assert client.get(run.job).restarts == 0


def test_a_worker_that_dies(
    quick: RunningServer, client: Client, undisturbed: tuple[np.ndarray, Completed]
) -> None:
    run = client.train(**SPEC)
    epochs: list[int] = []
    changes: list[StateChange] = []
    killed = False
    for event in run:
        if isinstance(event, EpochUpdate):
            epochs.append(event.epoch)
        if isinstance(event, StateChange):
            changes.append(event)
        if isinstance(event, Checkpoint) and not killed:
            kill_workers(quick)
            killed = True
    check(run, epochs, undisturbed)
    restart = changes[-1]
    assert (restart.state, restart.attempt) == (JobState.RUNNING, 2)
    assert "goes on after epoch" in restart.reason
    job = client.get(run.job)
    assert (job.restarts, job.attempt) == (1, 2)


def test_a_server_that_dies_while_a_run_is_iterated(
    tmp_path: Path, undisturbed: tuple[np.ndarray, Completed]
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path / "data", *QUICK))
        successor = Successor(stack, server)
        with Client(server.address, on_retry=successor) as client:
            run = client.train(**SPEC)
            epochs: list[int] = []
            for event in run:
                if isinstance(event, EpochUpdate):
                    epochs.append(event.epoch)
                if isinstance(event, Checkpoint) and not successor.started:
                    server.process.kill()
            check(run, epochs, undisturbed)
            assert client.get(run.job).attempt == 2
        assert successor.started


def test_a_server_that_dies_while_a_result_is_waited_for(
    tmp_path: Path, undisturbed: tuple[np.ndarray, Completed]
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path / "data", *QUICK))
        successor = Successor(stack, server)
        with Client(server.address, on_retry=successor) as client:
            run = client.train(**SPEC)
            next(event for event in run if isinstance(event, Checkpoint))
            server.process.kill()
            assert run.result().receipt.parameter_digest == undisturbed[1].receipt.parameter_digest
            np.testing.assert_array_equal(run.losses, undisturbed[0])


def test_a_server_that_dies_while_asyncio_iterates(
    tmp_path: Path, undisturbed: tuple[np.ndarray, Completed]
) -> None:
    async def watch(server: RunningServer, successor: Successor) -> tuple[list[int], np.ndarray]:
        async with AsyncClient(server.address, on_retry=successor) as client:
            run = await client.train(**SPEC)
            epochs = []
            async for event in run:
                if isinstance(event, EpochUpdate):
                    epochs.append(event.epoch)
                if isinstance(event, Checkpoint) and not successor.started:
                    server.process.kill()
            return epochs, run.losses

    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path / "data", *QUICK))
        epochs, losses = asyncio.run(watch(server, Successor(stack, server)))
    assert epochs == list(range(1, EPOCHS + 1))
    np.testing.assert_array_equal(losses, undisturbed[0])


def test_a_paused_job_outlives_its_server(tmp_path: Path, undisturbed: tuple[np.ndarray, Completed]) -> None:
    """A program that waits for it must not take the silence for the end, nor the server's death."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path / "data", *QUICK))
        successor = Successor(stack, server)
        with Client(server.address, on_retry=successor) as client:
            run = client.train(**SPEC)
            next(event for event in run if isinstance(event, EpochUpdate))
            run.pause()
            beats = 0
            for event in run.events(heartbeats=True):
                if not isinstance(event, Heartbeat):
                    continue
                beats += 1
                if beats == 1:
                    server.process.kill()
                if beats == 2:
                    assert successor.started
                    assert run.resume().state in (JobState.QUEUED, JobState.RUNNING)
                    break
            np.testing.assert_array_equal(
                run.result().parameters["weight"], undisturbed[1].parameters["weight"]
            )


def test_what_a_cancelled_job_has_reached(client: Client) -> None:
    run = client.train(**{**ENDLESS, "report_every": 1})
    next(event for event in run if isinstance(event, EpochUpdate))
    run.cancel()
    with pytest.raises(JobCancelledError) as caught:
        run.result()
    reached = caught.value.result_so_far
    assert reached is not None
    assert 0 < reached.epochs == run.epochs[-1]
    assert reached.parameters["weight"].shape == (1, 1)


def test_a_job_that_takes_too_long(client: Client) -> None:
    run = client.train(**ENDLESS, max_seconds=0.3)
    with pytest.raises(JobFailedError) as caught:
        run.result()
    assert caught.value.reason == "TIME_LIMIT_EXCEEDED"
    assert caught.value.result_so_far is not None
    assert client.get(run.job).spec.max_seconds == 0.3


def test_a_job_that_takes_too_much_memory(client: Client) -> None:
    """The job fails, and the server goes on with the next."""
    features = np.ones((400_000, 20), np.float32)
    run = client.train(
        features, features[:, 0], trainer="autograd", dtype="float64", epochs=3, max_memory_bytes=2**26
    )
    with pytest.raises(JobFailedError) as caught:
        run.result()
    assert caught.value.reason == "OUT_OF_MEMORY"
    assert client.train(epochs=3).result().epochs == 3


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_memory_bytes": 1}, "spec.max_memory_bytes"),
        ({"max_seconds": -1.0}, "spec.max_seconds"),
        ({"priority": 101}, "priority"),
        ({"priority": 2**40}, "priority"),
        ({"priority": 0.5}, "priority"),
        ({"group": "a b"}, "group"),
        ({"group": "x" * 65}, "group"),
        ({"group": None}, "group"),
        ({"group": "\udc80"}, "group"),
    ],
)
def test_limits_priorities_and_groups_that_are_refused(
    client: Client, options: dict[str, Any], field: str
) -> None:
    for call in (client.train, client.create):
        with pytest.raises(InvalidArgumentError) as caught:
            call(**options)
        assert [each.field for each in caught.value.violations] == [field]


def test_who_waits_hears_how_many_are_ahead(client: Client) -> None:
    blocking = [client.create(**ENDLESS, priority=1).id for _ in range(3)]
    run = client.train(priority=-1)
    assert client.get(run.job).priority == -1
    assert run.jobs_ahead == 1
    for event in run.events(heartbeats=True):
        if isinstance(event, Heartbeat) and event.jobs_ahead == 1:
            client.cancel(blocking[2])
        if isinstance(event, Heartbeat) and event.jobs_ahead == 0:
            assert run.jobs_ahead == 0
            break
    for job in blocking[:2]:
        client.cancel(job)
    assert run.result().epochs == 20


def test_a_job_that_is_not_watched_any_more(client: Client) -> None:
    run = client.train(**ENDLESS, cancel_on_disconnect=True)
    assert client.get(run.job).cancel_on_disconnect
    run.close()
    wait_until(lambda: client.get(run.job).state is JobState.CANCELLED, "its end")
    with pytest.raises(JobCancelledError):
        client.watch(run.job).result()


def test_a_broken_connection_is_no_disconnect(server: RunningServer) -> None:
    with cutting_proxy(server.address, [3000, 3000]) as proxy, Client(proxy.address) as client:
        run = client.train(trainer="manual", epochs=20_000, cancel_on_disconnect=True)
        assert run.result().epochs == 20_000
        assert proxy.cuts == 2


def test_deleting(client: Client) -> None:
    run = client.train(**ENDLESS)
    with pytest.raises(FailedPreconditionError, match="cancel it first") as caught:
        client.delete(run.job)
    assert caught.value.reason == "JOB_NOT_ENDED"
    run.cancel()
    with pytest.raises(JobCancelledError):
        run.result()
    client.delete(run.job)
    for call in (client.get, client.delete, client.watch, client.pause, client.resume, client.replay):
        with pytest.raises(NotFoundError):
            call(run.job)
    assert run.job not in [job.id for job in client.jobs()]


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_verbs_for_a_job_that_has_ended(client: Client, verb: str) -> None:
    run = client.train()
    run.result()
    for call in (lambda: getattr(client, verb)(run.job), getattr(run, verb)):
        with pytest.raises(FailedPreconditionError) as caught:
            call()
        assert caught.value.reason == "JOB_ALREADY_ENDED"


@pytest.mark.parametrize("options", [SPEC, {"trainer": "module"}], ids=["data", "reference"])
def test_a_replay(client: Client, options: dict[str, Any]) -> None:
    names = {"feature_names": ["a", "b", "c"], "predict_rows": [[1, 2, 3]]} if "features" in options else {}
    original = client.train(**options, **names)
    expected = original.result()
    replay = client.replay(original.job)
    assert replay.original.parameter_digest == expected.receipt.parameter_digest
    assert replay.run.job != original.job
    result = replay.result()
    assert result.same
    assert result.differences == {}
    np.testing.assert_array_equal(replay.run.losses, original.losses)
    np.testing.assert_array_equal(replay.run.result().predictions or [], expected.predictions or [])
    assert client.get(replay.run.job).spec.feature_names == client.get(original.job).spec.feature_names


def test_a_replay_of_what_has_no_result(client: Client) -> None:
    run = client.train(**ENDLESS)
    with pytest.raises(FailedPreconditionError, match="watch it to its end first") as caught:
        client.replay(run.job)
    assert caught.value.reason == "JOB_NOT_ENDED"
    run.cancel()
    with pytest.raises(JobCancelledError):
        run.result()
    failed = client.train(**ENDLESS, max_seconds=0.1)
    with pytest.raises(JobFailedError):
        failed.result()
    for job, said in ((run.job, "was cancelled"), (failed.job, "has failed")):
        with pytest.raises(FailedPreconditionError, match=f"{said}.*nothing to compare with") as caught:
            client.replay(job)
        assert caught.value.reason == "JOB_NOT_SUCCEEDED"


def test_all_of_it_for_asyncio(quick: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(quick.address) as client:
            run = await client.train(**ENDLESS, priority=2, cancel_on_disconnect=True)
            async for event in run:
                if isinstance(event, EpochUpdate):
                    break
            assert (await run.pause()).state is JobState.PAUSED
            async for event in run.events(heartbeats=True):
                if isinstance(event, Heartbeat):
                    break
            assert (await client.pause(run.job)).state is JobState.PAUSED
            assert (await run.resume()).priority == 2
            assert (await client.resume(run.job)).state in (JobState.QUEUED, JobState.RUNNING)
            with pytest.raises(FailedPreconditionError):
                await client.replay(run.job)
            await run.cancel()
            with pytest.raises(JobCancelledError) as caught:
                await run.result()
            assert caught.value.result_so_far is not None
            await client.delete(run.job)
            with pytest.raises(NotFoundError):
                await client.get(run.job)
            job = await client.create(epochs=5, priority=1)
            await (await client.watch(job.id)).result()
            replay = await client.replay(job.id)
            assert (await replay.result()).same

    asyncio.run(main(), debug=True)
