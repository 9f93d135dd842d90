"""`gradstream data`, as a person or a script uses it."""

import json
import os
import pty
import re
import signal
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tests.command import GRADSTREAM, environment, gradstream
from tests.proxy import cutting_proxy
from tests.server import RunningServer

WEATHER = Path(__file__).parents[2] / "examples/data/seattle-weather.csv"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.csv"
    path.write_text("size,kind,nothing,same\n1,a,,7\n2,b,,7\n,b,,7\n")
    return path


def test_a_table_is_put_shown_listed_and_removed(server: RunningServer, odd: Path) -> None:
    digest = sha256(odd.read_bytes()).hexdigest()
    put = gradstream("data", "put", str(odd), server=server.address)
    assert (put.returncode, put.stderr) == (0, "sending odd.csv: 43 bytes\n")
    head, *rest = put.stdout.splitlines()
    assert head == f"data set {digest[:12]}: odd.csv, 3 rows, 4 columns, 43 bytes"
    assert rest[0] == f"digest    {digest}"
    assert rest[2:] == [
        "  COLUMN     TYPE  NULLS  MIN  MAX  MEAN",
        "  size      int64      1    1    2   1.5  first null in row 3",
        "  kind     string      -    -    -     -  2 values: a, b",
        "  nothing    null      3    -    -     -  no values at all",
        "  same      int64      -    7    7     7  constant",
    ]
    again = gradstream("data", "put", str(odd), server=server.address)
    assert again.stderr == ""
    assert again.stdout.splitlines() == [f"{head} (already there: no bytes sent)", *rest]
    assert gradstream("data", "show", digest[:8], server=server.address).stdout == put.stdout
    listed = gradstream("data", "ls", server=server.address).stdout
    assert re.search(rf"^{digest[:12]} +odd\.csv +3 +4 +43 bytes  ", listed, re.MULTILINE)
    removed = gradstream("data", "rm", digest[:8], "nothing", server=server.address)
    assert removed.returncode == 4
    assert removed.stdout == f"data set {digest[:8]} is deleted\n"
    assert removed.stderr == (
        "Error: there is no data set 'nothing'; `gradstream data ls` lists those there are\n"
    )
    gone = gradstream("data", "show", digest, server=server.address)
    assert gone.returncode == 4


def test_json(server: RunningServer, odd: Path) -> None:
    odd.write_text("size,kind\n1,a\n2,b\n3,b\n")
    digest = sha256(odd.read_bytes()).hexdigest()
    for sent in (True, False):
        put = gradstream("data", "put", str(odd), "--format", "json", server=server.address)
        told = json.loads(put.stdout)
        assert (told["digest"], told["sent"], told["rows"]) == (digest, sent, 3)
    shown = json.loads(gradstream("data", "show", digest, "--format", "json", server=server.address).stdout)
    assert shown["columns"][1]["categories"] == ["a", "b"]
    listed = gradstream("data", "ls", "--limit", "1", "--format", "json", server=server.address).stdout
    assert json.loads(listed)["digest"] == digest
    removed = gradstream("data", "rm", digest, "--format", "json", server=server.address)
    assert json.loads(removed.stdout) == {"deleted": digest}


def test_one_that_cannot_be_read_keeps_no_other_from_the_server(
    server: RunningServer, odd: Path, tmp_path: Path
) -> None:
    ragged, sheet = tmp_path / "ragged.csv", tmp_path / "sheet.xls"
    ragged.write_text("a,b\n1\n")
    sheet.write_text("a,b\n1,2\n")
    odd.write_text("a,b\n5,6\n")
    put = gradstream("data", "put", str(ragged), str(sheet), str(odd), server=server.address)
    assert put.returncode == 2
    assert f"Error: {ragged}: row 1 has 1 value, the header has 2: '1'\n" in put.stderr
    assert f"Error: {sheet}: the name is 'sheet.xls', whose ending says no format; " in put.stderr
    assert put.stdout.startswith("data set ")


def test_from_a_pipe(server: RunningServer) -> None:
    put = gradstream("data", "put", "-", "--name", "pipe.csv", server=server.address, stdin="a,b\n1,3\n2,4\n")
    assert ": pipe.csv, 2 rows, 2 columns" in put.stdout
    assert gradstream("data", "put", "-", server=server.address, stdin="a\n1\n").returncode == 2


def test_no_server(odd: Path) -> None:
    put = gradstream("data", "put", str(odd), server="127.0.0.1:1")
    assert put.returncode == 3
    assert "no gradstream server at 127.0.0.1:1" in put.stderr


def large(path: Path) -> Path:
    np.save(path, np.frombuffer(os.urandom(8_000_000), np.int64).reshape(-1, 4))
    return path


def test_ctrl_c_leaves_what_was_sent(server: RunningServer, tmp_path: Path) -> None:
    path = large(tmp_path / "large.npy")
    with cutting_proxy(server.address) as proxy:
        proxy.stall()
        with subprocess.Popen(
            [GRADSTREAM, "data", "put", str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(proxy.address),
        ) as process:  # fmt: skip
            assert process.stderr is not None
            proxy.flow()
            assert process.stderr.readline() == "sending large.npy: 8.0 MB\n"
            proxy.stall()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.endswith("What was sent is kept for some hours; put the file again to go on.\nInterrupted.\n")
    assert gradstream("data", "put", str(path), server=server.address).returncode == 0


def test_a_bar_on_a_terminal(server: RunningServer, tmp_path: Path) -> None:
    path = large(tmp_path / "large.npy")
    master, slave = pty.openpty()
    with subprocess.Popen(
        [GRADSTREAM, "data", "put", str(path)],
        stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True,
        env=environment(server.address, TERM="xterm-256color", COLUMNS="100"),
    ) as process:  # fmt: skip
        os.close(slave)
        written = b""
        try:
            while part := os.read(master, 65536):
                written += part
        except OSError:  # the other end has been closed
            pass
        out, _ = process.communicate(timeout=30)
    os.close(master)
    assert process.returncode == 0
    assert out.startswith("data set ")
    assert "large.npy is being read" in written.decode()
    assert "8.0/8.0 MB" in written.decode()
