"""Runs as lines of text and of JSON: what a script reads must be the run, what a person needs beside it."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from gradstream.cli.json_view import JsonView
from gradstream.cli.plain_view import PlainView
from gradstream.events import Checkpoint, EpochUpdates, Event, Heartbeat, JobWarning, StateChange
from gradstream.job import JobState

TIME = datetime(2025, 1, 1, tzinfo=UTC)


def change(sequence: int, attempt: int, state: JobState, reason: str = "", ahead: int = 0) -> StateChange:
    return StateChange("j", sequence, attempt, TIME, state, reason, ahead, None, None)


def epochs(sequence: int, attempt: int, *numbers: int) -> EpochUpdates:
    return EpochUpdates("j", sequence, attempt, TIME, np.array(numbers), np.ones(len(numbers)), None)


LOG: list[Event] = [
    change(1, 0, JobState.QUEUED, "waits for 2 jobs ahead", 2),
    change(2, 1, JobState.RUNNING),
    epochs(3, 1, *range(1, 14)),
    Checkpoint("j", 4, 1, TIME, 12),
    change(5, 2, JobState.RUNNING, "its worker was killed by SIGKILL; the job goes on after epoch 12"),
    JobWarning("j", 6, 2, TIME, "ENVIRONMENT_CHANGED", "it computes with 2 threads instead of 1"),
    epochs(7, 2, *range(14, 23)),
    Heartbeat("j", 7, 2, TIME, JobState.RUNNING, 0),
    change(8, 2, JobState.PAUSED, "resumed, it goes on after epoch 22"),
    change(9, 2, JobState.QUEUED, "resumed", 0),
    change(10, 3, JobState.RUNNING),
    epochs(11, 3, 23, 24, 25),
]
AGAIN = [
    "job j: its worker was killed by SIGKILL; the job goes on after epoch 12",
    "warning: it computes with 2 threads instead of 1",
]


def test_plain_while_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainView(None, None, resume="gradstream resume j") as view:
        for event in LOG:
            view.show(event)
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"epoch {epoch}: loss = 1.00000000" for epoch in (1, 11, 21)]
    assert err.splitlines() == [
        "waiting, 2 ahead, job j",
        *AGAIN,
        "job j is paused; let it go on with: gradstream resume j",
        "job j: resumed",
    ]


def test_plain_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    """That it waited once is no news; that it was started again is, and why its last bits may differ."""
    with PlainView(None, None, resume="gradstream resume j", replayed=len(LOG) + 1) as view:
        for event in LOG:
            view.show(event)
    assert capsys.readouterr().err.splitlines() == AGAIN


def test_json_has_a_line_for_every_entry_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    view = JsonView()
    for event in LOG:
        view.show(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines if line["event"] == "epoch_update"] == list(range(1, 26))
    assert [line["sequence"] for line in lines if line["event"] == "state_change"] == [1, 2, 5, 8, 9, 10]
    (checkpoint,) = (line for line in lines if line["event"] == "checkpoint")
    assert (checkpoint["sequence"], checkpoint["epoch"]) == (4, 12)
    (warning,) = (line for line in lines if line["event"] == "warning")
    assert warning["reason"] == "ENVIRONMENT_CHANGED"
    assert len(lines) == 25 + 6 + 2


@pytest.mark.parametrize("lines_read", range(1, 33))
def test_whoever_goes_on_after_a_line_of_json_misses_nothing(
    lines_read: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Epochs of one event share a sequence: going on behind that would lose those not yet read."""

    def read(after: int) -> list[dict[str, object]]:
        for event in LOG:
            if event.sequence > after:
                JsonView().show(event)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    seen = read(0)[:lines_read]
    seen += read(int(str(seen[-1]["after"])))
    assert {line["epoch"] for line in seen if line["event"] == "epoch_update"} == set(range(1, 26))
    others = [line["sequence"] for line in seen if line["event"] != "epoch_update"]
    assert others == [1, 2, 4, 5, 6, 8, 9, 10]
