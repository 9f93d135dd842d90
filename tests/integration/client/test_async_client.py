"""The asyncio client: the same as the synchronous one, awaited, with many runs in one loop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.server import RunningServer

from gradstream import (
    AsyncClient,
    Completed,
    EpochUpdate,
    EpochUpdates,
    Health,
    InvalidArgumentError,
    JobCancelledError,
    JobState,
    NotFoundError,
    ServerUnreachableError,
)


def with_client(address: str, use: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with AsyncClient(address) as client:
            await use(client)

    asyncio.run(main(), debug=True)


def test_a_run(server: RunningServer) -> None:
    async def use(client: AsyncClient) -> None:
        run = await client.train([[1.0], [2.0]], [2.0, 4.0], epochs=40)
        events = [event async for event in run]
        assert [e.epoch for e in events if isinstance(e, EpochUpdate)] == list(range(1, 41))
        assert isinstance(events[-1], Completed)
        assert (await run.result()).epochs == 40
        assert run.losses.shape == (40,)

    with_client(server.address, use)


def test_leaving_and_coming_back(server: RunningServer) -> None:
    async def use(client: AsyncClient) -> None:
        run = await client.train(epochs=500)
        seen = []
        async for event in run:
            if isinstance(event, EpochUpdate):
                seen.append(event.epoch)
                if event.epoch == 5:
                    break
        async for event in run.events():
            if isinstance(event, EpochUpdates):
                seen += event.epochs.tolist()
        assert seen == list(range(1, 501))
        assert (await run.result()).epochs == 500

    with_client(server.address, use)


def test_all_other_calls(server: RunningServer) -> None:
    async def use(client: AsyncClient) -> None:
        job = await client.create(epochs=3)
        assert (await (await client.watch(job.id)).result()).epochs == 3
        assert (await client.get(job.id)).state is JobState.SUCCEEDED
        assert job.id in [each.id async for each in client.jobs(["SUCCEEDED"])]
        assert (await client.validate(epochs=3)).spec.epochs == 3
        assert (await client.server_info()).workers > 0
        assert await client.health() is Health.SERVING
        with pytest.raises(InvalidArgumentError):
            await client.train(epochs=0)
        with pytest.raises(NotFoundError):
            await client.cancel("nosuchjob")

    with_client(server.address, use)


def test_many_runs_at_once(server: RunningServer) -> None:
    async def use(client: AsyncClient) -> None:
        async def train(epochs: int) -> int:
            return (await (await client.train(epochs=epochs)).result()).epochs

        assert await asyncio.gather(*map(train, range(1, 21))) == list(range(1, 21))

    with_client(server.address, use)


def test_a_task_that_is_cancelled_leaves_the_job_alone(server: RunningServer) -> None:
    async def use(client: AsyncClient) -> None:
        run = await client.train(trainer="autograd", epochs=10_000_000, report_every=1000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.result(), 0.3)
        assert (await client.get(run.job)).state is JobState.RUNNING
        await run.cancel()
        with pytest.raises(JobCancelledError):
            await run.result()

    with_client(server.address, use)


def test_no_server() -> None:
    async def use(client: AsyncClient) -> None:
        with pytest.raises(ServerUnreachableError):
            await client.train()

    with_client("127.0.0.1:1", use)
