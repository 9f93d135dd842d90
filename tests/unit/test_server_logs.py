"""Logs: one event a line, that a person and a program can read."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from gradstream_server import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the logging of the test's process as it was."""
    root, alembic = logging.getLogger(), logging.getLogger("alembic")
    before = root.level, list(root.handlers), alembic.level
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    alembic.setLevel(before[2])


def written(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_text_quotes_what_would_be_misread(capsys: pytest.CaptureFixture[str]) -> None:
    """A value with a space or a line break would look like another fact, or another event."""
    logs.configure("info", "text")
    logging.getLogger("x").info("two words", extra={"job": "abc", "path": 'a "b"\nc=d', "empty": ""})
    line = written(capsys)
    assert line.count("\n") == 1
    assert ' level=info logger=x message="two words" job=abc path="a \\"b\\"\\nc=d" empty=""' in line
    stamp = line.split()[0].removeprefix("time=")
    assert datetime.fromisoformat(stamp).tzinfo


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A log collector could not read an event, least of all one with a stack trace."""
    logs.configure("info", "json")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("x").exception("a fault", extra={"incident": "f00", "data": {1, 2}})
    line = written(capsys)
    assert line.count("\n") == 1
    event = json.loads(line)
    assert (event["level"], event["message"], event["incident"]) == ("error", "a fault", "f00")
    assert "ValueError: inside" in event["exception"]


def test_text_shows_the_stack_trace_of_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator would have an incident's id and nothing to find behind it."""
    logs.configure("info", "text")
    logging.getLogger("x").error("a fault", exc_info=ValueError("inside"))
    assert "ValueError: inside" in written(capsys)


def test_what_is_less_severe_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator could not silence the log."""
    logs.configure("warning", "text")
    logging.getLogger("x").info("not this")
    logging.getLogger("x").warning("this")
    assert "message=this" in (line := written(capsys))
    assert "not this" not in line
