"""`gradstream sweep`: what people read of it, how they stop it, and how they go on."""

import json
import re
import shlex
import signal
import subprocess
import uuid
from pathlib import Path

import pytest
from tests.command import GRADSTREAM, environment, gradstream
from tests.e2e.test_terminal import on_terminal
from tests.server import RunningServer

from gradstream import Client, JobState

GRID = ("--vary", "learning_rate=0.001,0.05", "--vary", "batch_size=2,4", "--epochs", "40")
# Runs of some seconds: longer than it takes to interrupt them.
SLOW = ("--trainer", "autograd", "--epochs", "12000", "--report-every", "100")


@pytest.fixture
def group() -> str:
    return f"e2e-{uuid.uuid4().hex[:8]}"


def jobs_of(server: RunningServer, group: str) -> list[str]:
    listed = gradstream("jobs", "--group", group, "--format", "json", server=server.address)
    return [json.loads(line)["id"] for line in listed.stdout.splitlines()]


def test_a_grid_and_its_best(server: RunningServer, tmp_path: Path, group: str) -> None:
    """The command that is to train the best again would train something else."""
    table = tmp_path / "my table.csv"
    table.write_text("a,b,c\n" + "".join(f"{i},{i % 3},{2 * i - i % 3}\n" for i in range(12)))
    data = ("--data", str(table), "--target", "c", "--ignore", "b", "--standardize", "--no-intercept")
    done = gradstream("sweep", *data, *GRID, "--group", group, "--at-once", "1", server=server.address)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"sweep {group}: 4 runs\n"
    *runs, best, show, watch, train = done.stdout.splitlines()
    assert [re.sub(r": loss .*", "", line) for line in runs] == [
        f"run {i} of 4: learning_rate={rate}, batch_size={size}"
        for i, (rate, size) in enumerate(((0.001, 2), (0.001, 4), (0.05, 2), (0.05, 4)), 1)
    ]
    losses = [float(re.findall(r"loss (\S+) after 40 epochs", line)[0]) for line in runs]
    number = losses.index(min(losses)) + 1
    assert best.startswith(f"best: run {number}, learning_rate=")
    job = show.split()[-1]
    assert jobs_of(server, group)[::-1][number - 1] == job
    assert watch == f"  watch it again: gradstream watch {job}"
    words = shlex.split(train.partition(": ")[2])
    assert words[:2] == ["gradstream", "train"]
    again = gradstream(*words[1:], "--format", "json", server=server.address)
    last = json.loads(again.stdout.splitlines()[-1])
    with Client(server.address) as client:
        original = client.watch(job).result()
    assert last["receipt"]["parameter_digest"] == original.receipt.parameter_digest


