"""Bad input: each gives one clear error that names the field, the server goes on, nothing is half-kept."""

import math
import uuid
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.server.calls import TIMEOUT_S, Calls, inline, reference, refusal, tensor
from tests.server import RunningServer

from gradstream.v1 import spec_pb2, training_service_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
X, Y = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]]


def kept(server: RunningServer, calls: Calls) -> tuple[list[str], set[Path]]:
    """What a server has kept: its jobs, and its files of data."""
    return calls.jobs(), set((server.data_dir / "data").iterdir())


def short(spec: spec_pb2.Spec) -> spec_pb2.Spec:
    spec.inline_data.features.data = spec.inline_data.features.data[:-1]
    return spec


BAD = [
    (reference(trainer=""), "spec.trainer"),
    (reference(trainer="x" * 100_000), "spec.trainer"),
    (inline(np.zeros((0, 2)), np.zeros((0, 1))), "spec.inline_data.features.shape"),
    (inline(np.zeros((2, 0)), Y), "spec.inline_data.features.shape"),
    (inline(X, [[1.0]]), "spec.inline_data.targets.shape"),
    (inline(X, [1.0, 2.0, 3.0]), "spec.inline_data.targets.shape"),
    (inline([[1.0, math.nan], [3.0, 4.0]], Y), "spec.inline_data.features.data"),
    (inline(X, [[math.inf], [2.0]]), "spec.inline_data.targets.data"),
    (short(inline(X, Y)), "spec.inline_data.features.data"),
    (reference(inline_data=spec_pb2.InlineData()), "spec.inline_data.features.dtype"),
    (reference(epochs=0), "spec.epochs"),
    (reference(epochs=-1), "spec.epochs"),
    (reference(epochs=10_000_001), "spec.epochs"),
    (reference(learning_rate=0), "spec.learning_rate"),
    (reference(learning_rate=-0.1), "spec.learning_rate"),
    (reference(learning_rate=math.nan), "spec.learning_rate"),
    (reference(learning_rate=1e300), "spec.learning_rate"),
    (reference(batch_size=0), "spec.batch_size"),
    (reference(batch_size=-1), "spec.batch_size"),
    (reference(l2=-1), "spec.l2"),
    (reference(seed=-1), "spec.seed"),
    (reference(report_every=0), "spec.report_every"),
    (reference(gradient_reduction=9), "spec.gradient_reduction"),
    (reference(dtype=9), "spec.dtype"),
    (inline(X, Y, predict_rows=tensor([[1.0]])), "spec.predict_rows.shape"),
    (reference(predict_rows=tensor([[1.0, 2.0]])), "spec.predict_rows.shape"),
    (reference(predict_rows=tensor([[math.nan]])), "spec.predict_rows.data"),
    (reference(predict_rows=spec_pb2.Tensor(dtype=2, shape=[2**62, 0])), "spec.predict_rows.shape"),
    (reference(predict_rows=tensor(np.zeros((131_073, 1)))), "spec.predict_rows"),
    (
        reference(initial_parameters=[spec_pb2.Parameter(name="w", value=tensor(0.0))]),
        "spec.initial_parameters[0].name",
    ),
]


@pytest.mark.parametrize(("spec", "field"), BAD, ids=[f"{field}-{i}" for i, (_, field) in enumerate(BAD)])
def test_a_spec_that_cannot_be_trained(
    server: RunningServer, calls: Calls, spec: spec_pb2.Spec, field: str
) -> None:
    """A user would not learn which field is wrong; or the server would keep what it has refused."""
    before = kept(server, calls)
    request = training_service_pb2.TrainRequest(spec=spec)
    answers = [
        refusal(lambda: calls.create(spec)),
        refusal(lambda: calls.training.Train(request, timeout=TIMEOUT_S)),
        refusal(lambda: calls.training.ValidateSpec(training_service_pb2.ValidateSpecRequest(spec=spec))),
    ]
    for answer in answers:
        assert (answer.code, answer.reason, answer.fields[0]) == (INVALID, "INVALID_SPEC", field)
        assert field in answer.message
    assert kept(server, calls) == before


def test_several_mistakes_are_told_at_once(calls: Calls) -> None:
    """A user would correct one field a call."""
    answer = refusal(lambda: calls.create(reference(epochs=0, learning_rate=0, batch_size=0)))
    assert set(answer.fields) == {"spec.epochs", "spec.learning_rate", "spec.batch_size"}
    parameters = [spec_pb2.Parameter(name=f"p{i}", value=tensor(0.0)) for i in range(5000)]
    assert refusal(lambda: calls.create(reference(initial_parameters=parameters))).code is INVALID


