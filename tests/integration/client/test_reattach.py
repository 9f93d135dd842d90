"""A connection that breaks: neither gap nor repetition is to be seen, whatever the network does."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.proxy import cutting_proxy, random_limits
from tests.server import RunningServer, running_server

from gradstream import (
    AsyncClient,
    Client,
    EpochUpdate,
    GradstreamError,
    NotFoundError,
    ServerUnreachableError,
    UnavailableError,
)

EPOCHS = 30_000


@pytest.fixture(scope="module")
def losses(server: RunningServer) -> np.ndarray:
    """The curve of a run that nothing disturbs."""
    with Client(server.address) as client:
        run = client.train(trainer="manual", epochs=EPOCHS)
        run.result()
        return run.losses


@pytest.mark.parametrize("seed", range(4))
def test_neither_gap_nor_repetition(server: RunningServer, losses: np.ndarray, seed: int) -> None:
    retries: list[GradstreamError] = []
    with (
        cutting_proxy(server.address, random_limits(seed, 12, 400_000)) as proxy,
        Client(proxy.address, on_retry=lambda error, _: retries.append(error)) as client,
    ):
        run = client.train(trainer="manual", epochs=EPOCHS)
        epochs = [event.epoch for event in run if isinstance(event, EpochUpdate)]
        result = run.result()
        assert proxy.cuts >= 3
    assert retries
    assert epochs == list(range(1, EPOCHS + 1))
    np.testing.assert_array_equal(run.losses, losses)
    assert result.final_loss == losses[-1]
    with Client(server.address) as client:
        assert [job.id for job in client.jobs() if job.request_id == client.get(run.job).request_id] == [
            run.job
        ]


@pytest.mark.parametrize("seed", range(4))
def test_neither_gap_nor_repetition_for_asyncio(server: RunningServer, losses: np.ndarray, seed: int) -> None:
    async def train(address: str) -> tuple[list[int], np.ndarray]:
        async with AsyncClient(address) as client:
            run = await client.train(trainer="manual", epochs=EPOCHS)
            return [event.epoch async for event in run if isinstance(event, EpochUpdate)], run.losses

    with cutting_proxy(server.address, random_limits(seed, 12, 400_000)) as proxy:
        epochs, curve = asyncio.run(train(proxy.address))
        assert proxy.cuts >= 3
    assert epochs == list(range(1, EPOCHS + 1))
    np.testing.assert_array_equal(curve, losses)


@pytest.mark.parametrize("limit", [1, 9, 40, 80, 120, 160, 200, 300])
def test_a_connection_cut_while_the_job_is_being_started(server: RunningServer, limit: int) -> None:
    with cutting_proxy(server.address, [limit] * 3) as proxy, Client(proxy.address) as client:
        run = client.train(epochs=7)
        assert run.result().epochs == 7
        assert proxy.cuts > 0
        request_id = client.get(run.job).request_id
        assert len([job for job in client.jobs() if job.request_id == request_id]) == 1


def test_calls_are_repeated_too(server: RunningServer) -> None:
    with Client(server.address) as direct, cutting_proxy(server.address, [60, 60, 60]) as proxy:
        job = direct.create(epochs=1).id
        with Client(proxy.address) as client:
            assert client.get(job).id == job
        assert proxy.cuts > 0


def test_a_server_that_comes_back(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as first:
        client = Client(first.address)
        done = client.train(epochs=10)
        expected = done.result().final_loss
    # The same address and data: as far as the client can tell, the server was away for a moment.
    with running_server(tmp_path / "data", address=first.address), client:
        assert client.get(done.job).last_loss == expected
        assert client.watch(done.job).result().final_loss == expected


def test_patience_ends(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "data") as server,
        Client(server.address, patience_s=1.0, timeout_s=1.0) as client,
    ):
        run = client.train(trainer="autograd", epochs=10_000_000, report_every=1000)
        server.process.kill()
        server.process.wait()
        with pytest.raises(ServerUnreachableError, match=server.address):
            run.result()
        with pytest.raises(UnavailableError):
            client.get(run.job)


def test_a_server_that_was_never_there_fails_at_once() -> None:
    with Client("127.0.0.1:1") as client:
        for call in (client.train, client.server_info, client.health, lambda: client.watch("x")):
            with pytest.raises(ServerUnreachableError, match="gradstream serve"):
                call()


def test_a_refusal_is_not_tried_again(server: RunningServer) -> None:
    def fail(error: GradstreamError, _: float) -> None:
        pytest.fail(f"tried again after {error!r}")

    with Client(server.address, on_retry=fail) as client, pytest.raises(NotFoundError):
        client.get("nosuchjob")