def test_what_a_spec_file_and_another_run_say(server: RunningServer, tmp_path: Path, group: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text('trainer = "module"\nepochs = 7\nlearning_rate = 0.5\nintercept = false\n')
    other = gradstream("train", "--no-intercept", "--group", group, "--detach", server=server.address)
    start = other.stdout.strip()
    assert jobs_of(server, group) == [start]
    with Client(server.address) as client:
        client.watch(start).result()
    given = ("--spec", str(file), "--from", start, "--set", "optimizer.momentum=0.5", "--optimizer", "sgd")
    command = ("sweep", *given, "--vary", "learning_rate=0.01,0.02", "--vary", "shuffle=no")
    done = gradstream(*command, server=server.address)
    assert done.returncode == 0, done.stderr
    job = re.findall(r"gradstream show (\w+)", done.stdout)[0]
    words = shlex.split(done.stdout.splitlines()[-1].partition(": ")[2])
    again = gradstream(*words[1:], "--detach", server=server.address).stdout.strip()
    with Client(server.address) as client:
        first, second = client.watch(job).result(), client.watch(again).result()
        assert first.receipt.parameter_digest == second.receipt.parameter_digest
        assert client.get(job).spec.trainer == "module"
        assert client.get(job).spec.epochs == 7


def test_one_object_a_run(server: RunningServer, group: str) -> None:
    command = ("sweep", *GRID, "--group", group, "--format", "json")
    done = gradstream(*command, server=server.address)
    assert (done.returncode, done.stderr) == (0, "")
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(run["run"] for run in runs) == [1, 2, 3, 4]
    assert {run["group"] for run in runs} == {group}
    assert {run["job"] for run in runs} == set(jobs_of(server, group))
    lowest = min(run["loss"] for run in runs)
    assert [run["loss"] for run in runs if run["best"]][-1] == lowest
    assert gradstream(*command, server=server.address).stdout.count("\n") == 4
    assert len(jobs_of(server, group)) == 4, "the same sweep again trains nothing"


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_draws(server: RunningServer, search: str) -> None:
    command = (
        "sweep", "--vary", "learning_rate=log:1e-4:1e-2", "--vary", "l2=uniform:0:1", "--random", "6",
        "--search", search, "--seed", "7", "--at-once", "2", "--format", "json",
    )  # fmt: skip

    def options() -> list[object]:
        done = gradstream(*command, server=server.address)
        assert (done.returncode, done.stderr) == (0, "")
        runs = sorted(map(json.loads, done.stdout.splitlines()), key=lambda run: int(run["run"]))
        return [run["options"] for run in runs]

    first = options()
    assert len(first) == 6
    assert options() == first


def test_runs_that_fail(server: RunningServer, group: str) -> None:
    done = gradstream(
        "sweep",
        "--vary",
        "learning_rate=1e9,0.01",
        "--epochs",
        "200",
        "--group",
        group,
        server=server.address,
    )
    assert done.returncode == 0, done.stderr
    assert re.search("^run 1 of 2: learning_rate=1e\\+09: failed, .*diverged", done.stdout, re.MULTILINE)
    assert "\nbest: run 2, learning_rate=0.01: loss" in done.stdout
    none = gradstream("sweep", "--vary", "learning_rate=1e9,1e8", "--epochs", "200", server=server.address)
    assert none.returncode == 1
    assert "None of the 2 runs" in none.stderr


@pytest.mark.parametrize("cancel", [False, True])
def test_ctrl_c(server: RunningServer, group: str, cancel: bool) -> None:
    """What was trained would be lost with the sweep, or go on though it was to end."""
    command = [
        "sweep", "--vary", "learning_rate=1e-6,1e-5,1e-4,1e-3,1e-2", *SLOW,
        "--at-once", "2", "--group", group,
        *(["--cancel-on-interrupt"] if cancel else []),
    ]  # fmt: skip
    with (
        Client(server.address) as client,
        subprocess.Popen(
            [GRADSTREAM, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(server.address),
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run ")
        while sum(1 for _ in client.jobs(group=group)) < 3:
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in said
        before = {job.id: job for job in client.jobs(group=group)}
        assert 3 <= len(before) < 5
        left = [job for job in before.values() if job.state is not JobState.SUCCEEDED]
        if cancel:
            assert all(job.state in (JobState.CANCELLING, JobState.CANCELLED) for job in left)
            assert "are cancelled" in said
        found = re.search(r"^  go on with it: (.*)$", said, re.MULTILINE)
        assert found is not None
        words = shlex.split(found[1])
        assert words == ["gradstream", *command]
        assert f"gradstream jobs --group {group}\n" in said
        done = gradstream(*words[1:], server=server.address)
        assert done.returncode == 0, done.stderr
        assert len(re.findall("^run ", done.stdout, re.MULTILINE)) == 5
        after = {job.id: job.state for job in client.jobs(group=group)}
        assert list(after.values()).count(JobState.SUCCEEDED) == 5
        assert set(after.values()) <= {JobState.SUCCEEDED, *([JobState.CANCELLED] if cancel else [])}
        assert before.keys() <= after.keys()


def test_a_new_sweep_tells_its_name(server: RunningServer) -> None:
    done = gradstream("sweep", "--vary", "epochs=1,2", server=server.address)
    found = re.fullmatch(r"sweep (sweep-[0-9a-f]{8}): 2 runs\n", done.stderr)
    assert found is not None
    assert len(jobs_of(server, found[1])) == 2


@pytest.mark.parametrize("width", [60, 100])
def test_the_table(server: RunningServer, width: int) -> None:
    code, written = on_terminal("sweep", *GRID, server=server.address, width=width)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert re.search(r"RUN +learning_rate +batch_size +STATE", plain)
    assert len(re.findall(r"^\*? *[1-4] +0\.\d+ +[24] +succeeded", plain, re.MULTILINE)) >= 4
    assert re.search(r"^\* [1-4] ", plain, re.MULTILINE)
    assert "best: run" in plain
    rows = [line for line in re.split(r"[\r\n]+", plain) if "succeeded" in line]
    assert max(map(len, rows)) <= width


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Missing option '--vary'"),
        (["--vary", "lr=1"], "no such option to vary"),
        (["--vary", "l2=uniform:0:1"], "say how many runs with --random N"),
        (["--vary", "l2=0,1", "--l2", "1"], "--l2 is given, and varied by --vary too"),
        (["--vary", "l2=0,1", "--search", "optuna"], "say how many with --random N"),
        (["--vary", "l2=0,-1"], "Error: --l2 is -1"),
        (["--vary", "l2=0,1", "--group", "a b"], "Error: --group is 'a b'"),
        (["--vary", "batch_size=log:0:10", "--random", "3"], "begin above 0"),
    ],
)
def test_what_is_refused(server: RunningServer, options: list[str], said: str) -> None:
    done = gradstream("sweep", *options, server=server.address)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_nobody_there() -> None:
    done = gradstream("sweep", "--vary", "l2=0,1", server="127.0.0.1:1")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
