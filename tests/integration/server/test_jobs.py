"""Jobs: listed, found, cancelled, and checked without being made."""

import uuid

import grpc
import numpy as np
import pytest
from tests.integration.server.calls import (
    ENDED,
    TIMEOUT_S,
    Calls,
    endless,
    inline,
    reference,
    refusal,
    tensor,
)
from tests.server import RunningServer

from gradstream.v1 import event_pb2, spec_pb2, training_service_pb2

CANCELLED, CANCELLING = event_pb2.JOB_STATE_CANCELLED, event_pb2.JOB_STATE_CANCELLING


def page(calls: Calls, size: int, token: str = "", *states: int) -> training_service_pb2.ListJobsResponse:
    request = training_service_pb2.ListJobsRequest(page_size=size, page_token=token, states=states)
    return calls.training.ListJobs(request)


def test_pages_of_jobs_lead_from_the_newest_to_the_oldest(calls: Calls) -> None:
    """A user would see a job twice or never, because others start jobs meanwhile."""
    made = [calls.train(reference(epochs=1))[0].job for _ in range(5)]
    before = calls.jobs()
    assert before[:5] == made[::-1]
    seen: list[str] = []
    token = ""
    while True:
        some = page(calls, 2, token)
        seen += [job.id for job in some.jobs]
        token = some.next_page_token
        if not token:
            break
        assert len(some.jobs) == 2
        calls.train(reference(epochs=1))
        if len(seen) >= 8:
            break  # The shared server may have many.
    assert seen == before[: len(seen)]
    assert len(page(calls, 0).jobs) == min(50, len(calls.jobs()))


def test_jobs_of_some_states(calls: Calls) -> None:
    """A user who looks for what failed would page through all there ever was."""
    failed = calls.train(reference(learning_rate=100))[0].job
    calls.train(reference())
    found = page(calls, 1000, "", event_pb2.JOB_STATE_FAILED).jobs
    assert found[0].id == failed
    assert {job.state for job in found} == {event_pb2.JOB_STATE_FAILED}


def test_jobs_of_a_group(calls: Calls) -> None:
    """A user would not find the runs that he has started together."""
    create = training_service_pb2.CreateJobRequest(spec=reference(), group="of-the-test")
    created = calls.training.CreateJob(create, timeout=TIMEOUT_S)
    train = training_service_pb2.TrainRequest(spec=reference(), group="of-the-test")
    events = list(calls.training.Train(train, timeout=TIMEOUT_S))
    trained = events[0].job
    calls.train(reference())
    request = training_service_pb2.ListJobsRequest(group="of-the-test")
    found = calls.training.ListJobs(request, timeout=TIMEOUT_S).jobs
    assert [job.id for job in found] == [trained, created.id]
    assert {created.group, calls.get(trained).group, found[0].group} == {"of-the-test"}


def test_a_listed_job_is_the_job(calls: Calls) -> None:
    """A list would tell something else than the job itself, but for what may be large."""
    job = calls.get(calls.train(reference())[0].job)
    (listed,) = page(calls, 1).jobs
    assert job.spec.HasField("predict_rows")
    job.spec.ClearField("predict_rows")
    assert listed == job


def test_a_request_that_is_repeated_is_the_same_job(calls: Calls) -> None:
    """A client that repeats after a broken connection would start a second training."""
    request_id = str(uuid.uuid4())
    request = training_service_pb2.TrainRequest(spec=reference(), request_id=request_id)
    first = list(calls.training.Train(request))
    assert list(calls.training.Train(request)) == first
    assert calls.create(reference(), request_id) == calls.get(first[0].job)


def test_what_is_not_there(calls: Calls) -> None:
    """A user who mistypes an id would get a fault of the server."""
    for job in ("nope", "x" * 100_000, "🙂" * 5000, "\0"):
        for call in (calls.get, calls.cancel, calls.watch):
            answer = refusal(lambda call=call, job=job: call(job))
            assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")


