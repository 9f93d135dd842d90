"""The three reference experiments through a real server, character for character."""

from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

REFERENCE = Path(__file__).parent.parent / "reference"
STARTS = {"module": ["--init", "weight=0.7268983721733093", "--init", "bias=-0.5131938457489014"]}


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
@pytest.mark.parametrize("plain", [["--plain"], []], ids=["plain", "no terminal"])
def test_reference(server: RunningServer, trainer: str, plain: list[str]) -> None:
    done = gradstream("train", "--trainer", trainer, *plain, *STARTS.get(trainer, []), server=server.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (REFERENCE / f"{trainer}.txt").read_text()


def test_watching_shows_the_same(server: RunningServer) -> None:
    job = gradstream("train", "--detach", server=server.address).stdout.strip()
    watched = gradstream("watch", job, server=server.address)
    assert watched.stdout == (REFERENCE / "manual.txt").read_text()


def test_every(server: RunningServer) -> None:
    done = gradstream("train", "--every", "7", server=server.address)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "prediction before training", "epoch 1", "epoch 8", "epoch 15", "prediction after training",
    ]  # fmt: skip
