"""The table of a sweep: it fits the terminal, and what matters is in it."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from gradstream import Client, Sweep, SweepRun
from gradstream.cli.sweep_report import options_text, run_line
from gradstream.cli.sweep_table import SweepTable
from gradstream.convert import job_of
from gradstream.errors import Fault
from gradstream.job import JobState
from gradstream.v1.job_pb2 import Job

NOW = datetime.now(UTC)
JOB = replace(job_of(Job(id="abcdefghijklmnop")), start_time=NOW - timedelta(seconds=75), epochs_done=12)


def run_of(number: int, state: JobState, value: float | None = None, loss: float | None = None) -> SweepRun:
    job = replace(JOB, state=state, last_loss=loss, end_time=NOW if state.final else None)
    options = {"learning_rate": 10.0**-number, "batch_size": 64}
    return SweepRun(number, options, str(number), job, None, value)


def sweep_of(*runs: SweepRun) -> Sweep:
    sweep = Client("127.0.0.1:1").sweep({"epochs": list(range(1, 200))}, group="g")
    sweep._steps.runs |= {run.request_id: run for run in runs}
    return sweep


def picture(sweep: Sweep, width: int = 100, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), highlight=False)
    table = SweepTable(sweep, console)
    with console.capture() as capture:
        console.print(table.render())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_what_is_shown_of_each_run() -> None:
    lines = picture(
        sweep_of(
            run_of(1, JobState.SUCCEEDED, 0.5, 0.5),
            run_of(2, JobState.FAILED, None, 1e300),
            run_of(3, JobState.SUCCEEDED, 0.25, 0.25),
            run_of(4, JobState.RUNNING, None, 7.0),
            SweepRun(5, {"learning_rate": 1e-5, "batch_size": 64}, "5"),
        )
    )
    assert lines[0].startswith("sweep g: 3 of ")
    assert lines[1].split() == [
        "RUN", "learning_rate", "batch_size", "STATE", "EPOCH", "LOSS", "TIME", "JOB",
    ]  # fmt: skip
    rows = [line.split() for line in lines[2:]]
    running_for = rows[3].pop(6)
    assert re.fullmatch(r"\d+:\d\d", running_for), "it still counts"
    assert rows == [
        ["1", "0.1", "64", "succeeded", "12/0", "0.5", "1:15", "abcdefghijklmnop"],
        ["2", "0.01", "64", "failed", "12/0", "1e+300", "1:15", "abcdefghijklmnop"],
        ["*", "3", "0.001", "64", "succeeded", "12/0", "0.25", "1:15", "abcdefghijklmnop"],
        ["4", "0.0001", "64", "running", "12/0", "7", "abcdefghijklmnop"],
        ["5", "1e-05", "64", "waiting", "-", "-", "-", "-"],
    ]


@pytest.mark.parametrize("width", [100, 70, 60, 40, 20])
def test_every_line_fits(width: int) -> None:
    """Lines that wrap would be drawn over one another."""
    runs = [run_of(number, JobState.SUCCEEDED, 1.0 / number) for number in range(1, 12)]
    lines = picture(sweep_of(*runs), width)
    assert len(lines) == 13
    assert all(len(line) <= width for line in lines)
    if width >= 40:
        assert "* 11" in lines[-1]
        assert "0.0909091" in lines[-1]


def test_more_runs_than_there_is_room_for() -> None:
    """A table that is longer than the terminal shows its beginning alone, where nothing happens."""
    runs = [run_of(number, JobState.SUCCEEDED, 2.0 if number != 7 else 1.0) for number in range(1, 101)]
    runs[2] = run_of(3, JobState.RUNNING, None, 1.0)
    lines = picture(sweep_of(*runs), height=14)
    assert len(lines) < 14
    assert any(line.startswith("* 7") for line in lines)
    assert any(line.split()[0] == "3" for line in lines)
    assert any(line.split()[0] == "100" for line in lines)
    assert lines[-1] == "... and 92 more that have ended"


def test_a_sweep_that_has_not_begun() -> None:
    assert picture(sweep_of()) == ["sweep g: 0 of 199 runs ended"]


def test_runs_in_words() -> None:
    failed = run_of(2, JobState.FAILED)
    assert failed.job is not None
    failed = replace(failed, job=replace(failed.job, fault=Fault("INTERNAL", "DIVERGED", "it has diverged")))
    assert run_line(failed, 9) == (
        "run 2 of 9: learning_rate=0.01, batch_size=64: failed, it has diverged, job abcdefghijklmnop"
    )
    assert run_line(run_of(1, JobState.CANCELLED), 9).endswith(": cancelled, job abcdefghijklmnop")
    assert options_text({"shuffle": True, "l2": 0.123456789, "trainer": "manual"}) == (
        "shuffle=yes, l2=0.123456789, trainer=manual"
    )
