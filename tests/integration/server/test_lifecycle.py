"""Stopping, dying and starting again: no job that was accepted is lost, and no process is left."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from tests.integration.server.calls import TIMEOUT_S, Calls, calls_to, endless, inline, reference, refusal
from tests.processes import descendants, maps, parent, wait_for_end
from tests.server import RunningServer, running_server

from gradstream.v1 import event_pb2

FAILED, QUEUED = event_pb2.JOB_STATE_FAILED, event_pb2.JOB_STATE_QUEUED
ROWS = ([[1.0], [2.0], [3.0]], [[2.0], [4.0], [6.0]])


def processes(server: RunningServer) -> set[int]:
    """A server's process and all that it has started."""
    return {server.process.pid} | descendants(server.process.pid)


def reason_of(calls: Calls, job: str) -> str:
    error = calls.get(job).error
    return error.details[0].value.decode(errors="replace") if error.details else ""


def test_sigterm_lets_running_jobs_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    """An operator who restarts a server would lose work that was nearly done."""
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        job = calls.running(reference(epochs=300_000))
        waiting = calls.create(reference(seed=1))
        mine = processes(server)
        health = calls.health.Watch(health_pb2.HealthCheckRequest(service=""), timeout=TIMEOUT_S)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        stream = calls.watch(job.id)
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answer = refusal(lambda: calls.create(reference()))
        assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert calls.get(job.id).id == job.id  # Who asks for what is there gets it.
        assert list(stream)[-1].HasField("completed")
        assert server.process.wait(TIMEOUT_S) == 0
        wait_for_end(mine)
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        assert calls.end(waiting.id).HasField("completed")
        assert "Traceback" not in server.log.read_text()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """An operator in a hurry would have to kill, and leave workers behind."""
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        job = calls.running(endless())
        mine = processes(server)
        health = calls.health.Watch(health_pb2.HealthCheckRequest(service=""), timeout=TIMEOUT_S)
        next(health)
        server.process.send_signal(signal.SIGTERM)
        next(health)
        assert server.stop() == 0
        wait_for_end(mine)
    with closing(sqlite3.connect(tmp_path / "data" / "gradstream.sqlite")) as database:
        ((state, fault),) = database.execute("SELECT state, fault FROM jobs WHERE id = ?", (job.id,))
    assert state == "FAILED"
    assert "SERVER_STOPPED" in fault


def test_what_does_not_end_in_time_fails(tmp_path: Path) -> None:
    """A server would never stop, or leave a job RUNNING that nobody runs."""
    options = ["--workers=1", "--drain-timeout=0"]
    with running_server(tmp_path / "data", *options) as server, calls_to(server.address) as calls:
        stream = calls.watch(calls.running(endless()).id)
        next(stream)
        assert server.stop() == 0
        last = list(stream)[-1].state_change
        assert (last.state, last.error.message) == (FAILED, last.reason)
        assert "server stopped" in last.reason


def test_a_killed_server_loses_nothing_that_it_has_told(tmp_path: Path) -> None:
    """After a power cut users would lose finished jobs, or find jobs that never end."""
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        done = calls.train(inline(*ROWS, "module", epochs=500))[0].job
        log = calls.log(done)
        running = calls.running(endless())
        told = next(calls.raw_stream("WatchJob")(b"\n\x10" + running.id.encode(), timeout=TIMEOUT_S))
        waiting = [calls.create(inline(*ROWS, seed=seed)).id for seed in range(3)]
        mine = processes(server)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(TIMEOUT_S)
        wait_for_end(mine)
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        assert calls.log(done) == log
        lost = calls.log(running.id)
        assert lost[0] == told
        assert event_pb2.TrainingEvent.FromString(lost[-1]).state_change.state == FAILED
        assert "SERVER_STOPPED" in reason_of(calls, running.id)
        assert all(calls.end(job).HasField("completed") for job in waiting)
        starts = [calls.get(job).start_time.ToNanoseconds() for job in waiting]
        assert starts == sorted(starts)
        sequences = [event_pb2.TrainingEvent.FromString(body).sequence for body in lost]
        assert sequences == list(range(1, len(lost) + 1))


def test_a_worker_that_is_killed_fails_its_job_alone(tmp_path: Path) -> None:
    """A crash of one training would take the server, or the next job, with it."""
    with running_server(tmp_path / "data", "--workers=1") as server, calls_to(server.address) as calls:
        job = calls.running(endless())
        for pid in descendants(server.process.pid):
            if parent(pid) != server.process.pid:  # Not the fork server.
                os.kill(pid, signal.SIGKILL)
        assert calls.end(job.id).state_change.state == FAILED
        assert "WORKER_DIED" in reason_of(calls, job.id)
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