def create_job(**fields: Any) -> training_service_pb2.CreateJobRequest:
    return training_service_pb2.CreateJobRequest(spec=reference(), **fields)


def test_requests_without_what_they_need(calls: Calls) -> None:
    """A client that forgets a field would be told of something else."""
    training = calls.training
    cases: list[tuple[Any, str]] = [
        (lambda: training.CreateJob(training_service_pb2.CreateJobRequest()), "spec"),
        (lambda: training.Train(training_service_pb2.TrainRequest()), "spec"),
        (lambda: training.ValidateSpec(training_service_pb2.ValidateSpecRequest()), "spec"),
        (lambda: calls.get(""), "job"),
        (lambda: calls.cancel(""), "job"),
        (lambda: calls.watch(""), "job"),
        (lambda: calls.watch("a", after=-1), "after_sequence"),
        (lambda: calls.create(reference(), request_id="17"), "request_id"),
        (lambda: training.ListJobs(training_service_pb2.ListJobsRequest(page_size=-1)), "page_size"),
        (lambda: training.ListJobs(training_service_pb2.ListJobsRequest(page_size=1001)), "page_size"),
        (
            lambda: training.ListJobs(training_service_pb2.ListJobsRequest(page_token="x" * 9999)),
            "page_token",
        ),
        (lambda: training.ListJobs(training_service_pb2.ListJobsRequest(states=[2, 0])), "states[1]"),
        (lambda: training.ListJobs(training_service_pb2.ListJobsRequest(states=[99])), "states[0]"),
        (lambda: training.ListJobs(training_service_pb2.ListJobsRequest(group="a b")), "group"),
        (lambda: training.CreateJob(create_job(group="x" * 65)), "group"),
        (lambda: training.Train(training_service_pb2.TrainRequest(spec=reference(), group="ü")), "group"),
    ]
    for call, field in cases:
        answer = refusal(call)
        assert (answer.code, answer.fields) == (INVALID, (field,)), answer


def test_a_request_id_used_again_with_another_payload(server: RunningServer, calls: Calls) -> None:
    """A user would get the result of another training; or the data refused would stay behind."""
    request_id = str(uuid.uuid4())
    job = calls.create(inline(X, Y), request_id)
    before = kept(server, calls)
    for other in (inline(X, [[1.0], [3.0]]), reference()):
        answer = refusal(lambda other=other: calls.create(other, request_id))
        assert (answer.code, answer.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
        assert job.id in answer.message
    assert calls.create(inline(X, Y), request_id).id == job.id
    assert kept(server, calls) == before


METHODS = ["Train", "CreateJob", "GetJob", "ListJobs", "WatchJob", "CancelJob", "ValidateSpec"]
# A field of a message, by number, as it is encoded; what is in it is anything.
FIELDS = st.tuples(st.integers(1, 20), st.binary(max_size=40)).map(
    lambda field: bytes([field[0] << 3 & 0x7F | 2, len(field[1])]) + field[1]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(METHODS), message=st.binary(max_size=60) | st.lists(FIELDS).map(b"".join))
def test_random_bytes_for_a_message(calls: Calls, method: str, message: bytes) -> None:
    """A broken client would be told that the server is at fault, or would break it for others."""
    _send(calls, method, message)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_one_wrong_byte_in_a_good_message(calls: Calls, at: int, value: int) -> None:
    """A message that was damaged would be a fault of the server."""
    message = bytearray(
        training_service_pb2.ValidateSpecRequest(
            spec=inline(X, Y, epochs=3, predict_rows=tensor(X))
        ).SerializeToString()
    )
    message[at % len(message)] = value
    _send(calls, "ValidateSpec", bytes(message))


def _send(calls: Calls, method: str, message: bytes) -> None:
    allowed = {INVALID, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OK}
    code = grpc.StatusCode.OK
    try:
        if method in ("Train", "WatchJob"):
            list(calls.raw_stream(method)(message, timeout=TIMEOUT_S))
        else:
            calls.raw(method)(message, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        code = error.code()
    assert code in allowed


def test_the_server_has_gone_on(server: RunningServer, calls: Calls) -> None:
    """After all this bad input a user's good input would not be served, or the log would hold faults."""
    assert calls.train(reference())[-1].HasField("completed")
    assert server.process.poll() is None
    assert "a fault of the server" not in server.log.read_text()
