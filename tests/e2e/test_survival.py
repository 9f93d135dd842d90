"""The commands of jobs that survive, and what a person sees when a worker, a server or a connection dies."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.command import GRADSTREAM, environment, gradstream
from tests.processes import descendants, parent, wait_until
from tests.server import RunningServer, running_server

from gradstream import Client, JobState

QUICK = ["--checkpoint-interval", "0.1", "--heartbeat", "0.1", "--disconnect-grace", "0.3", "--workers", "2"]
ENDLESS = ["train", "--trainer", "autograd", "--epochs", "10000000", "--report-every", "1000"]
EPOCHS = 40_000
LONG = ["train", "--trainer", "autograd", "--epochs", str(EPOCHS), "--report-every", "25"]
REQUEST = "5d1b0c3e-6a52-4c07-9f0a-0d9e8f5f4b11"
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""What an HTTP/2 server says first."""
REPORTED = [*range(1, EPOCHS + 1, 25), EPOCHS]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that does soon what others do after seconds."""
    with running_server(tmp_path_factory.mktemp("quick") / "data", *QUICK) as server:
        yield server


class Command:
    """A command that runs beside the test, and what it has written so far."""

    def __init__(self, folder: Path, name: str, *args: str, server: str) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [GRADSTREAM, *args], stdout=out, stderr=err, env=environment(server)
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, text: str) -> None:
        """Wait until it has written something to stderr."""
        wait_until(lambda: text in self.err or self.process.poll() is not None, text)
        assert text in self.err

    def trains(self) -> None:
        """Wait until it has shown epochs."""
        wait_until(lambda: '"epoch"' in self.out or "epoch 1" in self.out, "epochs")

    def end(self) -> int:
        return self.process.wait(60)


class Start(Protocol):
    """Starts a command that runs beside the test; when the test ends it is killed if it still runs."""

    def __call__(self, name: str, *args: str, server: str) -> Command: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    commands: list[Command] = []

    def start(name: str, *args: str, server: str) -> Command:
        commands.append(Command(tmp_path, name, *args, server=server))
        return commands[-1]

    yield start
    for command in commands:
        command.process.kill()
        command.process.wait()


def dying_server(request_id: str) -> socket.socket:
    """Listens; whoever sends a request with this id is connected to a server that dies before it answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def take_and_die() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.sendall(EMPTY_SETTINGS)
            received = b""
            while request_id.encode() not in received:
                received += connection.recv(65536)

    threading.Thread(target=take_and_die).start()
    return listener


def kill_workers(server: RunningServer) -> None:
    """Kill all that trains: the children of the server's fork server."""
    for pid in descendants(server.process.pid):
        if parent(pid) != server.process.pid:
            os.kill(pid, signal.SIGKILL)


def test_pause_resume_and_replay(quick: RunningServer, start: Start) -> None:
    address = quick.address
    job = gradstream(*LONG, "--detach", "--priority", "3", server=address).stdout.strip()
    watched = start("watched", "watch", job, server=address)
    watched.trains()
    done = gradstream("pause", job, server=address)
    assert (done.returncode, done.stderr) == (0, f"let it go on: gradstream resume {job}\n")
    assert re.fullmatch(rf"job {job} is paused after [\d,]+ of {EPOCHS:,} epochs\n", done.stdout)
    watched.says(f"job {job} is paused; let it go on with: gradstream resume {job}\n")
    shown = gradstream("show", job, server=address)
    rows = dict(line.split("  ", 1) for line in shown.stdout.splitlines())
    assert rows["state"].strip() == "paused"
    assert re.fullmatch(r"after epoch [\d,]+", rows["checkpoint"].strip())
    assert rows["priority"].strip() == "3"
    assert shown.stderr == f"let it go on: gradstream resume {job}\n"
    assert job in gradstream("jobs", "--state", "paused", server=address).stdout
    resumed = gradstream("resume", job, server=address)
    assert (resumed.returncode, resumed.stdout) == (0, f"job {job} is running\n")
    assert resumed.stderr == f"watch it: gradstream watch {job}\n"
    assert watched.end() == 0
    assert f"job {job}: resumed\n" in watched.err
    assert watched.out == gradstream("watch", job, server=address).stdout
    replayed = gradstream("replay", job, "--every", "10000", server=address)
    assert replayed.returncode == 0, replayed.stderr
    same = rf"the parameters are the same as those of job {job}, bit for bit: digest [0-9a-f]{{12}}"
    assert re.fullmatch(same, replayed.stdout.splitlines()[-1])
    short = gradstream("train", "--detach", server=address).stdout.strip()
    gradstream("watch", short, server=address)
    as_json = gradstream("replay", short, "--format", "json", server=address)
    assert json.loads(as_json.stdout.splitlines()[-1])["same"] is True
    ended = gradstream("pause", job, server=address)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "has already succeeded" in ended.stderr


