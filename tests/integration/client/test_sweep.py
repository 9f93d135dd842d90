"""Sweeps against a real server: every run once, never too many at a time, and on after an interruption."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server import RunningServer, running_server

from gradstream import (
    AsyncClient,
    Client,
    InvalidArgumentError,
    Job,
    JobState,
    LogUniform,
    ServerUnreachableError,
    Sweep,
    Uniform,
)

X = np.random.default_rng(0).normal(size=(64, 2))
Y = X @ [3.0, -1.0] + 0.5
GRID: dict[str, Any] = {"learning_rate": [0.01, 0.1], "batch_size": [8, 32, 64]}
LONG: dict[str, Any] = {"epochs": 10_000_000, "report_every": 1_000_000}


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def jobs_of(client: Client, group: str) -> list[Job]:
    """The jobs of a group, oldest first."""
    return list(client.jobs(group=group))[::-1]


def at_once(jobs: list[Job]) -> int:
    """How many there were at most between their creation and their end, by the server's clock."""
    changes: list[tuple[datetime, int]] = []
    for job in jobs:
        assert job.end_time is not None
        changes += [(job.create_time, 1), (job.end_time, -1)]
    return max(accumulate(change for _, change in sorted(changes)))


def test_a_grid(client: Client) -> None:
    sweep = client.sweep(GRID, X, Y, epochs=30, group="grid", at_once=3)
    seen = [(run.number, run.state) for run in sweep]
    assert [run.options for run in sweep.runs] == [
        {"learning_rate": rate, "batch_size": size} for rate in (0.01, 0.1) for size in (8, 32, 64)
    ]
    assert {run.state for run in sweep.runs} == {JobState.SUCCEEDED}
    assert {number for number, state in seen if state is JobState.SUCCEEDED} == set(range(1, 7))
    best = sweep.best
    assert best is not None
    assert best.options == {"learning_rate": 0.1, "batch_size": 8}
    alone = client.train(X, Y, epochs=30, learning_rate=0.1, batch_size=8).result()
    assert best.result is not None
    assert (best.value, best.result.receipt.parameter_digest) == (
        alone.final_loss,
        alone.receipt.parameter_digest,
    )
    assert [job.id for job in jobs_of(client, "grid")] == [run.job.id for run in sweep.runs if run.job]


@pytest.mark.parametrize("limit", [1, 2])
def test_there_are_never_more_jobs_than_asked_for(client: Client, limit: int) -> None:
    """Whoever shares a server would have it for himself, or lose it to a sweep."""
    group = f"limit-{limit}"
    sweep = client.sweep({"seed": list(range(8))}, epochs=5_000, group=group, at_once=limit)
    assert sweep.result() is not None
    assert at_once(jobs_of(client, group)) == limit


def test_as_many_as_the_server_has_workers(client: Client) -> None:
    """A machine would be idle, or its queue full."""
    sweep = client.sweep({"seed": list(range(6))}, epochs=5_000, group="workers")
    sweep.result()
    assert sweep.at_once == client.server_info().workers
    assert at_once(jobs_of(client, "workers")) <= sweep.at_once


def test_a_run_that_fails_is_the_worst_and_the_others_go_on(client: Client) -> None:
    sweep = client.sweep({"learning_rate": [1e9, 0.01, 1e8]}, trainer="autograd", epochs=100)
    best = sweep.result()
    assert best is not None
    assert best.number == 2
    assert [run.state for run in sweep.runs] == [JobState.FAILED, JobState.SUCCEEDED, JobState.FAILED]
    assert [run.value for run in sweep.runs if run.state is JobState.FAILED] == [None, None]
    assert sweep.runs[0].job is not None
    assert sweep.runs[0].job.fault is not None


def test_all_runs_fail(client: Client) -> None:
    assert client.sweep({"learning_rate": [1e9, 1e8]}, epochs=100).result() is None


def test_an_interrupted_sweep_trains_nothing_twice(client: Client) -> None:
    """Hours of training would be repeated after Ctrl-C."""
    first = client.sweep(GRID, X, Y, epochs=200, group="on", at_once=2)
    for run in first:
        if run.ended and run.number >= 2:
            break
    before = {job.id: job.create_time for job in jobs_of(client, "on")}
    assert 0 < len(before) < 6
    second = client.sweep(GRID, X, Y, epochs=200, group="on", at_once=2, priority=5)
    second.result()
    jobs = jobs_of(client, "on")
    assert len(jobs) == 6
    assert before.items() <= {job.id: job.create_time for job in jobs}.items()
    assert {job.attempt for job in jobs} == {1}
    third = client.sweep(GRID, X, Y, epochs=200, group="on", at_once=2)
    assert third.result() is not None
    assert len(jobs_of(client, "on")) == 6
    assert [run.value for run in third.runs] == [run.value for run in second.runs]


def test_a_larger_sweep_of_the_same_group_trains_what_is_new(client: Client) -> None:
    space = {"learning_rate": LogUniform(1e-4, 1e-1), "batch_size": Uniform(4, 64)}
    client.sweep(space, X, Y, draws=4, epochs=5, seed=3, group="more").result()
    sweep = client.sweep(space, X, Y, draws=7, epochs=5, seed=3, group="more")
    sweep.result()
    assert len(jobs_of(client, "more")) == len(sweep.runs) == 7


