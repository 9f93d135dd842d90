"""What tests of a training share."""

import math

import pytest
from tests.unit.executors.driving import Clock, set_pace
from tests.unit.executors.scripted import ScriptedTrainer

from gradstream_server.executors import checkpointing, training
from gradstream_server.trainers.registry import TRAINERS, Entry


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedTrainer]:
    """The scripted trainer, in the registry for as long as the test."""
    monkeypatch.setitem(TRAINERS, "scripted", Entry("tests.unit.executors.scripted:ScriptedTrainer", ""))
    ScriptedTrainer.loss = staticmethod(lambda epoch: 1 / epoch)
    ScriptedTrainer.validation = staticmethod(lambda epoch: 2 / epoch)
    ScriptedTrainer.asked = 0
    return ScriptedTrainer


@pytest.fixture(params=["each epoch leaves", "all leave together"])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How soon epochs leave: the two ends of what a clock can do."""
    set_pace(monkeypatch, first_s=0 if "each" in request.param else math.inf)
    return str(request.param)


@pytest.fixture
def checkpoint_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an interval of 0, each epoch leaves with a checkpoint."""
    set_pace(monkeypatch, first_s=0)
    monkeypatch.setattr(checkpointing, "CHECKPOINT_SHARE", math.inf)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of a training, which passes when the test says so."""
    clock = Clock()
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(checkpointing, "time", clock)
    return clock
