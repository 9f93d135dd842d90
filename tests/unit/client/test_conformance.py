"""Recordings: what is no whole log is refused, and what a client tells is compared to the last digit."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from gradstream.conformance.cases import CASES
from gradstream.conformance.judge import faults
from gradstream.conformance.recording import NoRecording, Recording

NAMES = sorted({case.recording for case in CASES})


@pytest.mark.parametrize("name", NAMES)
def test_recordings_are_whole_and_stay_as_they_are(name: str, tmp_path: Path) -> None:
    """Made once of real jobs, they have to be readable for ever."""
    recording = Recording.named(name)
    assert str(recording.state).lower() == name or (name, recording.state) == ("paused", "SUCCEEDED")
    recording.write(tmp_path / "again")
    assert Recording.read(tmp_path / "again").events == recording.events


def test_what_is_no_whole_log_is_refused(tmp_path: Path) -> None:
    events = list(Recording.named("succeeded").events)
    with pytest.raises(NoRecording, match="event 3 has sequence 4"):
        Recording.of(events[:2] + events[3:])
    with pytest.raises(NoRecording, match="the log has no end"):
        Recording.of(events[:-1])
    with pytest.raises(NoRecording, match="the log has no end"):
        Recording.of([])
    (tmp_path / "broken").write_bytes(b"\x05abc")
    with pytest.raises(NoRecording, match="broken: event 1 cannot be read"):
        Recording.read(tmp_path / "broken")


def lines(told: Iterable[tuple[int, float]], *more: dict[str, object]) -> str:
    updates = [{"event": "epoch_update", "epoch": epoch, "loss": loss} for epoch, loss in told]
    return "\n".join(map(json.dumps, [*updates, *more]))


def test_what_is_told_is_compared() -> None:
    recording = Recording.named("failed")
    curve, end = list(recording.losses.items()), {"event": "state_change", "state": "FAILED"}
    running = {"event": "state_change", "state": "RUNNING"}
    assert not list(faults(lines(curve, running, {"event": "more"}, end), recording))
    epoch, loss = curve[5]
    for told, fault in (
        (lines(curve[:5] + curve[6:], end), f"epoch {curve[6][0]} behind epoch {curve[4][0]}, where {epoch}"),
        (lines([*curve[:6], *curve[5:]], end), f"told epoch {epoch} behind epoch {epoch}"),
        (lines([*curve[:5], (epoch, loss * (1 + 1e-9)), *curve[6:]], end), f"of epoch {epoch}, which has"),
        (lines(curve[:-1], end), "told 70 epochs of 71"),
        (lines(curve), "told nothing as the end"),
        (lines(curve, {"event": "completed"}), "told SUCCEEDED as the end of the job, which is FAILED"),
        (lines(curve, end, end), "told FAILED and FAILED as the end"),
        ("epoch 1", "a line that is no JSON object: 'epoch 1'"),
    ):
        assert fault in "; ".join(faults(told, recording))
