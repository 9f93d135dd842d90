"""A log read over connections that break: whoever waits for a job must get all of it, once, and its end."""

from types import SimpleNamespace
from typing import Protocol

import pytest
from google.rpc import code_pb2, status_pb2
from tests.unit.client.scripted import (
    BROKEN,
    Script,
    Scripted,
    Silence,
    completed,
    epochs,
    event,
    heartbeat,
    run_over,
    state,
)

from gradstream import (
    Checkpoint,
    EpochUpdate,
    Heartbeat,
    JobCancelledError,
    JobFailedError,
    JobState,
    JobWarning,
    Run,
    StateChange,
    UnavailableError,
)
from gradstream.v1 import event_pb2
from gradstream.v1.training_service_pb2 import WatchJobRequest

SILENCE_S = 1000.0
"""Longer than any patience here."""


class Start(Protocol):
    """Begins to read what scripts tell."""

    def __call__(self, *scripts: Script, patience_s: float = 60.0) -> tuple[Run, Scripted]: ...


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """A run over scripted streams; time passes only where a script says so, and by waiting to try again."""

    def start(*scripts: Script, patience_s: float = 60.0) -> tuple[Run, Scripted]:
        transport = Scripted(*scripts)
        monkeypatch.setattr("gradstream.session.time", SimpleNamespace(monotonic=lambda: transport.now))
        return run_over(transport, patience_s), transport

    return start


def test_a_job_that_lives_through_everything(start: Start) -> None:
    run, transport = start(
        [state(1, "QUEUED", 0), state(2, "RUNNING"), epochs(3, 1, 2), BROKEN],
        [event(4, checkpoint=event_pb2.Checkpoint(epoch=2)), state(5, "RUNNING", 2, reason="it died")],
        [heartbeat(5), BROKEN],
        [state(6, "PAUSED", 2), heartbeat(6), state(7, "QUEUED", 2), state(8, "RUNNING", 3)],
        [event(9, 3, warning=event_pb2.Warning(reason="ENVIRONMENT_CHANGED", message="other versions"))],
        [epochs(10, 3, 4, attempt=3), completed(11)],
    )
    seen = list(run)
    others = [each for each in seen if not isinstance(each, EpochUpdate)]
    assert [each.sequence for each in others] == [1, 2, 4, 5, 6, 7, 8, 9, 11]
    assert [each.epoch for each in seen if isinstance(each, EpochUpdate)] == [1, 2, 3, 4]
    assert [each.epoch for each in seen if isinstance(each, Checkpoint)] == [2]
    assert [each.reason for each in seen if isinstance(each, JobWarning)] == ["ENVIRONMENT_CHANGED"]
    assert run.epochs.tolist() == [1, 2, 3, 4]
    assert run.state is JobState.SUCCEEDED
    assert transport.requests[1:] == [
        WatchJobRequest(job="j", after_sequence=sequence) for sequence in (3, 5, 5, 8, 9)
    ]


def test_heartbeats_tell_how_many_are_ahead_and_nothing_of_the_place(start: Start) -> None:
    """Their sequence may be ahead of what has come: taken for a place, it would lose what lies between."""
    run, _ = start([state(1, "QUEUED", 0, jobs_ahead=3), heartbeat(7, 2), state(2, "RUNNING"), completed(3)])
    events = run.events()
    next(events)
    assert run.jobs_ahead == 3
    assert next(events).sequence == 2
    assert run.jobs_ahead == 0
    assert [each.sequence for each in events] == [3]


def test_heartbeats_for_who_asks(start: Start) -> None:
    run, _ = start([state(1, "QUEUED", 0, jobs_ahead=3), heartbeat(1, 2), heartbeat(1, 1), completed(2)])
    ahead = [(type(each), run.jobs_ahead) for each in run.events(heartbeats=True)]
    assert ahead[:3] == [(StateChange, 3), (Heartbeat, 2), (Heartbeat, 1)]
    assert list(run) == []


def test_nobody_gets_heartbeats_who_has_not_asked(start: Start) -> None:
    run, _ = start([state(1, "QUEUED", 0), heartbeat(1), heartbeat(1), completed(2)])
    assert [each.sequence for each in run] == [1, 2]
    run, _ = start([state(1, "QUEUED", 0), heartbeat(1), completed(2)])
    assert run.result().epochs == 4


def test_patience_begins_when_the_connection_is_lost(start: Start) -> None:
    """A job may be paused for a day: the first thing to break then would end the wait at once."""
    run, _ = start(
        [state(1, "QUEUED", 0), state(2, "PAUSED", 0), Silence(SILENCE_S), BROKEN],
        [heartbeat(2), Silence(SILENCE_S), BROKEN],
        [BROKEN],
        [state(3, "QUEUED", 0), completed(4)],
        patience_s=1.0,
    )
    assert [each.sequence for each in run] == [1, 2, 3, 4]


def test_patience_ends(start: Start) -> None:
    run, transport = start([state(1, "QUEUED", 0), Silence(SILENCE_S), BROKEN], patience_s=5.0)
    with pytest.raises(UnavailableError):
        list(run)
    assert SILENCE_S + 2 < transport.now <= SILENCE_S + 5


def test_a_stream_that_ends_again_and_again_is_not_followed_for_ever(start: Start) -> None:
    run, transport = start([state(1, "QUEUED", 0)], *[[] for _ in range(1000)], patience_s=5.0)
    with pytest.raises(UnavailableError, match="the stream ended before the job did"):
        list(run)
    assert transport.now <= 5


REACHED = event_pb2.Completed(epochs=7, final_loss=0.5)


def test_what_a_cancelled_job_has_reached(start: Start) -> None:
    run, _ = start([state(1, "CANCELLED", result_so_far=REACHED)])
    with pytest.raises(JobCancelledError) as caught:
        run.result()
    reached = caught.value.result_so_far
    assert reached is not None
    assert (reached.epochs, reached.final_loss, reached.job) == (7, 0.5, "j")


def test_what_a_failed_job_has_reached(start: Start) -> None:
    error = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="out of memory")
    run, _ = start([state(1, "FAILED", error=error, result_so_far=REACHED)])
    with pytest.raises(JobFailedError) as caught:
        run.result()
    assert caught.value.result_so_far is not None
    run, _ = start([state(1, "FAILED", error=error)])
    with pytest.raises(JobFailedError) as caught:
        run.result()
    assert caught.value.result_so_far is None
