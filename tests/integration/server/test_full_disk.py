"""A full disk: who is hit is told, what is there stays, and room that is made is used."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.disk import fill as fill_disk
from tests.disk import small_disk
from tests.integration.server.calls import Calls, calls_to, inline, reference, refusal
from tests.processes import wait_until
from tests.server import running_server

from gradstream.v1 import event_pb2, spec_pb2


def fill(calls: Calls) -> list[str]:
    """Jobs until no further one finds room; the next has failed, or was refused."""
    done: list[str] = []
    while True:
        try:
            # Its log takes some MiB.
            job = calls.create(reference(epochs=200_000, learning_rate=1e-6)).id
        except grpc.RpcError as error:
            # The end of the job before has just found room.
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return done
        end = calls.end(job)
        if not end.HasField("completed"):
            assert end.state_change.state == event_pb2.JOB_STATE_FAILED
            assert "the server's disk is full" in end.state_change.error.message
            return done
        done.append(job)


def accepted(calls: Calls) -> bool:
    """Whether a job is accepted, and trained to its end. The server looks for room every now and then."""
    try:
        return calls.train(reference())[-1].HasField("completed")
    except grpc.RpcError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    with small_disk(tmp_path, 16) as folder:
        yield folder


def test_a_full_disk_hits_only_who_needs_room(disk: Path) -> None:
    """Users would lose finished jobs to one that filled the disk, or not learn why theirs does not go on."""
    with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
        first = calls.train(reference())[0].job
        log = calls.log(first)
        done = fill(calls)
        assert done
        # What is there is served.
        assert calls.log(first) == log
        assert calls.events(done[-1])[-1].HasField("completed")
        assert {first, *done} <= set(calls.jobs())
        # What needs room is refused, with what to do.
        rng = np.random.default_rng(0)
        table = rng.normal(size=(200_000, 16))
        answer = refusal(lambda: calls.create(inline(table, table[:, :1])))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
        assert answer.retry_after_s
        # Room that is made is used.
        for job in done:
            calls.delete(job)
        wait_until(lambda: accepted(calls), "a job that finds room again")
        assert "a fault of the server" not in server.log.read_text()
    with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
        assert calls.log(first) == log
        assert calls.train(reference())[-1].HasField("completed")


def test_a_server_starts_on_a_full_disk_with_a_job_that_was_running(disk: Path) -> None:
    """Nobody could read his jobs, nor delete any to make room, and the job that was running would be lost."""
    with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
        ended = calls.train(reference())[-1].job
        running, waiting = calls.running(quiet()).id, calls.create(reference()).id
        filler = fill_disk(disk)
        server.process.kill()
        server.process.wait()
        fill_disk(disk)
    with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
        assert calls.events(ended)[-1].HasField("completed")
        assert calls.get(running).state == event_pb2.JOB_STATE_QUEUED
        answer = refusal(lambda: calls.create(reference()))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
        calls.delete(ended)
        assert set(calls.jobs()) == {running, waiting}
        # Who only waits has lost nothing.
        assert calls.get(waiting).state == event_pb2.JOB_STATE_QUEUED
        filler.unlink()
        wait_until(lambda: calls.get(running).attempt == 2, "the job that goes on")
        calls.cancel(running)
        assert calls.end(running).state_change.state == event_pb2.JOB_STATE_CANCELLED
        assert calls.end(waiting).HasField("completed")
        assert "a fault of the server" not in server.log.read_text()


def test_a_job_that_a_full_disk_ends_leaves_what_it_has_reached(disk: Path) -> None:
    """A user would lose the model of hours, and those whose jobs wait theirs too."""
    often = "--checkpoint-interval=0.1"
    with running_server(disk / "data", "--workers=1", often) as server, calls_to(server.address) as calls:
        job = calls.create(reference(epochs=10_000_000, learning_rate=1e-9, report_every=20_000)).id
        *_, reached = calls.events_until(job, "checkpoint")
        waiting = [calls.create(reference()).id for _ in range(3)]
        filler = fill_disk(disk)
        change = calls.end(job).state_change
        assert change.state == event_pb2.JOB_STATE_FAILED
        assert change.result_so_far.epochs >= reached.checkpoint.epoch
        answer = refusal(lambda: calls.create(reference()))
        assert answer.reason == "STORAGE_FULL"
        assert {calls.get(other).state for other in waiting} == {event_pb2.JOB_STATE_QUEUED}
        filler.unlink()
        assert all(calls.end(other).HasField("completed") for other in waiting)


def test_verbs_on_a_full_disk(disk: Path) -> None:
    """A user who reads of a fault of the server does not know what to do."""
    with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
        running, waiting = calls.running(quiet()).id, calls.create(reference()).id
        fill_disk(disk)
        assert calls.pause(waiting).state == event_pb2.JOB_STATE_PAUSED
        assert calls.resume(waiting).state == event_pb2.JOB_STATE_QUEUED
        calls.cancel(running)
        assert calls.end(running).state_change.state == event_pb2.JOB_STATE_CANCELLED
        assert calls.cancel(waiting).state == event_pb2.JOB_STATE_CANCELLED
        assert "a fault of the server" not in server.log.read_text()


def quiet() -> spec_pb2.Spec:
    """A job that runs for a minute or more, and says next to nothing."""
    return reference(epochs=10_000_000, learning_rate=1e-9, report_every=10_000_000)
