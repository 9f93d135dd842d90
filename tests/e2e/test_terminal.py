"""What happens around a command: Ctrl-C, a reader that goes away, a terminal, a server that goes away."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from tests.command import GRADSTREAM, environment
from tests.server import RunningServer, running_server

from gradstream import Client, JobState

ENDLESS = ["train", "--trainer", "autograd", "--epochs", "10000000", "--report-every", "1000"]


def start(*args: str, server: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [GRADSTREAM, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(server),
    )


def test_ctrl_c_leaves_the_job_and_says_how_to_come_back(server: RunningServer) -> None:
    with start(*ENDLESS, server=server.address) as process, Client(server.address) as client:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch"):
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        found = re.search(r"gradstream watch (\w+)\n", said)
        assert found is not None
        assert f"gradstream cancel {found[1]}\n" in said
        assert "Traceback" not in said
        assert client.get(found[1]).state is JobState.RUNNING
        client.cancel(found[1])


def test_the_server_is_named_where_it_was_named(server: RunningServer) -> None:
    command = [*ENDLESS, "--server", server.address]
    with start(*command, server="127.0.0.1:1") as process, Client(server.address) as client:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch"):
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        found = re.search(rf"gradstream watch (\w+) --server {server.address}\n", said)
        assert found is not None
        client.cancel(found[1])


def test_a_reader_that_goes_away(server: RunningServer) -> None:
    with start("train", "--epochs", "1000000", "--format", "json", server=server.address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == ""


def on_terminal(*args: str, server: str, width: int, **env: str) -> tuple[int, str]:
    """Run a command on a terminal; its exit code, and all that it wrote."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    written = bytearray()
    with subprocess.Popen(
        [GRADSTREAM, *args],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(server, TERM="xterm-256color", **env),
    ) as process:
        os.close(slave)
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # what Linux says when the other end of a terminal is closed
                break
            if not data:
                break
            written += data
    os.close(master)
    return process.returncode, written.decode()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_live_view(server: RunningServer, width: int) -> None:
    code, written = on_terminal(
        "train", "--trainer", "module", "--epochs", "3000", server=server.address, width=width
    )
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert "epoch 3,000/3,000" in plain
    assert "100%" in plain
    assert re.search("[⠁-⣿]", plain), "the curve is drawn"
    assert "prediction after training: f(5) = 10.0" in plain
    assert "gradstream watch" in plain
    longest = max(len(line) for line in re.split(r"[\r\n]+", plain) if "━" in line or "┤" in line)
    assert longest <= width


def test_a_comparison_shows_how_far_it_is(server: RunningServer) -> None:
    code, written = on_terminal("compare", "--epochs", "20000", server=server.address, width=80)
    assert code == 0
    assert "trainer 2 of 3" in written


def test_a_comparison_that_is_interrupted_names_its_jobs(server: RunningServer) -> None:
    with (
        start("compare", "--epochs", "9999999", server=server.address) as process,
        Client(server.address) as client,
    ):
        running: list[str] = []
        while not running:
            running = [
                job.id for job in client.jobs(["running"]) if job.epochs_done and job.spec.epochs == 9_999_999
            ]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert f"gradstream watch {running[0]}\n" in said
        assert f"gradstream cancel {running[0]}\n" in said
        client.cancel(running[0])


def test_no_color(server: RunningServer) -> None:
    _, written = on_terminal("train", "--epochs", "100", server=server.address, width=80, NO_COLOR="1")
    assert not re.search(r"\x1b\[(3[0-7]|38;|9[0-7])", written)


def test_plain_on_a_terminal(server: RunningServer) -> None:
    code, written = on_terminal("train", "--plain", server=server.address, width=80)
    assert code == 0
    reference = Path(__file__).parent.parent / "reference" / "manual.txt"
    assert written.replace("\r\n", "\n") == reference.read_text()


def test_a_job_that_fails_on_a_terminal(server: RunningServer) -> None:
    code, written = on_terminal("train", "--learning-rate", "100", server=server.address, width=80)
    assert code == 1
    assert re.sub(r"\s+", " ", written).count("diverged") == 1
    assert "Traceback" not in written


def read_until(terminal: int, wanted: str) -> str:
    """What a command writes to a terminal, until it has written something."""
    written = ""
    while wanted not in written:
        written += os.read(terminal, 65536).decode(errors="replace")
    return written


def test_a_server_that_goes_away_is_seen_in_the_live_view(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with (
        running_server(tmp_path / "data") as own,
        subprocess.Popen(
            [GRADSTREAM, *ENDLESS],
            stdin=slave, stdout=slave, stderr=slave, env=environment(own.address, TERM="xterm-256color"),
        ) as process,
    ):  # fmt: skip
        read_until(master, "epochs/s")
        own.process.kill()
        # The picture is drawn again and again, and the line stays in it.
        for _ in range(3):
            read_until(master, f"connection to {own.address} lost; attaching again")
        later = read_until(master, f"connection to {own.address} lost; attaching again")
        assert "epochs/s" not in later
        process.send_signal(signal.SIGINT)
        assert "gradstream watch" in read_until(master, "stop it:")
        assert process.wait(30) == 130
    os.close(slave)
    os.close(master)


def test_a_job_that_waits_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers", "1") as own, Client(own.address) as client:
        first = client.create(trainer="autograd", epochs=10_000_000, report_every=1000)
        second = client.create(trainer="autograd", epochs=10_000_000, report_every=1000)
        with start("train", server=own.address) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert re.fullmatch(r"waiting, [12] ahead, job \w+\n", said)
            for job in (first, second):
                client.cancel(job.id)
            out, rest = process.communicate(timeout=60)
            assert (process.returncode, rest) == (0, "")
            assert out == (Path(__file__).parent.parent / "reference" / "manual.txt").read_text()


def test_a_server_that_goes_away_is_told(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as own, start(*ENDLESS, server=own.address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("epoch"):
            pass
        own.process.kill()
        assert process.stderr.readline() == f"connection to {own.address} lost; attaching again ...\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
