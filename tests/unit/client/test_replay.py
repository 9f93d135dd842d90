"""What a replay says: a person who is told "the same" relies on it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from tests.unit.client.scripted import Scripted, completed, epochs, run_over, state

from gradstream.cli.app import gradstream
from gradstream.events import Receipt
from gradstream.replay import Replay, ReplayResult


def receipt(digest: str, threads: int = 1, **versions: str) -> Receipt:
    return Receipt("d", digest, "cpu", threads, {"torch": "2.13.0", **versions})


def test_the_same() -> None:
    result = ReplayResult(receipt("a"), receipt("a", threads=2))
    assert result.same
    assert result.differences == {"threads": ("1", "2")}


def test_different_and_nothing_tells_why() -> None:
    result = ReplayResult(receipt("a"), receipt("b"))
    assert not result.same
    assert result.differences == {}


def test_different_with_what_else_is() -> None:
    result = ReplayResult(receipt("a", 4, torch="2.12.0"), receipt("b", 4, numpy="2.0"))
    assert result.differences == {"torch": ("2.12.0", "2.13.0"), "numpy": ("none", "2.0")}


def replay(monkeypatch: pytest.MonkeyPatch, digest: str, threads: int, *args: str) -> Result:
    """Train again what has come to a digest on so many threads; it comes to "now", on two."""

    @contextmanager
    def open_client(_server: str | None, _patience_s: float) -> Iterator[SimpleNamespace]:
        run = run_over(Scripted([state(1, "RUNNING"), epochs(2, 1, 2, 3, 4), completed(3, "now", threads=2)]))
        again = Replay(run, Receipt("", digest, "cpu", threads, {}))
        yield SimpleNamespace(replay=lambda _job, **_: again)

    monkeypatch.setattr("gradstream.cli.connection.open_client", open_client)
    return CliRunner().invoke(gradstream, ["replay", "j0", *args])


def test_the_command_says_that_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    done = replay(monkeypatch, "now", 2)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "epoch 1: loss = 1.00000000",
        "the parameters are the same as those of job j0, bit for bit: digest now",
    ]


@pytest.mark.parametrize(
    ("threads", "why"),
    [(2, "nothing else differs in their receipts: data, device, threads and versions are the same"),
     (1, "  threads: 2 instead of 1")],
)  # fmt: skip
def test_the_command_says_what_differs(monkeypatch: pytest.MonkeyPatch, threads: int, why: str) -> None:
    done = replay(monkeypatch, "then", threads)
    assert done.exit_code == 7
    assert done.stdout.splitlines()[1:] == [
        "the parameters are not the same as those of job j0: digest now instead of then",
        why,
    ]


def test_the_command_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    done = replay(monkeypatch, "now", 2, "--format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-2]["event"] == "completed"
    assert (lines[-1]["event"], lines[-1]["same"]) == ("replay", True)
    assert lines[-1]["original"]["parameter_digest"] == lines[-1]["replayed"]["parameter_digest"] == "now"
