"""Installed modules in a training: what they leave, and what a user is told when they fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domain import table
from tests.plugins import DECLARATION, NET, install
from tests.unit.executors.driving import attempt, small_spec, train
from tests.unit.executors.memory import MemoryCheckpoints

from gradstream_server.executors.faults import raised
from gradstream_server.executors.model import Environment
from gradstream_server.jobs.errors import FaultReason
from gradstream_server.jobs.events import Completed, EpochUpdates, StateChange
from gradstream_server.jobs.executor import Task
from gradstream_server.trainers.part import Choice


def fields(**more: Any) -> dict[str, Any]:
    return {"data": table(40, 3), "intercept": True, "parts": {"model": Choice("own")}} | more


def test_parameters_are_told_as_it_trains_with_them(folder: Path) -> None:
    """Numbers would be scaled of which nobody knows what they are."""
    install(folder, "own", DECLARATION + NET)
    options = {"standardize": True, "predict_rows": np.ones((2, 3)), "epochs": 5}
    events = train("module", **fields(**options))
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert completed.unscaled_parameters is None
    assert completed.parameters["first.weight"].shape == (4, 3)
    assert completed.predictions is not None
    streamed = [event for event in events if isinstance(event, EpochUpdates)]
    assert streamed[-1].parameters["mean"][-1].tolist() == completed.parameters["mean"].tolist()
    start = {name: np.array(value) for name, value in completed.parameters.items()}
    again = train("module", **fields(**options | {"epochs": 1, "initial_parameters": start}))[0]
    np.testing.assert_array_equal(again.predictions, completed.predictions)


def failed(folder: Path, body: str = NET, most: int = 0, **more: Any) -> StateChange:
    """How a job ends that the code of a module, or a worker, does not let be."""
    install(folder, "own", DECLARATION + body)
    spec = small_spec("module", **fields(**more))
    task = Task("job", spec)
    with pytest.raises(Exception) as error:  # noqa: PT011  # whatever it is, the worker tells it
        list(attempt(task, table(40, 3), MemoryCheckpoints(), environment=Environment(1, {}, most)))
    return raised(error.value, task)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "    raise KeyError('a')\n",
            "training the installed module 'own' has failed with KeyError: 'a'; the server's",
        ),
        (
            "    return nn.Linear(features, 7)\n",
            "with ValueError: forward gives (2, 7) for 2 rows, and has to give (2,",
        ),
        (
            "    return nn.Linear(5, outputs)\n",
            "with RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (
            "    raise ValueError('line\\nmore' * 1000)\n",
            "with ValueError: line; the server's log tells more under job",
        ),
    ],
)
def test_who_has_written_it_is_told_what_is_wrong(folder: Path, body: str, text: str) -> None:
    """The message would send him to the log of a server that he may not see."""
    end = failed(folder, body)
    assert end.fault is not None
    assert end.fault.reason is FaultReason.MODULE_FAILED
    assert text in end.fault.message


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"most": 40}, "the model has 48 numbers; at most 40, the server's max_parameters; make it smaller"),
        ({"initial_parameters": {"a": np.zeros(1)}}, "initial_parameters has 'a', which the model has not"),
    ],
)
def test_what_only_a_worker_can_know_fails_the_job(folder: Path, how: dict[str, Any], text: str) -> None:
    end = failed(folder, **how)
    assert end.fault is not None
    assert end.fault.reason is FaultReason.CANNOT_TRAIN
    assert text in end.fault.message


def test_one_that_gives_no_number_has_diverged(folder: Path) -> None:
    body = """
    class Net(nn.Linear):
        def forward(self, x):
            return super().forward(x) / 0

    return Net(features, outputs)
"""
    install(folder, "own", DECLARATION + body)
    end = train("module", **fields())[-1]
    assert isinstance(end, StateChange)
    assert end.fault is not None
    assert end.fault.reason is FaultReason.DIVERGED
