"""A sweep before it has a server: its request ids, the best of its runs, and what it refuses."""

import sys
import uuid
from dataclasses import replace
from typing import Any

import pytest

from gradstream import Client, SweepRun, Uniform
from gradstream.convert import job_of
from gradstream.job import JobState
from gradstream.request import build_spec
from gradstream.sweep_steps import derived_request_id
from gradstream.v1.job_pb2 import Job


def test_request_ids_are_derived_from_group_and_spec() -> None:
    """A sweep that goes on with another version of the client would train everything again."""
    spec = build_spec([1.0, 2.0], [2.0, 4.0], trainer="manual", epochs=5, learning_rate=0.1)
    assert derived_request_id("g", spec) == "d8664fc5-44f8-4117-b4bf-20c5ed9d3386"
    ids = {
        derived_request_id("g", spec),
        derived_request_id("h", spec),
        derived_request_id("g", spec, 1),
        derived_request_id("g", build_spec([1.0, 2.0], [2.0, 4.0], epochs=5, learning_rate=0.2)),
        derived_request_id("g", build_spec([1.0, 3.0], [2.0, 4.0], epochs=5, learning_rate=0.1)),
    }
    assert len(ids) == 5
    for each in map(uuid.UUID, ids):
        assert (each.version, each.variant) == (4, uuid.RFC_4122)


def test_the_best_is_the_lowest_and_the_first_of_equals() -> None:
    sweep = Client("127.0.0.1:1").sweep({"epochs": [1]})
    assert sweep.best is None
    job = job_of(Job(id="j"))
    for number, value in enumerate([None, 3.0, 1.0, 2.0, 1.0], 1):
        run = SweepRun(number, {"epochs": number}, str(number), replace(job, state=JobState.SUCCEEDED))
        sweep._steps.runs[str(number)] = replace(run, value=value)
    assert sweep.best is not None
    assert sweep.best.number == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"vary": {}}, "nothing to vary"),
        ({"vary": {"l2": Uniform(0, 1)}}, "say how many draws"),
        ({"vary": {"l2": [0.1]}, "l2": 0.2}, "l2 is given and is to be varied"),
        ({"vary": {"l2": [0.1]}, "at_once": 0}, "at_once is 0"),
        ({"vary": {"l2": [0.1]}, "objective": "luck"}, "no objective 'luck', but loss"),
        ({"vary": {"l2": [0.1]}, "search": "magic"}, "no search 'magic'"),
        ({"vary": {"l2": [0.1]}, "search": "optuna"}, "how many draws"),
    ],
)
def test_what_is_refused_before_anything_is_sent(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Client("127.0.0.1:1").sweep(**arguments)


def test_optuna_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user would read of a module that he has never heard of."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    client = Client("127.0.0.1:1")
    assert client.sweep({"l2": Uniform(0, 1)}, draws=3).total == 3
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'gradstream\[sweep\]'"):
        client.sweep({"l2": Uniform(0, 1)}, draws=3, search="optuna")


def test_how_many_there_will_be() -> None:
    client = Client("127.0.0.1:1")
    assert client.sweep({"epochs": [1, 2], "l2": [0.0, 0.1, 0.2]}).total == 6
    assert client.sweep({"epochs": [1, 2]}, draws=9).total == 9
    sweep = client.sweep({"epochs": [1]})
    assert sweep.group.startswith("sweep-")
    assert sweep.group != client.sweep({"epochs": [1]}).group
