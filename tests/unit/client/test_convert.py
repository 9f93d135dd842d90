"""Messages as values: what a program computes with."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gradstream.convert import event_of, job_of, spec_of, state_number, state_of
from gradstream.events import Checkpoint, EpochUpdates, Heartbeat, JobWarning, StateChange
from gradstream.job import JobState
from gradstream.v1 import event_pb2, job_pb2, spec_pb2

TIME = Timestamp(seconds=1_700_000_000)


def epochs(**columns: list[float]) -> EpochUpdates:
    message = event_pb2.TrainingEvent(job="j", sequence=3, attempt=1, time=TIME)
    message.epoch_updates.epochs.extend([1, 2, 3])
    message.epoch_updates.losses.extend([3.0, 2.0, 1.0])
    for name, values in columns.items():
        shape = [1, 2] if name == "weight" else [1]
        message.epoch_updates.parameters.add(name=name, shape=shape, values=values)
    event = event_of(message)
    assert isinstance(event, EpochUpdates)
    return event


def test_columns_of_epochs() -> None:
    event = epochs(weight=[1, 2, 3, 4, 5, 6], bias=[7, 8, 9])
    assert event.parameters is not None
    assert event.parameters["weight"].shape == (3, 1, 2)
    assert event.parameters["bias"].shape == (3, 1)
    updates = list(event.updates())
    assert [(u.epoch, u.loss) for u in updates] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert updates[1].parameters is not None
    assert updates[1].parameters["weight"].tolist() == [[3.0, 4.0]]
    assert updates[1].parameters["bias"].tolist() == [8.0]
    assert updates[1].time == datetime.fromtimestamp(1_700_000_000, UTC)


def test_the_rest_of_the_epochs() -> None:
    event = epochs(bias=[7, 8, 9])
    assert [u.epoch for u in event.updates(2)] == [3]
    rest = event.after(2)
    assert (rest.epochs.tolist(), rest.losses.tolist()) == ([3], [1.0])
    assert rest.parameters is not None
    assert rest.parameters["bias"].tolist() == [[9.0]]


def test_epochs_without_parameters() -> None:
    assert epochs().parameters is None
    assert [u.parameters for u in epochs().updates()] == [None] * 3


def test_arrays_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        epochs().losses[0] = 0.0


def test_every_state_is_known() -> None:
    for name, number in event_pb2.JobState.items():
        if number:
            state = state_of(number)
            assert name == f"JOB_STATE_{state}"
            assert state_number(state) == number
            assert state_number(state.lower()) == number


def test_what_only_a_newer_server_has() -> None:
    assert state_of(99) is JobState.UNKNOWN
    assert event_of(event_pb2.TrainingEvent(job="j", sequence=1)) is None


def test_a_state_change() -> None:
    change = event_pb2.StateChange(state=event_pb2.JOB_STATE_QUEUED, jobs_ahead=2)
    event = event_of(event_pb2.TrainingEvent(job="j", sequence=1, time=TIME, state_change=change))
    assert isinstance(event, StateChange)
    assert (event.state, event.jobs_ahead, event.fault) == (JobState.QUEUED, 2, None)
    assert event.result_so_far is None


def test_what_was_reached() -> None:
    reached = event_pb2.Completed(epochs=7, receipt=event_pb2.Receipt(parameter_digest="p"))
    change = event_pb2.StateChange(state=event_pb2.JOB_STATE_CANCELLED, result_so_far=reached)
    event = event_of(event_pb2.TrainingEvent(job="j", sequence=9, time=TIME, state_change=change))
    assert isinstance(event, StateChange)
    assert event.result_so_far is not None
    assert (event.result_so_far.epochs, event.result_so_far.receipt.parameter_digest) == (7, "p")


def test_what_happens_beside_epochs() -> None:
    head: Any = {"job": "j", "sequence": 5, "attempt": 2, "time": TIME}
    checkpoint = event_of(event_pb2.TrainingEvent(**head, checkpoint=event_pb2.Checkpoint(epoch=7)))
    assert isinstance(checkpoint, Checkpoint)
    assert (checkpoint.epoch, checkpoint.sequence, checkpoint.attempt) == (7, 5, 2)
    message = event_pb2.Warning(reason="ENVIRONMENT_CHANGED", message="other versions")
    warning = event_of(event_pb2.TrainingEvent(**head, warning=message))
    assert isinstance(warning, JobWarning)
    assert (warning.reason, warning.message) == ("ENVIRONMENT_CHANGED", "other versions")
    beat = event_pb2.Heartbeat(state=event_pb2.JOB_STATE_PAUSED)
    heartbeat = event_of(event_pb2.TrainingEvent(**head, heartbeat=beat))
    assert isinstance(heartbeat, Heartbeat)
    assert (heartbeat.state, heartbeat.jobs_ahead) == (JobState.PAUSED, 0)


def test_every_kind_of_event_is_known() -> None:
    for kind in event_pb2.TrainingEvent.DESCRIPTOR.oneofs_by_name["event"].fields:
        message = event_pb2.TrainingEvent(job="j", sequence=1)
        getattr(message, kind.name).SetInParent()
        assert event_of(message) is not None, kind.name


def test_what_is_not_set_on_a_job_is_none() -> None:
    job = job_of(job_pb2.Job(id="j", state=event_pb2.JOB_STATE_QUEUED))
    assert (job.start_time, job.end_time, job.last_loss, job.jobs_ahead, job.fault) == (None,) * 5


def test_how_a_job_survives() -> None:
    message = job_pb2.Job(id="j", state=event_pb2.JOB_STATE_PAUSED)
    message.priority, message.cancel_on_disconnect = -3, True
    message.restarts, message.checkpoint_epoch, message.group = 2, 40, "g"
    job = job_of(message)
    assert (job.state, job.priority, job.cancel_on_disconnect) == (JobState.PAUSED, -3, True)
    assert (job.restarts, job.checkpoint_epoch, job.group) == (2, 40, "g")


def test_a_spec_says_whether_it_has_data() -> None:
    assert spec_of(spec_pb2.Spec(trainer="manual")).reference
    data = spec_pb2.InlineData(feature_names=["a"], target_names=["b"])
    spec = spec_of(spec_pb2.Spec(inline_data=data, predict_rows=spec_pb2.Tensor()))
    assert not spec.reference
    assert (spec.feature_names, spec.target_names, spec.predict_rows) == (("a",), ("b",), None)


def test_predict_rows_of_a_spec() -> None:
    rows = spec_pb2.Tensor(dtype=spec_pb2.DTYPE_FLOAT64, shape=[1, 1], data=np.array([5.0]).tobytes())
    spec = spec_of(spec_pb2.Spec(predict_rows=rows))
    assert spec.predict_rows is not None
    assert spec.predict_rows.tolist() == [[5.0]]
