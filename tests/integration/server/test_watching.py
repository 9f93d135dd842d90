"""Watching: whoever attaches, from wherever, is told the same, and disturbs nobody."""

import threading

import grpc
from tests.integration.server.calls import Calls, endless, reference, refusal

from gradstream.v1 import event_pb2, training_service_pb2


def test_a_log_reads_the_same_from_any_sequence(calls: Calls) -> None:
    """A client that re-attaches would see a gap or a repeat in its curve."""
    events = calls.train(reference("module"))
    job = events[0].job
    whole = calls.log(job)
    assert [event_pb2.TrainingEvent.FromString(body) for body in whole] == events
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    for after in range(len(whole) + 1):
        assert calls.log(job, after) == whole[after:]


def test_a_cursor_beyond_the_log_is_refused(calls: Calls) -> None:
    """A client with a wrong cursor would wait for ever."""
    job = calls.train(reference())[0].job
    last = calls.get(job).last_sequence
    for after in (last + 1, 2**63 - 1):
        answer = refusal(lambda after=after: calls.watch(job, after))
        assert (answer.code, answer.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_BEYOND_LOG")


def test_watchers_of_a_running_job_see_identical_bytes(calls: Calls) -> None:
    """Two users would see two curves of one job."""
    job = calls.running(reference(epochs=200_000))
    logs: list[list[bytes]] = []
    watchers = [threading.Thread(target=lambda: logs.append(calls.log(job.id))) for _ in range(4)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert len(logs) == 4
    assert all(log == logs[0] == calls.log(job.id) for log in logs)
    epochs = [
        epoch for body in logs[0] for epoch in event_pb2.TrainingEvent.FromString(body).epoch_updates.epochs
    ]
    assert epochs == list(range(1, 200_001))


def test_a_watcher_who_leaves_does_not_disturb_the_job(calls: Calls) -> None:
    """A user who closes a window would stop a training."""
    job = calls.create(reference(epochs=100_000))
    for after in (0, 1, 2):
        stream = calls.watch(job.id, min(after, calls.get(job.id).last_sequence))
        next(stream)
        stream.cancel()
    assert calls.end(job.id).HasField("completed")
    assert calls.get(job.id).epochs_done == 100_000


def test_a_caller_of_train_who_leaves_does_not_stop_the_job(calls: Calls) -> None:
    """A user whose connection breaks would lose the training that the stream was for."""
    stream = calls.training.Train(training_service_pb2.TrainRequest(spec=reference(epochs=100_000)))
    job = next(stream).job
    stream.cancel()
    assert calls.end(job).HasField("completed")


def test_what_a_whole_run_tells(calls: Calls) -> None:
    """A user would not see in the stream what the contract promises."""
    events = calls.train(reference("manual"))
    names = [event.WhichOneof("event") for event in events]
    states = [event.state_change.state for event in events if event.HasField("state_change")]
    assert states == [event_pb2.JOB_STATE_QUEUED, event_pb2.JOB_STATE_RUNNING]
    assert names[2] == "started"
    assert set(names[3:-1]) == {"epoch_updates"}
    assert names[-1] == "completed"
    assert [event.attempt for event in events] == [0] + [1] * (len(events) - 1)
    started, completed = events[2].started, events[-1].completed
    assert (started.rows, started.features, started.targets) == (4, 1, 1)
    assert started.resolved_spec.epochs == completed.epochs == 20
    assert list(completed.predictions.shape) == [1, 1]
    job = calls.get(events[0].job)
    assert job.state == event_pb2.JOB_STATE_SUCCEEDED
    assert (job.epochs_done, job.last_loss) == (20, completed.final_loss)
    assert job.last_sequence == events[-1].sequence
    assert job.create_time.ToNanoseconds() <= job.start_time.ToNanoseconds() <= job.end_time.ToNanoseconds()


def test_divergence_keeps_the_curve_and_says_what_to_do(calls: Calls) -> None:
    """A user would see an RPC that fails, and lose the curve that shows why."""
    spec = reference(learning_rate=10, epochs=1000)
    events = calls.train(spec)
    end = events[-1].state_change
    assert (end.state, events[-1].attempt) == (event_pb2.JOB_STATE_FAILED, 1), "it would happen again"
    epochs = [epoch for event in events for epoch in event.epoch_updates.epochs]
    assert epochs == list(range(1, len(epochs) + 1))
    assert f"epoch {len(epochs) + 1}" in end.error.message
    assert "learning_rate" in end.error.message
    assert "standardize" in end.error.message
    job = calls.get(events[0].job)
    assert job.error == end.error
    assert (job.state, job.epochs_done) == (event_pb2.JOB_STATE_FAILED, len(epochs))


def test_a_slow_reader_costs_others_nothing(calls: Calls) -> None:
    """One client that does not read would hold up the job, and all who watch it."""
    job = calls.running(endless())
    slow = calls.watch(job.id)  # Nothing is read from it.
    assert calls.train(reference())[-1].HasField("completed")
    calls.cancel(job.id)
    assert calls.end(job.id).state_change.state == event_pb2.JOB_STATE_CANCELLED
    assert [event.sequence for event in slow] == list(range(1, calls.get(job.id).last_sequence + 1))
