"""The place in a log: were it wrong, a person would see an epoch twice or never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstream.tail import GapError, Tail
from gradstream.v1.event_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_QUEUED,
    JOB_STATE_RUNNING,
    Completed,
    EpochUpdates,
    StateChange,
    TrainingEvent,
)
from gradstream.v1.training_service_pb2 import TrainRequest, WatchJobRequest

START = TrainRequest(request_id="11111111-1111-4111-8111-111111111111")


def log(length: int) -> list[TrainingEvent]:
    events = [TrainingEvent(job="j", sequence=1, state_change=StateChange(state=JOB_STATE_QUEUED))]
    events += [
        TrainingEvent(job="j", sequence=i, epoch_updates=EpochUpdates(epochs=[i])) for i in range(2, length)
    ]
    return [*events, TrainingEvent(job="j", sequence=length, completed=Completed())]


def test_the_same_request_is_repeated_until_the_job_is_known() -> None:
    tail = Tail(START)
    assert tail.request() is START
    assert tail.accept(log(3)[0])
    assert tail.request() == WatchJobRequest(job="j", after_sequence=1)


def test_a_watch_begins_where_it_is_told() -> None:
    tail = Tail(WatchJobRequest(job="j", after_sequence=2))
    assert tail.request() == WatchJobRequest(job="j", after_sequence=2)
    assert tail.accept(log(4)[2])


def test_a_gap_is_noticed_and_changes_nothing() -> None:
    tail = Tail(START)
    tail.accept(log(5)[0])
    with pytest.raises(GapError):
        tail.accept(log(5)[3])
    assert tail.sequence == 1


@pytest.mark.parametrize(
    ("state", "ended"),
    [(JOB_STATE_RUNNING, False), (JOB_STATE_FAILED, True), (JOB_STATE_CANCELLED, True)],
)
def test_what_ends_a_log(state: int, ended: bool) -> None:
    tail = Tail(START)
    change = StateChange(state=state)  # type: ignore[arg-type]  # the values of an enum are ints
    tail.accept(TrainingEvent(job="j", sequence=1, state_change=change))
    assert tail.ended is ended


@given(
    length=st.integers(3, 30),
    cuts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10), st.none() | st.integers(0, 9))),
)
def test_however_it_is_cut_every_event_is_accepted_once(
    length: int, cuts: list[tuple[int, int, int | None]]
) -> None:
    events = log(length)
    tail = Tail(START)
    accepted: list[int] = []
    # Each stream begins a little too early, breaks after some events and may lose one; the last is whole.
    for early, count, lost in [*cuts, (0, length, None)]:
        if tail.ended:
            break
        request = tail.request()
        begin = max(0, (request.after_sequence if isinstance(request, WatchJobRequest) else 0) - early)
        for position, event in enumerate(events[begin : begin + count]):
            if position == lost:
                continue
            try:
                if tail.accept(event):
                    accepted.append(event.sequence)
            except GapError:
                break
    assert accepted == [event.sequence for event in events]
