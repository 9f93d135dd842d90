"""`gradstream plot`: curves on a terminal, in a pipe and as an image."""

import re
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.e2e.test_terminal import on_terminal
from tests.server import RunningServer, running_server

from gradstream import Client, EpochUpdate


@pytest.fixture
def jobs(server: RunningServer) -> list[str]:
    """Two jobs that have succeeded, 20 and 30 epochs long."""
    with Client(server.address) as client:
        runs = [client.train(), client.train(trainer="autograd", epochs=30, learning_rate=0.05)]
        for run in runs:
            run.result()
        return [run.job for run in runs]


def test_in_a_pipe_it_is_plain_text(server: RunningServer, jobs: list[str]) -> None:
    done = gradstream("plot", *jobs, server=server.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    printed = done.stdout.splitlines()
    assert printed[-3].endswith("epoch 30, log scale")
    assert re.fullmatch(
        rf"a {jobs[0]}, manual, .*learning rate 0\.01.*: loss \S+ after 20 epochs", printed[-2]
    )
    assert printed[-1].startswith(f"b {jobs[1]}, autograd, ")
    assert max(map(len, printed[:-2])) <= 80
    one = gradstream("plot", jobs[0], "--linear", server=server.address).stdout
    assert re.search("[⠁-⣿]", one)
    assert "log scale" not in one


def test_on_a_terminal_jobs_differ_by_colour(server: RunningServer, jobs: list[str]) -> None:
    code, written = on_terminal("plot", *jobs, server=server.address, width=60)
    assert code == 0
    assert re.search(r"\x1b\[36m[⠁-⣿]", written)
    assert re.search(r"\x1b\[35m[⠁-⣿]", written)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert max(len(line) for line in plain.splitlines() if "┤" in line) == 60
    assert len(plain.splitlines()) < 24


def test_without_colours_they_differ_by_letter(server: RunningServer, jobs: list[str]) -> None:
    """Two curves of one colour could not be told apart."""
    code, written = on_terminal("plot", *jobs, server=server.address, width=60, NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[(3[0-7]|38;|9[0-7])", written)
    chart = "".join(line.partition("┤")[2] for line in written.splitlines())
    assert "a" in chart
    assert "b" in chart


def test_an_image(server: RunningServer, jobs: list[str], tmp_path: Path) -> None:
    for name, beginning in (("l.png", b"\x89PNG"), ("l.svg", b"<?xml"), ("l.PDF", b"%PDF")):
        done = gradstream("plot", *jobs, "-o", str(tmp_path / name), server=server.address)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / name).read_bytes().startswith(beginning)
    svg = gradstream("plot", *jobs, "-o", "-", "--format", "svg", server=server.address).stdout
    assert f"<!-- {jobs[0]}, manual, " in svg


def test_a_job_that_runs_is_drawn_as_far_as_it_is(server: RunningServer) -> None:
    """The command would wait for days."""
    with Client(server.address) as client:
        run = client.train(trainer="autograd", epochs=10_000_000, report_every=1000)
        next(event for event in run if isinstance(event, EpochUpdate))
        done = gradstream("plot", run.job, server=server.address)
        run.cancel()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"after [\d,]+ epochs?, running$", done.stdout.strip())


def test_a_job_that_has_nothing_yet_is_told_of(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers", "1") as own, Client(own.address) as client:
        first = client.train(trainer="autograd", epochs=10_000_000, report_every=1000)
        next(event for event in first if isinstance(event, EpochUpdate))
        waiting = client.create()
        both = gradstream("plot", waiting.id, first.job, server=own.address)
        assert (both.returncode, both.stderr) == (
            0,
            f"nothing to draw of job {waiting.id}: no epochs, queued\n",
        )
        one = gradstream("plot", waiting.id, server=own.address)
        assert (one.returncode, one.stdout) == (2, "")
        assert "there is nothing to draw" in one.stderr
        first.cancel()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ([], 2, "Missing argument 'JOB...'"),
        (["nosuchjob"], 4, "there is no job 'nosuchjob'"),
        (
            ["JOB", "-o", "losses"],
            2,
            "'losses' does not tell what to write: let it end in .png, .svg or .pdf",
        ),
        (["JOB", "-o", "losses.gif"], 2, "'losses.gif' does not tell what to write"),
        (["JOB", "--format", "svg"], 2, "--format is about an image; name its file with -o"),
        (
            ["JOB", "-o", "/nosuch/losses.png"],
            2,
            "cannot write /nosuch/losses.png: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_is_said(
    server: RunningServer, jobs: list[str], args: list[str], code: int, says: str
) -> None:
    done = gradstream("plot", *(jobs[0] if arg == "JOB" else arg for arg in args), server=server.address)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
