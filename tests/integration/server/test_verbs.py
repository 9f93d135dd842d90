"""The verbs of a job: paused, resumed, cancelled, deleted, and limited in what it may take."""

import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.integration.server.calls import Calls, calls_to, curve, endless, inline, reference, refusal
from tests.processes import wait_until
from tests.server import RunningServer, running_server

from gradstream.v1 import event_pb2, training_service_pb2

PAUSED, CANCELLED = event_pb2.JOB_STATE_PAUSED, event_pb2.JOB_STATE_CANCELLED
TRAINERS = ["manual", "autograd", "module"]


def some_seconds(trainer: str) -> int:
    return {"manual": 200_000, "autograd": 30_000, "module": 20_000}[trainer]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_paused_job_frees_its_worker_and_goes_on_where_it_was(calls: Calls, trainer: str) -> None:
    """A user who lets another job pass would lose what was trained, or get another result."""
    spec = reference(trainer, epochs=some_seconds(trainer), learning_rate=1e-6)
    job = calls.running(spec)
    paused = calls.pause(job.id)
    assert paused.state == PAUSED
    assert paused.checkpoint_epoch == paused.epochs_done > 0
    assert calls.pause(job.id) == paused
    assert calls.train(reference(trainer))[-1].HasField("completed")
    assert calls.get(job.id) == paused
    calls.resume(job.id)
    events, other = calls.events(job.id), calls.train(spec)
    assert curve(events) == curve(other)
    digests = [log[-1].completed.receipt.parameter_digest for log in (events, other)]
    assert digests[0] == digests[1]
    answer = refusal(lambda: calls.resume(job.id))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_ALREADY_ENDED")
    answer = refusal(lambda: calls.pause(job.id))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_ALREADY_ENDED")


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_cancelled_job_keeps_what_it_has_reached(calls: Calls, trainer: str) -> None:
    """A user who stops early, having seen enough, would get no model."""
    job = calls.running(reference(trainer, epochs=10_000_000, learning_rate=1e-6, report_every=1000))
    calls.cancel(job.id)
    change = calls.end(job.id).state_change
    assert change.state == CANCELLED
    reached = change.result_so_far
    same = calls.train(reference(trainer, epochs=reached.epochs, learning_rate=1e-6))[-1].completed
    assert reached.receipt.parameter_digest == same.receipt.parameter_digest
    assert (reached.parameters, reached.predictions) == (same.parameters, same.predictions)
    assert reached.final_loss == same.final_loss


def test_a_trainer_that_does_not_come_back_is_killed(tmp_path: Path) -> None:
    """A user could not stop a job whose epochs take minutes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 16))
    # Rows one at a time: an epoch takes minutes.
    long = inline(x, x[:, :1], "module", batch_size=1, epochs=1000)
    with (
        running_server(tmp_path / "data", "--workers=1", "--stop-grace=0.2") as server,
        calls_to(server.address) as calls,
    ):
        job = calls.create(long)
        list(calls.events_until(job.id, "started"))
        calls.cancel(job.id)
        change = calls.end(job.id).state_change
        assert (change.state, change.HasField("result_so_far")) == (CANCELLED, False)
        assert change.reason == "the trainer did not stop in time and was killed"
        job = calls.create(long)
        list(calls.events_until(job.id, "started"))
        assert calls.pause(job.id).state == PAUSED
        assert calls.train(reference())[-1].HasField("completed")


def test_a_deleted_job_is_gone(server: RunningServer, calls: Calls) -> None:
    """A user could not get rid of what is nobody's business any more."""
    spec = inline([[1.0], [2.5]], [[2.0], [7.25]])
    job = calls.train(spec)[0].job
    file = server.data_dir / "data" / f"{calls.get(job).spec.inline_data.digest}.npy"
    assert file.exists()
    calls.delete(job)
    for call in (calls.get, calls.delete, calls.watch, calls.cancel, calls.pause):
        answer = refusal(lambda call=call: call(job))
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    assert not file.exists()
    running = calls.running(endless())
    answer = refusal(lambda: calls.delete(running.id))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_ENDED")
    assert "cancel it first" in answer.message
    calls.cancel(running.id)
    calls.end(running.id)
    calls.delete(running.id)


def test_a_resolved_spec_is_trained_again_without_its_numbers(calls: Calls) -> None:
    """A user who checks a result would need the data again."""
    first = calls.train(inline([[1.0], [2.5], [4.0]], [[2.0], [7.25], [1.0]], epochs=50))
    spec = first[1].started.resolved_spec if first[1].HasField("started") else calls.get(first[0].job).spec
    again = calls.train(spec)
    assert again[-1].completed.receipt == first[-1].completed.receipt
    assert again[-1].completed.parameters == first[-1].completed.parameters
    for unknown in ("0" * 64, "../jobs", "x" * 5000, "\0"):
        spec.inline_data.digest = unknown
        answer = refusal(lambda: calls.create(spec))
        assert (answer.code, answer.fields) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            ("spec.inline_data.digest",),
        )


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_job_over_its_memory_fails_alone(calls: Calls, trainer: str) -> None:
    """One user could take the memory of all."""
    x = np.ones((700_000, 12))
    hungry = inline(x, x[:, :1], trainer, max_memory_bytes=64 << 20, batch_size=500_000, epochs=2)
    last = calls.train(hungry)[-1]
    end = last.state_change
    assert (end.state, last.attempt) == (event_pb2.JOB_STATE_FAILED, 1), "it would happen again"
    assert "more memory than the 67108864 bytes of max_memory_bytes" in end.error.message
    enough = reference(trainer, max_memory_bytes=64 << 20)
    assert calls.train(enough)[-1].HasField("completed")
    assert calls.train(reference(trainer))[-1].HasField("completed")