def test_a_running_job_is_cancelled_and_keeps_its_curve(calls: Calls) -> None:
    """A user could not stop a job, or would lose what it has learnt."""
    job = calls.running(endless())
    assert calls.cancel(job.id).state in (CANCELLING, CANCELLED)
    assert calls.end(job.id).state_change.state == CANCELLED
    ended = calls.get(job.id)
    assert (ended.state, ended.epochs_done >= 1) == (CANCELLED, True)
    assert calls.cancel(job.id) == ended


def test_an_ended_job_cannot_be_cancelled(calls: Calls) -> None:
    """A user would believe to have stopped what had ended."""
    job = calls.train(reference())[0].job
    answer = refusal(lambda: calls.cancel(job))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_ALREADY_ENDED")


def test_many_are_cancelled_wherever_they_are(calls: Calls) -> None:
    """A cancel at the wrong moment would be lost, or be a fault of the server."""
    jobs = [calls.create(endless()) for _ in range(8)]
    asked = [calls.cancel(job.id) for job in reversed(jobs)]
    assert {job.state for job in asked} <= {CANCELLING, CANCELLED}
    assert {calls.end(job.id).state_change.state for job in jobs} == {CANCELLED}


def test_checking_a_spec_keeps_nothing(server: RunningServer, calls: Calls) -> None:
    """A user who only asks would start a job."""
    jobs, files = calls.jobs(), set((server.data_dir / "data").iterdir())
    spec = inline(np.zeros((9, 2)), np.zeros(9), epochs=7)
    answer = calls.training.ValidateSpec(training_service_pb2.ValidateSpecRequest(spec=spec))
    assert answer.resolved_spec.epochs == 7
    assert answer.resolved_spec.batch_size == 9
    assert answer.estimated_memory_bytes > 0
    assert answer.estimated_duration.ToNanoseconds() > 0
    assert calls.jobs() == jobs
    assert set((server.data_dir / "data").iterdir()) == files


def test_a_resolved_spec_trains_the_same_again(calls: Calls) -> None:
    """A user could not repeat a training from what the server has told."""
    features, targets = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30.0)
    spec = inline(features, targets, "module", batch_size=7, epochs=5, standardize=True)
    first = calls.train(spec)
    again = spec_pb2.Spec()
    again.CopyFrom(first[2].started.resolved_spec)
    again.inline_data.features.data = tensor(features).data
    again.inline_data.targets.data = tensor(targets).data
    second = calls.train(again)
    assert second[-1].completed.receipt == first[-1].completed.receipt
    assert second[2].started == first[2].started


def test_a_device_that_is_not_here_names_those_that_are(calls: Calls) -> None:
    """A user would train somewhere else without a word."""
    spec = reference()
    spec.device = "cuda:99"
    answer = refusal(lambda: calls.create(spec))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_NOT_AVAILABLE")
    assert "cuda:99" in answer.message
    assert "cpu" in answer.message
    assert answer.fields == ("spec.device",)


@pytest.mark.parametrize("reduction", [1, 2])
def test_three_trainers_agree_through_the_service(calls: Calls, reduction: int) -> None:
    """A user who switches the trainer would get another model."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 3))
    targets = features @ generator.normal(size=(3, 2)) + 1
    curves, models = [], []
    for trainer in ("manual", "autograd", "module"):
        parameters = [spec_pb2.Parameter(name=name, value=tensor(0.25)) for name in ("weight", "bias")]
        spec = inline(features, targets, trainer, epochs=50, batch_size=16, l2=0.1, learning_rate=0.001)
        spec.gradient_reduction = reduction
        spec.initial_parameters.extend(parameters)
        events = calls.train(spec)
        curves.append([loss for event in events for loss in event.epoch_updates.losses])
        models.append([np.frombuffer(p.value.data) for p in events[-1].completed.parameters])
    for curve, model in zip(curves[1:], models[1:], strict=True):
        np.testing.assert_allclose(curve, curves[0], rtol=1e-12)
        for ours, theirs in zip(model, models[0], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_all_jobs_end(calls: Calls) -> None:
    """A job that nobody runs any more would be RUNNING for ever."""
    jobs = calls.jobs()
    for job in jobs:
        calls.end(job)
    assert {calls.get(job).state for job in jobs} <= set(ENDED)