def test_the_same_options_are_trained_once(client: Client) -> None:
    sweep = client.sweep({"epochs": [3, 3, 4, 3]}, group="same")
    assert sweep.result() is not None
    assert len(sweep.runs) == sweep.total == len(jobs_of(client, "same")) == 2


def test_what_is_cancelled_is_trained_again(client: Client) -> None:
    """After Ctrl-C with what is left cancelled, a sweep could never be completed."""
    sweep = client.sweep({"seed": [1, 2, 3]}, **LONG, group="cancelled", at_once=2)
    next(iter(sweep))
    sweep.cancel()
    for run in sweep.runs:
        assert run.job is not None
        assert client.get(run.job.id).state in (JobState.CANCELLING, JobState.CANCELLED)
    rest = iter(client.sweep({"seed": [1, 2, 3]}, **LONG, group="cancelled", at_once=2))
    begun = next(rest)
    assert begun.job is not None
    assert not begun.ended
    assert begun.job.id not in {run.job.id for run in sweep.runs if run.job}
    for job in client.jobs(group="cancelled"):
        client.cancel(job.id)


def test_a_job_that_somebody_deletes(client: Client) -> None:
    """One run would end all the others."""
    sweep = client.sweep({"epochs": [LONG["epochs"], 5]}, report_every=1_000_000, at_once=1)
    for run in sweep:
        if run.number == 1 and run.job is not None and not run.ended:
            client.cancel(run.job.id)
            while not client.get(run.job.id).state.final:
                pass
            client.delete(run.job.id)
    assert [run.state for run in sweep.runs] == [JobState.CANCELLED, JobState.SUCCEEDED]


def test_what_no_run_may_have_is_refused_before_the_first_begins(client: Client) -> None:
    """Half of a sweep would be trained before its mistake is told."""
    for bad in ({"learning_rate": [0.1, -1.0]}, {"epochs": [5, 0]}, {"trainer": ["manual", "magic"]}):
        with pytest.raises(InvalidArgumentError) as caught:
            client.sweep(bad, group="bad").result()
        assert [each.field for each in caught.value.violations] == [f"spec.{next(iter(bad))}"]
    assert jobs_of(client, "bad") == []
    with pytest.raises(InvalidArgumentError, match="group"):
        client.sweep({"epochs": [1]}, group="a b").result()


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """A sweep would end because others are there too."""
    with (
        running_server(tmp_path / "data", "--workers", "1", "--max-queued-jobs", "1") as server,
        Client(server.address) as client,
    ):
        sweep = client.sweep({"seed": list(range(6))}, epochs=2_000, at_once=6)
        assert sweep.result() is not None
        assert {run.state for run in sweep.runs} == {JobState.SUCCEEDED}
        assert len(sweep.runs) == 6


def test_a_sweep_goes_on_after_its_server_has_died(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server, Client(server.address) as client:
        address = server.address
        for run in client.sweep({"seed": list(range(5))}, epochs=3_000, group="g", at_once=2):
            if run.number == 3:
                break
        server.process.kill()
        server.process.wait()
        with pytest.raises(ServerUnreachableError):
            Client(address).sweep({"seed": [1]}, group="g").result()
    with running_server(data, address=address), Client(address) as client:
        sweep: Sweep = client.sweep({"seed": list(range(5))}, epochs=3_000, group="g", at_once=2)
        assert sweep.result() is not None
        assert len(jobs_of(client, "g")) == 5


def test_a_server_that_is_restarted_meanwhile(tmp_path: Path) -> None:
    """An update of the server would end every sweep that is under way."""
    data = tmp_path / "data"
    with ExitStack() as servers:
        server = servers.enter_context(running_server(data))
        with Client(server.address) as client:
            sweep = client.sweep({"seed": list(range(6))}, epochs=3_000, group="g", at_once=2)
            restarted = False
            for run in sweep:
                if run.number == 3 and not restarted:
                    server.stop()
                    servers.enter_context(running_server(data, address=server.address))
                    restarted = True
            assert restarted
            assert {run.state for run in sweep.runs} == {JobState.SUCCEEDED}
            assert len(jobs_of(client, "g")) == len(sweep.runs) == 6


def test_optuna_goes_on_too(client: Client) -> None:
    space = {"learning_rate": LogUniform(1e-3, 0.5), "batch_size": [8, 64]}
    arguments: dict[str, Any] = {"draws": 14, "search": "optuna", "group": "optuna", "at_once": 3}
    for run in client.sweep(space, X, Y, epochs=10, **arguments):
        if run.number == 12:
            break
    sweep = client.sweep(space, X, Y, epochs=10, **arguments)
    best = sweep.result()
    assert len(jobs_of(client, "optuna")) == len(sweep.runs)
    assert best is not None
    assert best.value == min(run.value for run in sweep.runs if run.value is not None)


async def test_the_same_with_asyncio(server: RunningServer) -> None:
    async with AsyncClient(server.address) as client:
        sweep = client.sweep({"epochs": [3, 5], "learning_rate": [0.01, 0.02]}, group="async")
        ended = {run.number async for run in sweep if run.ended}
        assert ended == {1, 2, 3, 4}
        best = await sweep.result()
        assert best is not None
        assert best.options == {"epochs": 5, "learning_rate": 0.02}
        assert len([job async for job in client.jobs(group="async")]) == 4
        left = client.sweep({"seed": [1, 2]}, **LONG)
        async for _ in left:
            break
        await left.cancel()
        async for run in left:
            if run.ended:
                break
        async for job in client.jobs(group=left.group):
            await client.cancel(job.id)
