"""Stopping, dying and starting again: no job that was accepted is lost, and no process is left."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from tests.integration.server.calls import (
    TIMEOUT_S,
    Calls,
    calls_to,
    curve,
    endless,
    inline,
    reference,
    refusal,
)
from tests.integration.server.test_inference import Inference
from tests.processes import alive, command_line, descendants, maps, parent, wait_for_end, wait_until
from tests.server import RunningServer, running_server

from gradstream.v1 import event_pb2, spec_pb2

ROWS = ([[1.0], [2.0], [3.0]], [[2.0], [4.0], [6.0]])
OPTIONS = ["--workers=1", "--checkpoint-interval=0.05"]


def some_seconds(trainer: str, **fields: object) -> spec_pb2.Spec:
    """A job that runs for most of a second at least, in epochs of two short batches."""
    epochs = {"manual": 25_000, "autograd": 4_000, "module": 3_000}[trainer]
    return inline(*ROWS, trainer, epochs=epochs, learning_rate=1e-5, batch_size=2, **fields)


def processes(server: RunningServer) -> set[int]:
    """A server's process and all that it has started."""
    return {server.process.pid} | descendants(server.process.pid)


def trainers_of(server: RunningServer) -> set[int]:
    """The workers of a server: the children of its fork server."""
    return {pid for pid in descendants(server.process.pid) if parent(pid) != server.process.pid}


def undisturbed(calls: Calls, job: str) -> list[event_pb2.TrainingEvent]:
    """The log of the same training with nothing to disturb it."""
    again = calls.create(calls.get(job).spec)
    return calls.events(again.id)


def assert_equals_undisturbed(calls: Calls, job: str) -> None:
    """Nobody could tell from curve and parameters that a job was disturbed."""
    events, other = calls.events(job), undisturbed(calls, job)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert curve(events) == curve(other)
    done, expected = events[-1].completed, other[-1].completed
    assert done.receipt.parameter_digest == expected.receipt.parameter_digest
    assert (done.parameters, done.final_loss) == (expected.parameters, expected.final_loss)
    assert sum(event.HasField("started") for event in events) == 1


def test_sigterm_puts_running_jobs_aside_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """An operator who restarts a server would lose work, or wait for a job of days."""
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        job = calls.running(some_seconds("manual"))
        waiting = calls.create(reference(seed=1))
        mine = processes(server)
        health = calls.health.Watch(health_pb2.HealthCheckRequest(service=""), timeout=TIMEOUT_S)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        stream = calls.watch(job.id)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answer = refusal(lambda: stream)
        assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert server.process.wait(TIMEOUT_S) == 0
        wait_for_end(mine)
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        assert calls.end(waiting.id).HasField("completed")
        assert_equals_undisturbed(calls, job.id)
        left = [event for event in calls.events(job.id) if event.state_change.reason]
        assert "the server is stopping; after its next start the job goes on after epoch" in (
            left[0].state_change.reason
        )
        assert (calls.get(job.id).attempt, calls.get(job.id).restarts) == (2, 0)
        assert "Traceback" not in server.log.read_text()


def test_a_server_that_stops_is_not_ready_to_predict(tmp_path: Path) -> None:
    """A load balancer would send predictions to a server that is about to leave."""
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        calls.train_model("asked", inline(*ROWS, epochs=5))
        inference = Inference(calls.channel)
        assert inference.is_server_ready()
        assert inference.is_ready("asked")
        calls.running(endless())
        # The server has to wait for a worker that does nothing.
        (worker,) = trainers_of(server)
        os.kill(worker, signal.SIGSTOP)
        try:
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not inference.is_server_ready(), "the server says that it stops")
            assert not inference.is_ready("asked")
            assert inference.is_server_live()
        finally:
            os.kill(worker, signal.SIGCONT)
        assert server.process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_a_killed_server_goes_on_with_what_ran(tmp_path: Path, trainer: str) -> None:
    """After a crash users would lose hours, or find jobs that never end, or another curve."""
    spec = some_seconds(trainer, standardize=True)
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        done = calls.train(inline(*ROWS, trainer, epochs=500))[0].job
        log = calls.log(done)
        job = calls.running(spec)
        waiting = [calls.create(inline(*ROWS, seed=seed)).id for seed in range(3)]
        told = list(calls.events_until(job.id, "checkpoint"))
        mine = processes(server)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(TIMEOUT_S)
        wait_for_end(mine)
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        assert calls.log(done) == log
        assert calls.events(job.id)[: len(told)] == told
        assert_equals_undisturbed(calls, job.id)
        assert all(calls.end(job).HasField("completed") for job in waiting)
        starts = [calls.get(job).start_time.ToNanoseconds() for job in waiting]
        assert starts == sorted(starts)
    assert not list((tmp_path / "data" / "checkpoints").iterdir())


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_a_worker_that_is_killed_is_replaced_and_its_job_goes_on(tmp_path: Path, trainer: str) -> None:
    """A crash of one training would take hours of work, the server, or the next job with it."""
    with running_server(tmp_path / "data", *OPTIONS) as server, calls_to(server.address) as calls:
        job = calls.running(some_seconds(trainer))
        for attempt in (1, 2):
            for pid in trainers_of(server):
                os.kill(pid, signal.SIGKILL if attempt == 1 else signal.SIGSEGV)
            for event in (stream := calls.watch(job.id)):
                if event.attempt == attempt + 1 and event.HasField("epoch_updates"):
                    stream.cancel()
                    break
        assert_equals_undisturbed(calls, job.id)
        assert (calls.get(job.id).attempt, calls.get(job.id).restarts) == (3, 2)
        assert calls.train(reference())[-1].HasField("completed")


def test_a_worker_that_dies_every_time_fails_its_job_alone(tmp_path: Path) -> None:
    """One job would keep a worker from everybody for ever."""
    options = ["--workers=1", "--max-restarts=0"]
    with running_server(tmp_path / "data", *options) as server, calls_to(server.address) as calls:
        job = calls.running(endless())
        for pid in trainers_of(server):
            os.kill(pid, signal.SIGKILL)
        end = calls.end(job.id).state_change
        assert end.state == event_pb2.JOB_STATE_FAILED
        assert "its worker was killed by SIGKILL" in end.error.message
        assert calls.train(reference())[-1].HasField("completed")


def test_a_fork_server_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """The largest process is the first that a machine without memory kills: no job would ever run again."""
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        assert calls.train(reference())[-1].HasField("completed")
        trainers = {pid for pid in descendants(server.process.pid) if maps(pid, "libtorch")}
        for pid in trainers:
            os.kill(pid, signal.SIGKILL)
        wait_for_end(trainers)
        events = [calls.train(reference())[-1] for _ in range(2)]
        assert events[-1].HasField("completed")


def test_a_server_that_is_stopped_while_its_workers_start(tmp_path: Path) -> None:
    """An operator who has mistyped a setting would wait for torch to be loaded, only to be rid of it."""

    def fork_servers() -> list[int]:
        return [pid for pid in descendants(server.process.pid) if "forkserver" in command_line(pid)]

    with running_server(tmp_path / "data", "--workers=2") as server:
        wait_until(fork_servers, "a fork server")
        [loading] = fork_servers()
        # It takes for ever.
        os.kill(loading, signal.SIGSTOP)
        try:
            assert server.stop() == 0
            assert not alive(loading)
        finally:
            with suppress(ProcessLookupError):
                os.kill(loading, signal.SIGKILL)
    assert "could not be started" not in server.log.read_text()
