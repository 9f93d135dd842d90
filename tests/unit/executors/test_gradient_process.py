"""A comparison of gradients is bounded in time, and can harm nothing but its own process."""

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domain import resolved, table
from tests.processes import forked, wait_for_end, wait_until

from gradstream_server.executors import gradient_process
from gradstream_server.executors.gradient_process import GradientProcesses
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.executors.messages import Equipment
from gradstream_server.jobs.errors import CheckFailed, FaultReason, TooManyChecks
from gradstream_server.jobs.gradient_check import Gradients
from gradstream_server.jobs.spec import InlineData
from gradstream_server.stores.checkpoints import FileCheckpoints
from gradstream_server.stores.datasets import DatasetFolder
from gradstream_server.stores.files import FileDataStore
from gradstream_server.trainers.part import Choice

TRAINERS = ("manual", "autograd", "module")
SLOW: dict[Any, Choice] = {"model": Choice("mlp", {"hidden": [50] * 32})}
"""Many seconds of finite differences."""


def _quiet() -> None:
    """Processes of tests say nothing."""


@pytest.fixture
def processes(tmp_path: Path) -> GradientProcesses:
    equipment = Equipment(
        threads=1,
        data=FileDataStore(tmp_path),
        datasets=DatasetFolder(tmp_path / "datasets"),
        matrices=MatrixCache(tmp_path / "matrices", max_bytes=0),
        checkpoints=FileCheckpoints(tmp_path / "checkpoints"),
        checkpoint_interval_s=60,
        max_parameters=100_000,
        configure_logging=_quiet,
    )
    # As in a server; without, where other tests have begun the fork server, each process imports torch.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["gradstream_server.executors.preload"])
    return GradientProcesses(equipment, longest_s=100)


async def compute(
    processes: GradientProcesses,
    data: InlineData | None = None,
    trainers: tuple[str, ...] = TRAINERS,
    **fields: Any,
) -> Gradients:
    spec = resolved("module", **{"device": "cpu", "data": data} | fields)
    return await processes.compute(spec, data, trainers)


def computing(processes: GradientProcesses) -> "asyncio.Task[Gradients]":
    return asyncio.create_task(compute(processes, table(1000, 9), ("module",), parts=SLOW))


async def its_process() -> int:
    """The process that computes, once it is there: a child of the fork server."""
    found: set[int] = set()

    def there() -> bool:
        found.update(forked())
        return bool(found)

    await asyncio.to_thread(wait_until, there, "a process that computes")
    return found.pop()


async def test_inline_data_and_the_reference_experiment(processes: GradientProcesses) -> None:
    found = await compute(processes, table(6, 2))
    assert found.rows == 6
    assert [each.name for each in found.parameters] == ["weight", "bias"]
    assert max(each.difference for each in found.parameters) < 1e-13
    reference = await compute(processes)
    assert reference.rows == 4


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"max_seconds": 0.2, "data": table(1000, 9), "parts": SLOW}, FaultReason.TIME_LIMIT_EXCEEDED),
        ({"data": InlineData(*(np.full((2, 1), 1e30, np.float32),) * 2)}, FaultReason.DIVERGED),
        (
            {"data": table(1_000_000, 9), "standardize": True, "max_memory_bytes": 64 << 20},
            FaultReason.OUT_OF_MEMORY,
        ),
    ],
)
async def test_what_goes_wrong_has_its_reason(
    processes: GradientProcesses, fields: dict[str, Any], reason: FaultReason
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await compute(processes, trainers=("module",), **fields)
    assert caught.value.fault.reason is reason


async def test_a_process_that_dies(processes: GradientProcesses) -> None:
    waiting = computing(processes)
    os.kill(await its_process(), signal.SIGKILL)
    with pytest.raises(CheckFailed, match="has died"):
        await waiting


async def test_one_that_nobody_waits_for_ends(processes: GradientProcesses) -> None:
    """Checks of callers that are gone would keep a core, and the turn of others."""
    waiting = computing(processes)
    pid = await its_process()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    wait_for_end({pid})


async def test_only_some_may_wait(processes: GradientProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds its data in the server's memory."""
    monkeypatch.setattr(gradient_process, "MOST_WAITING", 1)
    first, second = computing(processes), computing(processes)
    await asyncio.sleep(0)
    with pytest.raises(TooManyChecks, match="1 checks of gradients wait already"):
        await compute(processes)
    for each in (second, first):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    assert (await compute(processes)).rows == 4
