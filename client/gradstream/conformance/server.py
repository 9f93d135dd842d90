"""A server of one job, whose log is a recording, and whose connections misbehave as a case says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gradstream.conformance.cases import Call, Case
from gradstream.conformance.recording import Recording
from gradstream.conformance.relay import Relay
from gradstream.convert import state_number
from gradstream.v1.event_pb2 import JOB_STATE_RUNNING, Heartbeat, TrainingEvent
from gradstream.v1.job_pb2 import Job
from gradstream.v1.training_service_pb2 import GetJobRequest, TrainRequest, WatchJobRequest

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_ARRIVAL_S = 0.1
"""For what was sent to arrive before a cut: a client may have less all the same."""
_PAUSE_S = 0.02
_RETRY_S = 0.3
_UNKNOWN = b"\xc2\x3e\x00"
"""A field of number 1000 that is an empty message: what a kind of event would be that is yet to come."""


class PlayedJob:
    """`Train`, `WatchJob` and `GetJob` of the one job; other methods are not there."""

    def __init__(self, case: Case, recording: Recording, relay: Relay) -> None:
        self._case = case
        self._calls = iter(case.calls)
        self._relay = relay
        self._events = _events(case, recording)
        self._job = recording.job
        self._state = state_number(recording.state)
        self.request_ids: list[str] = []
        """Those of `Train`, as they came."""

    async def train(self, request: TrainRequest, context: Context) -> AsyncIterator[TrainingEvent]:
        self.request_ids.append(request.request_id)
        async for event in self._play(0, context):
            yield event

    async def watch(self, request: WatchJobRequest, context: Context) -> AsyncIterator[TrainingEvent]:
        await self._check_job(request.job, context)
        if request.after_sequence > len(self._events):
            what = f"after_sequence is {request.after_sequence}, but the log ends with {len(self._events)}"
            await _refuse(context, grpc.StatusCode.OUT_OF_RANGE, what, "SEQUENCE_BEYOND_LOG")
        async for event in self._play(max(0, request.after_sequence - self._case.repeats), context):
            yield event

    async def get(self, request: GetJobRequest, context: Context) -> Job:
        await self._check_job(request.job, context)
        return Job(id=self._job, state=self._state, last_sequence=len(self._events))

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a server serves."""
        stream, unary = grpc.unary_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
        event, job = TrainingEvent.SerializeToString, Job.SerializeToString
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Train": stream(self.train, TrainRequest.FromString, event),
            "WatchJob": stream(self.watch, WatchJobRequest.FromString, event),
            "GetJob": unary(self.get, GetJobRequest.FromString, job),
        }
        return grpc.method_handlers_generic_handler("gradstream.v1.TrainingService", methods)

    async def _play(self, after: int, context: Context) -> AsyncGenerator[TrainingEvent, None]:
        call = next(self._calls, Call(len(self._events), "nothing"))
        events = self._events[after:]
        for event in events[: call.events]:
            async for sent in self._with_heartbeat(event):
                yield sent
        match call.fault:
            case "cut":
                await asyncio.sleep(_ARRIVAL_S)
                self._relay.cut()
                await asyncio.sleep(_ARRIVAL_S)
            case "skip":
                for event in events[call.events + 1 :]:
                    yield event
            case "drain":
                await _refuse(context, grpc.StatusCode.UNAVAILABLE, "the server is stopping", "DRAINING")
            case "unavailable":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "upstream connect error")
            case "busy":
                retry = error_details_pb2.RetryInfo(retry_delay=Duration())
                retry.retry_delay.FromMicroseconds(int(_RETRY_S * 1e6))
                what = f"as many streams are open as may be; try again in {_RETRY_S} s"
                await _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, what, "TOO_MANY_WATCHES", retry)

    async def _with_heartbeat(self, event: TrainingEvent) -> AsyncGenerator[TrainingEvent, None]:
        if self._case.heartbeats:
            await asyncio.sleep(_PAUSE_S)
            beat = Heartbeat(state=JOB_STATE_RUNNING)
            yield TrainingEvent(job=self._job, sequence=event.sequence - 1, heartbeat=beat)
        yield event

    async def _check_job(self, job: str, context: Context) -> None:
        if job != self._job:
            what = f"there is no job {job!r}; this server has {self._job}"
            await _refuse(context, grpc.StatusCode.NOT_FOUND, what, "JOB_NOT_FOUND")


@asynccontextmanager
async def playing(case: Case, recording: Recording, port: int = 0) -> AsyncIterator[tuple[str, PlayedJob]]:
    """Play a case on a port of this machine, 0 for any, until the block ends: where, and what is played.

    Raises:
        OSError: the port is in use.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    inner = server.add_insecure_port("127.0.0.1:0")
    async with Relay(inner) as relay:
        job = PlayedJob(case, recording, relay)
        server.add_generic_rpc_handlers((job.handlers(),))
        await server.start()
        try:
            yield f"127.0.0.1:{await relay.listen(port)}", job
        finally:
            await server.stop(None)


def _events(case: Case, recording: Recording) -> Sequence[TrainingEvent]:
    """The log as the case has it."""
    events = list(recording.events)
    if case.unknown_event:
        before = events[case.unknown_event - 2]
        unknown = TrainingEvent(job=before.job, attempt=before.attempt, time=before.time)
        unknown.MergeFromString(_UNKNOWN)
        events.insert(case.unknown_event - 1, unknown)
    numbered = []
    for sequence, event in enumerate(events, 1):
        numbered.append(TrainingEvent())
        numbered[-1].CopyFrom(event)
        numbered[-1].sequence = sequence
    return numbered


async def _refuse(
    context: Context, code: grpc.StatusCode, message: str, reason: str, *details: Message
) -> NoReturn:
    """End a call with a status as the server would."""
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain="gradstream"), *details):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("it has ended")
