"""The live picture: whoever looks at it must not take a dead run for one that goes on."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from gradstream.cli.live_view import LiveView
from gradstream.cli.pace import Pace
from gradstream.events import EpochUpdates, Heartbeat, JobWarning, StateChange
from gradstream.job import JobState
from gradstream.run import Run

START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass
class FakeRun:
    """What the view reads of a run."""

    job: str = "abcdefghijklmnop"
    state: JobState = JobState.RUNNING
    jobs_ahead: int = 0
    epochs: NDArray[np.int64] = field(default_factory=lambda: np.arange(1, 101))
    losses: NDArray[np.float64] = field(default_factory=lambda: np.geomspace(100.0, 1e-3, 100))
    validation_losses: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def metric(self, _name: str) -> NDArray[np.float64]:
        return self.validation_losses / 2


def epochs(sequence: int, until: int, second: float) -> EpochUpdates:
    numbers = np.arange(until - 49, until + 1)
    time = START + timedelta(seconds=second)
    return EpochUpdates("abcdefghijklmnop", sequence, 1, time, numbers, np.ones(50), None)


def change(
    view: LiveView, run: FakeRun, state: JobState, reason: str = "", ahead: int = 0, attempt: int = 1
) -> None:
    """The job goes into another state, as the run and the view come to know it."""
    run.state, run.jobs_ahead = state, ahead
    view.show(StateChange(run.job, 5, attempt, START, state, reason, ahead, None, None))


def picture(view: LiveView, console: Console) -> str:
    with console.capture() as capture:
        console.print(view.render())
    return capture.get()


def view_of(run: FakeRun, width: int = 80, replayed: int = 0) -> tuple[LiveView, Console]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    commands = {"again": "gradstream watch x", "resume": "gradstream resume x"}
    return LiveView(cast(Run, run), None, console=console, replayed=replayed, **commands), console


def test_a_pace_by_the_servers_clock() -> None:
    pace = Pace()
    pace.add(epochs(1, 50, 0))
    assert pace.epochs_per_second is None
    pace.add(epochs(2, 100, 2))
    assert pace.epochs_per_second == 25


def test_a_lost_connection_is_seen_and_no_pace_with_it() -> None:
    view, console = view_of(FakeRun())
    view.show(epochs(3, 50, 0))
    view.show(epochs(4, 100, 2))
    assert "25 epochs/s" in picture(view, console)
    view.connection_lost("connection to here lost; attaching again ...")
    assert "connection to here lost; attaching again" in picture(view, console)
    assert "epochs/s" not in picture(view, console)
    view.show(epochs(5, 150, 4))
    assert "lost" not in picture(view, console)
    assert "epochs/s" in picture(view, console)


@pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
def test_a_run_that_has_ended_has_no_pace(end: JobState) -> None:
    run = FakeRun()
    view, console = view_of(run)
    view.show(epochs(3, 50, 0))
    view.show(epochs(4, 100, 2))
    change(view, run, end, "it diverged")
    assert "epochs/s" not in picture(view, console)
    assert "diverged" not in picture(view, console), "that is said once, at the end"


def test_what_is_replayed_has_no_pace() -> None:
    view, console = view_of(FakeRun(), replayed=4)
    view.show(epochs(3, 50, 0))
    view.show(epochs(4, 100, 2))
    assert "epochs/s" not in picture(view, console)


@pytest.mark.parametrize("width", [12, 20, 39, 60])
def test_no_line_wraps(width: int) -> None:
    view, console = view_of(FakeRun(), width)
    view.show(epochs(3, 50, 0))
    view.show(epochs(4, 100, 2))
    view.connection_lost("connection to 127.0.0.1:50051 lost; attaching again ...")
    lines = picture(view, console).splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [20, 60])
def test_validation_has_a_curve_and_its_newest_numbers(width: int) -> None:
    """Whoever looks on would not see that the model learns nothing more."""
    view, console = view_of(FakeRun(validation_losses=np.linspace(90, 7, 100)), width)
    lines = picture(view, console).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 9
    if width > 40:
        assert "validation loss 7" in lines[1]
        assert lines[-1].strip() == "━━ loss  ━━ validation loss"
    view, console = view_of(FakeRun(validation_losses=np.full(100, np.nan)), width)
    assert max(map(len, picture(view, console).splitlines())) <= width


def test_a_job_that_waits() -> None:
    run = FakeRun(epochs=np.array([], int), losses=np.array([]))
    view, console = view_of(run)
    change(view, run, JobState.QUEUED, ahead=3, attempt=0)
    assert "waiting, 3 ahead" in picture(view, console)
    assert "0/0" not in picture(view, console)
    run.jobs_ahead = 2
    view.show(Heartbeat(run.job, 1, 0, START, JobState.QUEUED, 2))
    assert "waiting, 2 ahead" in picture(view, console)


def test_a_paused_job_says_how_it_goes_on() -> None:
    run = FakeRun()
    view, console = view_of(run)
    view.show(epochs(3, 50, 0))
    view.show(epochs(4, 100, 2))
    change(view, run, JobState.PAUSED, "resumed, it goes on after epoch 100")
    seen = picture(view, console)
    assert "job · paused" in seen
    assert "let it go on: gradstream resume x" in seen
    assert "epochs/s" not in seen
    view.connection_lost("connection to here lost; attaching again ...")
    assert "connection to here lost" in picture(view, console)
    view.show(Heartbeat(run.job, 5, 1, START, JobState.PAUSED, 0))
    seen = picture(view, console)
    assert "lost" not in seen
    assert "gradstream resume x" in seen
    change(view, run, JobState.RUNNING, attempt=2)
    seen = picture(view, console)
    assert "job · running" in seen
    assert "resume" not in seen
    assert "epochs/s" not in seen, "that was before the pause"


def test_why_a_job_is_started_again_stays_above_the_picture() -> None:
    run = FakeRun()
    view, console = view_of(run)
    with console.capture() as capture:
        change(view, run, JobState.RUNNING, attempt=1)
        change(view, run, JobState.RUNNING, "its worker was killed; the job goes on after epoch 7", attempt=2)
        view.show(JobWarning(run.job, 6, 2, START, "ENVIRONMENT_CHANGED", "it has other versions now"))
    assert capture.get().splitlines() == [
        "its worker was killed; the job goes on after epoch 7",
        "warning: it has other versions now",
    ]
    assert "killed" not in picture(view, console)
