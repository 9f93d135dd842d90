"""A client as anybody would generate it from the contract: plain stubs, and what to read errors with."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

from gradstream.v1 import (
    dataset_service_pb2_grpc,
    event_pb2,
    job_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    spec_pb2,
    system_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)

_TRAINING = "/gradstream.v1.TrainingService/"
TIMEOUT_S = 60
ENDED = (event_pb2.JOB_STATE_SUCCEEDED, event_pb2.JOB_STATE_FAILED, event_pb2.JOB_STATE_CANCELLED)


@dataclass(frozen=True)
class Refusal:
    """What a refused call says."""

    code: grpc.StatusCode
    reason: str
    message: str
    fields: tuple[str, ...]
    retry_after_s: float | None


class Calls:
    """The services of a server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.training = training_service_pb2_grpc.TrainingServiceStub(channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.system = system_service_pb2_grpc.SystemServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)

    def create(self, spec: spec_pb2.Spec, request_id: str = "") -> job_pb2.Job:
        request = training_service_pb2.CreateJobRequest(spec=spec, request_id=request_id)
        return self.training.CreateJob(request, timeout=TIMEOUT_S)

    def train(self, spec: spec_pb2.Spec) -> list[event_pb2.TrainingEvent]:
        return list(self.training.Train(training_service_pb2.TrainRequest(spec=spec), timeout=TIMEOUT_S))

    def get(self, job: str) -> job_pb2.Job:
        return self.training.GetJob(training_service_pb2.GetJobRequest(job=job), timeout=TIMEOUT_S)

    def cancel(self, job: str) -> job_pb2.Job:
        return self.training.CancelJob(training_service_pb2.CancelJobRequest(job=job), timeout=TIMEOUT_S)

    def pause(self, job: str) -> job_pb2.Job:
        return self.training.PauseJob(training_service_pb2.PauseJobRequest(job=job), timeout=TIMEOUT_S)

    def resume(self, job: str) -> job_pb2.Job:
        return self.training.ResumeJob(training_service_pb2.ResumeJobRequest(job=job), timeout=TIMEOUT_S)

    def delete(self, job: str) -> None:
        self.training.DeleteJob(training_service_pb2.DeleteJobRequest(job=job), timeout=TIMEOUT_S)

    def watch(self, job: str, after: int = 0) -> Any:
        request = training_service_pb2.WatchJobRequest(job=job, after_sequence=after)
        return self.training.WatchJob(request, timeout=TIMEOUT_S)

    def log(self, job: str, after: int = 0) -> list[bytes]:
        """The events of a job to its end, as the bytes that travel."""
        call = self.raw_stream("WatchJob")
        request = training_service_pb2.WatchJobRequest(job=job, after_sequence=after)
        return list(call(request.SerializeToString(), timeout=TIMEOUT_S))

    def events(self, job: str) -> list[event_pb2.TrainingEvent]:
        """The events of a job to its end."""
        return [event_pb2.TrainingEvent.FromString(body) for body in self.log(job)]

    def events_until(self, job: str, kind: str) -> Iterator[event_pb2.TrainingEvent]:
        """The events of a job up to the first of a kind."""
        for event in (stream := self.watch(job)):
            yield event
            if event.WhichOneof("event") == kind:
                stream.cancel()
                return

    def end(self, job: str) -> event_pb2.TrainingEvent:
        """The last event of a job, once it has ended."""
        return event_pb2.TrainingEvent.FromString(self.log(job)[-1])

    def jobs(self) -> list[str]:
        """The ids of all jobs, newest first."""
        found: list[str] = []
        token = ""
        while True:
            request = training_service_pb2.ListJobsRequest(page_size=1000, page_token=token)
            page = self.training.ListJobs(request, timeout=TIMEOUT_S)
            found += [job.id for job in page.jobs]
            token = page.next_page_token
            if not token:
                return found

    def train_model(self, name: str, spec: spec_pb2.Spec) -> event_pb2.Completed:
        """Train a model of a name to its end."""
        request = training_service_pb2.TrainRequest(spec=spec, model_name=name)
        *_, end = self.training.Train(request, timeout=TIMEOUT_S)
        assert end.HasField("completed"), end
        return end.completed

    def download(self, name: str, version: int = 0, **asked: Any) -> bytes:
        """A model as a file, which is what it was said to be."""
        request = model_service_pb2.DownloadModelRequest(name=name, version=version, **asked)
        first, *parts = self.models.DownloadModel(request, timeout=TIMEOUT_S)
        content = b"".join(part.chunk for part in parts)
        assert all(0 < len(part.chunk) <= 1 << 20 for part in parts)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            first.file.size_bytes,
            first.file.digest,
        )
        return content

    def raw(self, method: str) -> Callable[..., bytes]:
        """A unary method that takes and gives bytes."""
        return self.channel.unary_unary(_TRAINING + method)

    def raw_stream(self, method: str) -> Callable[..., Iterator[bytes]]:
        """A streaming method that takes and gives bytes."""
        return self.channel.unary_stream(_TRAINING + method)

    def running(self, spec: spec_pb2.Spec) -> job_pb2.Job:
        """A job that has told its first epoch."""
        job = self.create(spec)
        *_, last = self.events_until(job.id, "epoch_updates")
        assert last.HasField("epoch_updates"), f"it has ended before its first epoch: {self.get(job.id)}"
        return self.get(job.id)


@contextmanager
def calls_to(address: str) -> Iterator[Calls]:
    """The services at an address."""
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        yield Calls(channel)


def refusal(call: Callable[[], Any]) -> Refusal:
    """What a call that has to be refused says."""

    def answer() -> None:
        result = call()
        if isinstance(result, Iterator):
            list(result)

    with pytest.raises(grpc.RpcError) as raised:
        answer()
    status = rpc_status.from_call(raised.value)
    code, message = raised.value.code(), raised.value.details()
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    delay = None
    for detail in status.details if status else []:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    assert not status or info.domain == "gradstream"
    return Refusal(code, info.reason, message, tuple(v.field for v in bad.field_violations), delay)


def reference(trainer: str = "manual", **fields: Any) -> spec_pb2.Spec:
    """The reference experiment of a trainer."""
    return spec_pb2.Spec(trainer=trainer, device="cpu", **fields)


def endless() -> spec_pb2.Spec:
    """A job that runs for a minute or more, in epochs of microseconds."""
    return reference(epochs=10_000_000, report_every=1_000_000)


def curve(events: list[event_pb2.TrainingEvent]) -> list[tuple[int, float]]:
    """Epochs and losses, as they were told."""
    updates = [event.epoch_updates for event in events]
    return [pair for some in updates for pair in zip(some.epochs, some.losses, strict=True)]


def tensor(values: Any, dtype: str = "float64") -> spec_pb2.Tensor:
    """Numbers as they travel."""
    array = np.asarray(values, dtype)
    kind = {"float32": spec_pb2.DTYPE_FLOAT32, "float64": spec_pb2.DTYPE_FLOAT64}[dtype]
    return spec_pb2.Tensor(dtype=kind, shape=array.shape, data=array.tobytes())


def inline(features: Any, targets: Any, trainer: str = "manual", **fields: Any) -> spec_pb2.Spec:
    """A spec with data."""
    data = spec_pb2.InlineData(features=tensor(features), targets=tensor(targets))
    return reference(trainer, inline_data=data, **fields)
