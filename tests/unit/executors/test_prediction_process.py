"""A prediction of an installed module is bounded in time, and can harm nothing but its own process."""

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from tests.plugins import DECLARATION, install
from tests.processes import forked, wait_for_end, wait_until
from tests.unit.client.bundles import bundle

import gradstream
from gradstream_server.executors import prediction_process
from gradstream_server.executors.prediction_process import PredictionProcesses
from gradstream_server.jobs.errors import ModelUnusable, TooManyPredictions

ROWS = np.ones((2, 3), np.float32)
CODE = {
    "sleeps": "    import time\n    time.sleep(60)\n",
    "fails": "    raise RuntimeError('no weights')\n",
}


def _quiet() -> None:
    """Processes of tests say nothing."""


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictionProcesses:
    for name, body in CODE.items():
        install(tmp_path, name, DECLARATION + body)
    monkeypatch.syspath_prepend(tmp_path)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["gradstream_server.executors.preload"])
    return PredictionProcesses(at_once=1, threads=1, configure_logging=_quiet, longest_s=100)


async def predict(processes: PredictionProcesses, name: str) -> None:
    await processes.predict(bundle(model=gradstream.Part(name, {"size": 4})), ROWS)


async def sleeping(processes: PredictionProcesses) -> "tuple[asyncio.Task[None], int]":
    """A prediction that takes a minute, and its process: a child of the fork server."""
    task = asyncio.create_task(predict(processes, "sleeps"))
    found: set[int] = set()

    def there() -> bool:
        found.update(forked())
        return bool(found)

    await asyncio.to_thread(wait_until, there, "a process that predicts")
    return task, found.pop()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "fails",
            "model houses version 3 cannot be asked: the installed module 'fails' .* RuntimeError: no we",
        ),
        ("gone", "the model 'gone' is not installed on the server any more"),
    ],
)
async def test_what_goes_wrong_is_told(processes: PredictionProcesses, name: str, told: str) -> None:
    with pytest.raises(ModelUnusable, match=told):
        await predict(processes, name)


async def test_a_process_that_dies(processes: PredictionProcesses) -> None:
    waiting, pid = await sleeping(processes)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ModelUnusable, match="the process that asked it has died"):
        await waiting


async def test_one_that_takes_too_long(
    processes: PredictionProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_longest_s", 0.1)
    with pytest.raises(ModelUnusable, match=r"its code took longer than 0.1 s; send fewer rows at once"):
        await predict(processes, "sleeps")


async def test_only_some_may_wait(processes: PredictionProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds its rows in the server's memory; and who leaves takes his process along."""
    monkeypatch.setattr(prediction_process, "MOST_WAITING", 0)
    processes = PredictionProcesses(at_once=1, threads=1, configure_logging=_quiet)
    waiting, pid = await sleeping(processes)
    with pytest.raises(TooManyPredictions, match="0 requests wait for installed modules already"):
        await predict(processes, "fails")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    wait_for_end({pid})
    with pytest.raises(ModelUnusable, match="no weights"):
        await predict(processes, "fails")