def test_a_job_over_its_time_fails_and_keeps_what_it_has_reached(calls: Calls) -> None:
    """One job that never ends would keep a worker from everybody."""
    events = calls.train(reference(epochs=10_000_000, report_every=100, max_seconds=0.3))
    change = events[-1].state_change
    assert change.state == event_pb2.JOB_STATE_FAILED
    assert "max_seconds" in change.error.message
    assert change.result_so_far.epochs > 0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_memory_bytes": 1000}, "spec.max_memory_bytes"),
        ({"max_memory_bytes": -1}, "spec.max_memory_bytes"),
        ({"max_seconds": -1.0}, "spec.max_seconds"),
        ({"max_seconds": float("nan")}, "spec.max_seconds"),
    ],
)
def test_limits_out_of_range_are_refused(calls: Calls, fields: dict[str, float], path: str) -> None:
    """A user would believe in a limit that is none."""
    answer = refusal(lambda: calls.create(reference(**fields)))
    assert (answer.code, answer.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (path,))


def test_a_servers_own_limits_hold(tmp_path: Path) -> None:
    """An operator could not bound what a job may take."""
    options = ["--workers=1", "--max-job-seconds=0.2", f"--max-job-memory-bytes={1 << 30}"]
    with running_server(tmp_path / "data", *options) as server, calls_to(server.address) as calls:
        job = calls.create(endless())
        assert (job.spec.max_seconds, job.spec.max_memory_bytes) == (0.2, 1 << 30)
        change = calls.end(job.id).state_change
        assert change.state == event_pb2.JOB_STATE_FAILED
        assert change.result_so_far.epochs > 0, "its worker still had to be started, which is not its time"
        for fields in ({"max_seconds": 0.0}, {"max_seconds": 1.0}, {"max_memory_bytes": 0}):
            answer = refusal(lambda fields=fields: calls.create(reference(**fields)))
            assert answer.fields == (f"spec.{next(iter(fields))}",)


def test_an_idle_stream_carries_heartbeats(tmp_path: Path) -> None:
    """Proxies would close an idle stream, and a user could not tell waiting from a hang."""
    with (
        running_server(tmp_path / "data", "--workers=1", "--heartbeat=0.05") as server,
        calls_to(server.address) as calls,
    ):
        running = calls.running(endless())
        first, job = calls.create(reference()), calls.create(reference(seed=1))
        ahead = []
        for event in (stream := calls.watch(job.id)):
            if event.HasField("heartbeat"):
                assert event.sequence == 1
                assert event.heartbeat.state == event_pb2.JOB_STATE_QUEUED
                ahead.append(event.heartbeat.jobs_ahead)
                if len(ahead) == 1:
                    calls.cancel(first.id)
                if ahead[-1] == 0:
                    stream.cancel()
                    break
        assert ahead[0] == 1
        calls.cancel(running.id)
        list(calls.events(job.id))  # To its end: a log that waits for nothing any more has no heartbeats.
        assert not any(event.HasField("heartbeat") for event in calls.events(job.id))


def test_a_job_that_nobody_watches_is_cancelled_if_it_asked_for_that(tmp_path: Path) -> None:
    """A job that is only of use to who watches it would hold a worker for hours after he has left."""
    options = ["--workers=2", "--disconnect-grace=0.3"]
    with running_server(tmp_path / "data", *options) as server, calls_to(server.address) as calls:
        request = training_service_pb2.TrainRequest(spec=endless(), cancel_on_disconnect=True)
        stream = calls.training.Train(request)
        job = next(stream).job
        assert calls.get(job).cancel_on_disconnect
        stream.cancel()
        watching = calls.watch(job)
        next(watching)
        time.sleep(0.5)  # Longer than the grace: somebody watches.
        assert calls.get(job).state == event_pb2.JOB_STATE_RUNNING
        watching.cancel()
        while calls.get(job).state != CANCELLED:
            time.sleep(0.02)


def test_jobs_that_ended_long_ago_are_deleted(tmp_path: Path) -> None:
    """A server that runs for years would fill its disk."""
    with (
        running_server(tmp_path / "data", "--workers=1", "--keep-ended=0.2") as server,
        calls_to(server.address) as calls,
    ):
        calls.train(reference())
        wait_until(lambda: not calls.jobs(), "the end of its time")