def test_resuming_what_is_not_paused(quick: RunningServer) -> None:
    job = gradstream(*ENDLESS, "--detach", server=quick.address).stdout.strip()
    with Client(quick.address) as client:
        wait_until(lambda: client.get(job).state is JobState.RUNNING, "its beginning")
    resumed = gradstream("resume", job, server=quick.address)
    assert (resumed.returncode, resumed.stdout) == (0, f"job {job} was not paused: it is running\n")
    gradstream("cancel", job, server=quick.address)
    assert gradstream("watch", job, server=quick.address).returncode == 1
    ended = gradstream("resume", job, server=quick.address)
    assert (ended.returncode, ended.stdout) == (2, "")
    replayed = gradstream("replay", job, server=quick.address)
    assert (replayed.returncode, replayed.stdout) == (2, "")
    assert replayed.stderr == (
        f"Error: job {job} was cancelled, so there is nothing to compare with; only a job that has succeeded "
        "can be replayed\n"
    )


def test_jobs_tells_who_comes_first(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", *QUICK, "--workers", "1") as server:
        blocking = gradstream(*ENDLESS, "--detach", server=server.address).stdout.strip()
        with Client(server.address) as client:
            wait_until(lambda: client.get(blocking).state is JobState.RUNNING, "its beginning")
        assert "PRIORITY" not in gradstream("jobs", server=server.address).stdout
        last = gradstream("train", "--detach", server=server.address).stdout.strip()
        first = gradstream("train", "--detach", "--priority", "7", server=server.address).stdout.strip()
        lines = gradstream("jobs", server=server.address).stdout.splitlines()
        assert [re.split(r" {2,}", line)[:3] for line in lines] == [
            ["JOB", "STATE", "PRIORITY"],
            [first, "queued", "7"],
            [last, "queued, 1 ahead", "0"],
            [blocking, "running", "0"],
        ]
        gradstream("cancel", blocking, server=server.address)


def test_as_json(quick: RunningServer) -> None:
    job = gradstream(*ENDLESS, "--report-every", "1", "--detach", server=quick.address).stdout.strip()
    states = [
        json.loads(gradstream(verb, job, "--format", "json", server=quick.address).stdout)["state"]
        for verb in ("pause", "resume", "cancel")
    ]
    assert states == ["PAUSED", "RUNNING", "CANCELLING"]
    watched = gradstream("watch", job, "--format", "json", "--after", "2", server=quick.address)
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert "heartbeat" not in {event["event"] for event in events}
    reached = next(event["epoch"] for event in events[::-1] if event["event"] == "epoch_update")
    assert {event["event"] for event in events} >= {"checkpoint", "state_change", "epoch_update"}
    assert events[-1]["result_so_far"]["epochs"] == reached
    shown = json.loads(gradstream("show", job, "--format", "json", server=quick.address).stdout)
    assert (shown["result"], shown["result_so_far"]["epochs"]) == (None, reached)
    deleted = gradstream("delete", job, "--format", "json", server=quick.address)
    assert json.loads(deleted.stdout) == {"deleted": job}


def test_delete(quick: RunningServer) -> None:
    def job(*args: str) -> str:
        return gradstream("train", "--detach", *args, server=quick.address).stdout.strip()

    first, second, living = job(), job(), job(*ENDLESS[1:])
    for each in (first, second):
        gradstream("watch", each, server=quick.address)
    done = gradstream("delete", first, "nosuchjob", living, second, server=quick.address)
    assert done.returncode == 4, "that of the first that could not be deleted"
    assert done.stdout == f"job {first} is deleted\njob {second} is deleted\n"
    assert done.stderr.splitlines() == [
        "Error: there is no job 'nosuchjob'; `gradstream jobs` lists those there are",
        f"Error: job {living} is running; only a job that has ended can be deleted: cancel it first",
    ]
    gradstream("cancel", living, server=quick.address)
    assert gradstream("watch", living, server=quick.address).returncode == 1
    assert gradstream("delete", living, server=quick.address).returncode == 0


def test_what_a_cancelled_job_has_reached_is_shown(quick: RunningServer) -> None:
    job = gradstream(
        *ENDLESS, "--detach", "--max-seconds", "600", "--max-memory", "1.5G", server=quick.address
    ).stdout.strip()
    with Client(quick.address) as client:
        wait_until(lambda: client.get(job).epochs_done, "epochs")
    gradstream("cancel", job, server=quick.address)
    watched = gradstream("watch", job, server=quick.address)
    assert watched.returncode == 1
    assert f"is kept: `gradstream show {job}`" in watched.stderr
    shown = gradstream("show", job, server=quick.address).stdout
    assert re.search(r"^reached +loss \S+ after [\d,]+ epochs in ", shown, re.MULTILINE)
    assert re.search(r"^time +at most 600 s$", shown, re.MULTILINE)
    assert re.search(r"^memory +at most 1,610,612,736 bytes$", shown, re.MULTILINE)
    assert "newest checkpoint" not in shown, "it has reached what it has told"
    assert "parameters:" in shown


def test_a_worker_that_dies(quick: RunningServer, start: Start) -> None:
    started = start("started", *LONG, server=quick.address)
    started.trains()
    with Client(quick.address) as client:
        job = next(client.jobs()).id
        wait_until(lambda: client.get(job).checkpoint_epoch, "a checkpoint")
        kill_workers(quick)
        assert started.end() == 0, started.err
        assert client.get(job).restarts == 1
    assert re.search(rf"^job {job}: .*; the job goes on after epoch \d+$", started.err, re.MULTILINE)
    assert started.out == gradstream("watch", job, server=quick.address).stdout
    shown = gradstream("show", job, server=quick.address).stdout
    assert re.search(r"^attempts +2, 1 of them after its worker died$", shown, re.MULTILINE)


def test_a_server_that_dies_and_comes_back(tmp_path: Path, start: Start) -> None:
    """Whoever watches, in whatever form, sees each epoch once."""
    data = tmp_path / "data"
    with running_server(data, *QUICK) as server:
        started = start("started", *LONG, server=server.address)
        wait_until(lambda: "epoch 1:" in started.out, "epochs")
        with Client(server.address) as client:
            job = next(client.jobs()).id
        as_json = start("json", "watch", job, "--format", "json", server=server.address)
        as_text = start("text", "watch", job, server=server.address)
        for command in (as_json, as_text):
            command.trains()
        server.process.kill()
        lost = f"connection to {server.address} lost; attaching again ...\n"
        for command in (started, as_json, as_text):
            command.says(lost)
    with running_server(data, *QUICK, address=server.address):
        for command in (started, as_json, as_text):
            assert command.end() == 0, command.err
            assert "attached again\n" in command.err
        events = [json.loads(line) for line in as_json.out.splitlines()]
        assert [event["epoch"] for event in events if event["event"] == "epoch_update"] == REPORTED
        whole = gradstream("watch", job, server=server.address).stdout
        assert started.out == as_text.out == whole
        assert f"job {job}: its server died" in started.err


def test_a_server_that_stays_away(tmp_path: Path, start: Start) -> None:
    with running_server(tmp_path / "data", *QUICK) as server:
        job = gradstream(*ENDLESS, "--detach", server=server.address).stdout.strip()
        watch = start("watch", "watch", job, "--server-patience", "0.5", server=server.address)
        watch.trains()
        server.process.kill()
        assert watch.end() == 3
    assert watch.err.splitlines() == [
        f"connection to {server.address} lost; attaching again ...",
        f"Job {job} is kept. Once its server is back: gradstream watch {job}",
        f"Error: the server at {server.address} is not there any more: it was waited for 0.5 s",
    ]


def test_a_server_that_dies_before_it_has_answered(tmp_path: Path, start: Start) -> None:
    """Just after its start it waits for its workers; the job would have to be started by hand once more."""
    listener = dying_server(REQUEST)
    address = "{}:{}".format(*listener.getsockname())
    patient = start("patient", "train", "--request-id", REQUEST, server=address)
    patient.says("trying again ...\n")
    with running_server(tmp_path / "data", *QUICK, address=address):
        assert patient.end() == 0, patient.err
    lost, again = patient.err.splitlines()
    assert re.fullmatch(rf"no connection to {address} \(.*\); trying again \.\.\.", lost)
    assert again == "attached again"
    assert patient.out == (Path(__file__).parent.parent / "reference" / "manual.txt").read_text()


def test_a_server_that_dies_before_it_has_answered_and_stays_away() -> None:
    """The job may be in its data: who starts the same by hand once more would have two."""
    address = "{}:{}".format(*dying_server(REQUEST).getsockname())
    done = gradstream("train", "--server-patience", "0.5", "--request-id", REQUEST, server=address)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[1:] == [
        "The job may have been started:",
        f"  the same command with --request-id {REQUEST} comes back to it",
        f"Error: the server at {address} is not there any more: it was waited for 0.5 s",
    ]


def test_a_server_that_is_stopped_and_started_again(tmp_path: Path, start: Start) -> None:
    data = tmp_path / "data"
    with running_server(data, *QUICK) as server:
        started = start("started", *LONG, server=server.address)
        started.trains()
        server.stop()
        started.says("attaching again ...\n")
    with running_server(data, *QUICK, address=server.address):
        assert started.end() == 0, started.err
    stopping, lost, *rest = started.err.splitlines()
    assert re.fullmatch(r"job \w+: the server is stopping; after its next start .*", stopping)
    assert lost == f"connection to {server.address} lost; attaching again ..."
    assert rest[0] == "attached again"


def test_ctrl_c_while_the_server_is_away(tmp_path: Path, start: Start) -> None:
    """It would be told that its job goes on, and it does not before somebody starts its server again."""
    with running_server(tmp_path / "data", *QUICK) as server:
        job = gradstream(*ENDLESS, "--detach", server=server.address).stdout.strip()
        watched = start("watched", "watch", job, server=server.address)
        watched.trains()
        server.process.kill()
        watched.says("attaching again ...\n")
        watched.process.send_signal(signal.SIGINT)
        assert watched.end() == 130
    assert f"Left job {job}, which goes on once its server is back.\n" in watched.err


def test_ctrl_c_on_a_paused_job(quick: RunningServer, start: Start) -> None:
    job = gradstream(*ENDLESS, "--detach", server=quick.address).stdout.strip()
    gradstream("pause", job, server=quick.address)
    watched = start("watched", "watch", job, server=quick.address)
    watched.says("is paused")
    watched.process.send_signal(signal.SIGINT)
    assert watched.end() == 130
    assert watched.err.splitlines()[-4:] == [
        f"Left job {job}, which is paused.",
        f"  watch it again: gradstream watch {job}",
        f"  stop it:        gradstream cancel {job}",
        f"  let it go on:   gradstream resume {job}",
    ]
    gradstream("cancel", job, server=quick.address)


def test_ctrl_c_on_a_job_that_is_cancelled_on_disconnect(quick: RunningServer, start: Start) -> None:
    started = start("started", *ENDLESS, "--cancel-on-disconnect", server=quick.address)
    started.trains()
    with Client(quick.address) as client:
        job = next(client.jobs()).id
        started.process.send_signal(signal.SIGINT)
        assert started.end() == 130
        assert f"Left job {job}, which is cancelled unless it is soon watched again.\n" in started.err
        shown = gradstream("show", job, server=quick.address).stdout
        assert re.search(r"^when unwatched +it is cancelled after some seconds$", shown, re.MULTILINE)
        wait_until(lambda: client.get(job).state is JobState.CANCELLED, "its end")


class Terminal:
    """A command on a terminal of 80 columns."""

    def __init__(self, *args: str, server: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [GRADSTREAM, *args],
            stdin=slave, stdout=slave, stderr=slave, env=environment(server, TERM="xterm-256color"),
        )  # fmt: skip
        os.close(slave)

    def read_until(self, wanted: str) -> str:
        """What it writes, without colours, until it has written something."""
        written = ""
        while wanted not in written:
            data = os.read(self._master, 65536).decode(errors="replace")
            written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written + data)
        return written

    def end(self) -> tuple[int, str]:
        """Its exit code, and the rest of what it writes."""
        rest = bytearray()
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # what Linux says when the other end of a terminal is closed
                break
            rest += data
        os.close(self._master)
        return self.process.wait(60), rest.decode(errors="replace")


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Those that the test opens; they are closed when it ends."""
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.process.kill()
        each.process.wait()


def test_the_live_view_of_a_job_that_lives_through_everything(
    tmp_path: Path, terminals: list[Terminal]
) -> None:
    data = tmp_path / "data"
    with running_server(data, *QUICK) as server, Client(server.address) as client:
        terminal = Terminal(*ENDLESS, server=server.address)
        terminals.append(terminal)
        terminal.read_until("epochs/s")
        job = next(client.jobs()).id
        client.pause(job)
        seen = terminal.read_until(f"let it go on: gradstream resume {job}")
        assert "autograd · paused" in seen
        server.process.kill()
        for _ in range(3):
            terminal.read_until(f"connection to {server.address} lost; attaching again ...")
    with running_server(data, *QUICK, address=server.address) as server, Client(server.address) as client:
        # It has nothing to tell of the paused job but that it is there again.
        terminal.read_until(f"let it go on: gradstream resume {job}")
        client.resume(job)
        terminal.read_until("epochs/s")
        kill_workers(server)
        terminal.read_until("the job goes on after epoch")
        client.cancel(job)
        code, rest = terminal.end()
    assert code == 1
    assert f"job {job} was cancelled" in rest
    assert f"is kept: `gradstream show {job}`" in rest
