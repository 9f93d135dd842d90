"""Limits: what is over them is refused, with what is allowed or when to try again."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tests.integration.server.calls import Calls, calls_to, endless, inline, reference, refusal
from tests.processes import wait_until
from tests.server import running_server

from gradstream.v1 import event_pb2, system_service_pb2, training_service_pb2

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
LIMITS = {"workers": 1, "max-queued-jobs": 2, "max-watches": 2, "max-data-bytes": 4096}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """A server with low limits."""
    options = [f"--{name}={value}" for name, value in LIMITS.items()]
    folder = tmp_path_factory.mktemp("narrow") / "data"
    with running_server(folder, *options) as server, calls_to(server.address) as calls:
        yield calls


def info(calls: Calls) -> system_service_pb2.ServerInfo:
    return calls.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())


def test_the_server_tells_its_limits(narrow: Calls) -> None:
    """A client could not keep within limits it does not know."""
    told = info(narrow)
    assert (told.workers, told.running_jobs, told.queued_jobs) == (1, 0, 0)
    limits = told.limits
    assert (limits.max_queued_jobs, limits.max_watches, limits.max_data_bytes) == (2, 2, 4096)
    assert limits.max_epochs == 10_000_000
    assert limits.max_message_bytes > limits.max_data_bytes + limits.max_predict_bytes
    assert [device.name for device in told.devices][-1] == "cpu"
    assert [trainer.name for trainer in told.trainers] == ["manual", "autograd", "module"]


def test_a_full_queue_says_when_to_try_again(narrow: Calls) -> None:
    """A client would hammer a busy server, or a refused job would run all the same."""
    running = narrow.running(endless())
    waiting = [narrow.create(endless()) for _ in range(2)]
    assert [narrow.get(job.id).jobs_ahead for job in waiting] == [0, 1]
    before = narrow.jobs()
    for answer in (
        refusal(lambda: narrow.create(reference())),
        refusal(lambda: narrow.training.Train(training_service_pb2.TrainRequest(spec=reference()))),
    ):
        assert (answer.code, answer.reason) == (EXHAUSTED, "QUEUE_FULL")
        assert answer.retry_after_s
    assert narrow.jobs() == before
    assert (info(narrow).running_jobs, info(narrow).queued_jobs) == (1, 2)
    assert narrow.cancel(waiting[0].id).state == event_pb2.JOB_STATE_CANCELLED
    assert narrow.get(waiting[1].id).jobs_ahead == 0
    last = narrow.create(reference())
    for job in (waiting[1], running):
        narrow.cancel(job.id)
    assert narrow.end(last.id).HasField("completed")


def test_too_many_watches_and_room_again_when_one_leaves(narrow: Calls) -> None:
    """Streams of clients that are gone would be counted for ever, until nobody can watch any more."""
    job = narrow.running(endless())
    for _ in range(3):
        streams: list[Any] = []
        wait_until(lambda streams=streams: _opened(narrow, job.id, streams), "room for two streams")
        for call in (
            lambda: narrow.watch(job.id),
            lambda: narrow.training.Train(training_service_pb2.TrainRequest(spec=reference())),
        ):
            answer = refusal(call)
            assert (answer.code, answer.reason) == (EXHAUSTED, "TOO_MANY_WATCHES")
            assert answer.retry_after_s
        assert narrow.jobs()[0] == job.id  # Other calls go on, and nothing of what was refused is kept.
        for stream in streams:
            stream.cancel()
    for stream in streams:
        stream.cancel()
    narrow.cancel(job.id)
    wait_until(lambda: narrow.get(job.id).state == event_pb2.JOB_STATE_CANCELLED, "the end of the job")


def _opened(calls: Calls, job: str, streams: list[Any]) -> bool:
    """Try to have two streams open; those that are stay open."""
    stream = calls.watch(job)
    try:
        next(stream)
    except grpc.RpcError as error:
        if error.code() is not EXHAUSTED:
            raise
    else:
        streams.append(stream)
    return len(streams) == 2


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (inline(np.zeros((171, 2)), np.zeros(171)), "spec.inline_data"),
        (reference(epochs=10_000_001), "spec.epochs"),
    ],
)
def test_more_than_may_be_asked_for(narrow: Calls, spec: Any, field: str) -> None:
    """One user could fill the server."""
    answer = refusal(lambda: narrow.create(spec))
    assert (answer.code, answer.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


def test_a_message_over_the_size_limit_and_one_just_within(narrow: Calls) -> None:
    """A huge message would fill the server's memory, or a user could not send what is allowed."""
    size = info(narrow).limits.max_message_bytes
    answer = refusal(lambda: narrow.raw("CreateJob")(bytes(size + 1)))
    assert answer.code is EXHAUSTED
    assert refusal(lambda: narrow.raw("CreateJob")(bytes(size))).code is grpc.StatusCode.INVALID_ARGUMENT
    data = inline(np.zeros((170, 2)), np.zeros(170), epochs=1)
    assert narrow.train(data)[-1].HasField("completed")
