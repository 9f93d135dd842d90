"""A full disk: who is hit is told, what is there stays, and room that is made is used."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.disk import small_disk
from tests.integration.server.calls import Calls, calls_to, inline, reference, refusal
from tests.processes import wait_until
from tests.server import running_server

from gradstream.v1 import event_pb2


def fill(calls: Calls) -> list[str]:
    """Jobs until no further one finds room; the last of them has failed, or was refused."""
    done: list[str] = []
    while True:
        # Its log takes some MiB.
        job = calls.create(reference(epochs=200_000, learning_rate=1e-6)).id
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
        assert len(calls.jobs()) == len(done) + 2
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
