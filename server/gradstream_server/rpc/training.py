"""The training service: its methods convert, call the job service, and convert."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.duration_pb2 import Duration

from gradstream.v1 import event_pb2, job_pb2, training_service_pb2, training_service_pb2_grpc
from gradstream_server.jobs.errors import InvalidRequest, InvalidSpec, TooManyWatches, Violation
from gradstream_server.jobs.gradient_check import GradientChecks
from gradstream_server.jobs.service import JobService
from gradstream_server.jobs.spec import SpecRequest
from gradstream_server.rpc import gradients, jobs, pages, specs
from gradstream_server.rpc.access import about, caller, done

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class TrainingServicer(training_service_pb2_grpc.TrainingServiceServicer):
    """gradstream.v1.TrainingService. Streams yield events as the bytes they are kept as; see `guard.py`."""

    def __init__(self, service: JobService, gradients: GradientChecks, heartbeat_s: float) -> None:
        """
        Args:
            heartbeat_s: how long a stream may be idle before it carries a heartbeat.
        """
        self._service = service
        self._gradients = gradients
        self._heartbeat_s = heartbeat_s
        self._watches = 0

    async def Train(
        self, request: training_service_pb2.TrainRequest, context: Context
    ) -> AsyncIterator[event_pb2.TrainingEvent]:
        with self._one_watch():
            job = await self._service.create(
                _spec(request),
                request.request_id,
                request.priority,
                request.cancel_on_disconnect,
                request.group,
                request.model_name,
                caller(),
            )
            done(job.id)
            async for event in self._watch(job.id, 0):
                yield event

    async def WatchJob(
        self, request: training_service_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[event_pb2.TrainingEvent]:
        if request.after_sequence < 0:
            what = f"is {request.after_sequence}; it has to be at least 0"
            raise InvalidRequest([Violation("after_sequence", what)])
        with self._one_watch():
            async for event in self._watch(_job(request), request.after_sequence):
                yield event

    async def CreateJob(
        self, request: training_service_pb2.CreateJobRequest, context: Context
    ) -> job_pb2.Job:
        job = await self._service.create(
            _spec(request),
            request.request_id,
            request.priority,
            group=request.group,
            model_name=request.model_name,
            caller=caller(),
        )
        about(job.id)
        return jobs.to_message(job, self._service.jobs_ahead(job))

    async def GetJob(self, request: training_service_pb2.GetJobRequest, context: Context) -> job_pb2.Job:
        job = await self._service.get(_job(request), caller())
        return jobs.to_message(job, self._service.jobs_ahead(job))

    async def ListJobs(
        self, request: training_service_pb2.ListJobsRequest, context: Context
    ) -> training_service_pb2.ListJobsResponse:
        page, cursor = await self._service.page(
            jobs.states(request.states),
            pages.cursor(request.page_token),
            pages.size(request.page_size),
            request.group,
            caller(),
        )
        return training_service_pb2.ListJobsResponse(
            jobs=[jobs.to_listed(job, self._service.jobs_ahead(job)) for job in page],
            next_page_token=pages.token(cursor),
        )

    async def CancelJob(
        self, request: training_service_pb2.CancelJobRequest, context: Context
    ) -> job_pb2.Job:
        return jobs.to_message(await self._service.cancel(_job(request), caller=caller()))

    async def PauseJob(self, request: training_service_pb2.PauseJobRequest, context: Context) -> job_pb2.Job:
        return jobs.to_message(await self._service.pause(_job(request), caller()))

    async def ResumeJob(
        self, request: training_service_pb2.ResumeJobRequest, context: Context
    ) -> job_pb2.Job:
        job = await self._service.resume(_job(request), caller())
        return jobs.to_message(job, self._service.jobs_ahead(job))

    async def DeleteJob(
        self, request: training_service_pb2.DeleteJobRequest, context: Context
    ) -> training_service_pb2.DeleteJobResponse:
        await self._service.delete(_job(request), caller())
        return training_service_pb2.DeleteJobResponse()

    async def ValidateSpec(
        self, request: training_service_pb2.ValidateSpecRequest, context: Context
    ) -> training_service_pb2.ValidateSpecResponse:
        spec, estimate = await self._service.validate(_spec(request), caller())
        duration = Duration()
        duration.FromMicroseconds(round(estimate.duration_s * 1e6))
        return training_service_pb2.ValidateSpecResponse(
            resolved_spec=specs.to_message(spec),
            estimated_memory_bytes=estimate.memory_bytes,
            estimated_duration=duration,
        )

    async def CheckGradients(
        self, request: training_service_pb2.CheckGradientsRequest, context: Context
    ) -> training_service_pb2.CheckGradientsResponse:
        return gradients.to_message(await self._gradients.check(_spec(request), caller()))

    @contextmanager
    def _one_watch(self) -> Iterator[None]:
        if self._watches >= self._service.limits.max_watches:
            raise TooManyWatches(self._service.limits.max_watches, retry_after_s=5)
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1

    async def _watch(self, job: str, after: int) -> AsyncIterator[event_pb2.TrainingEvent]:
        async for records in self._service.watch(job, after, self._heartbeat_s, caller()):
            for record in records:
                # Encoded already; the guard sends bytes as they are.
                yield cast(event_pb2.TrainingEvent, record.body)
            if not records:
                now = await self._service.get(job, caller())
                heartbeat = jobs.to_heartbeat(now, self._service.jobs_ahead(now))
                yield cast(event_pb2.TrainingEvent, heartbeat.SerializeToString())


def _spec(
    request: training_service_pb2.TrainRequest
    | training_service_pb2.CreateJobRequest
    | training_service_pb2.ValidateSpecRequest
    | training_service_pb2.CheckGradientsRequest,
) -> SpecRequest:
    if not request.HasField("spec"):
        raise InvalidSpec([Violation("spec", "is missing; it has to say at least the trainer")])
    return specs.to_request(request.spec)


def _job(
    request: training_service_pb2.GetJobRequest
    | training_service_pb2.WatchJobRequest
    | training_service_pb2.CancelJobRequest
    | training_service_pb2.PauseJobRequest
    | training_service_pb2.ResumeJobRequest
    | training_service_pb2.DeleteJobRequest,
) -> str:
    if not request.job:
        raise InvalidRequest([Violation("job", "is missing; it has to be the id of a job")])
    about(request.job)
    return request.job
