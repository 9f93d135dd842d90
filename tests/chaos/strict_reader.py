"""A log read with the plain stubs, which neither mend nor hide anything."""

import threading
from collections.abc import Iterator

import grpc

from gradstream import Event, GradstreamError, NotFoundError
from gradstream.convert import event_of, job_of
from gradstream.events import Completed, StateChange
from gradstream.status import error_of_call
from gradstream.v1.training_service_pb2 import GetJobRequest, WatchJobRequest
from gradstream.v1.training_service_pb2_grpc import TrainingServiceStub

_PAUSE_S = 0.05
# What a cut connection is turned into, and a server that is stopping says.
_BROKEN = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED")


class StreamBroken(Exception):
    """A stream was not what the contract says."""


def read_strictly(channel: grpc.Channel, job: str, after: int, closing: threading.Event) -> Iterator[Event]:
    """The events of a job after a sequence, to the last, attaching again as often as it takes.

    Raises:
        StreamBroken: a sequence was not the next, or the log went on after its end.
        NotFoundError: there is no such job.
        GradstreamError: the server refuses.
    """
    stub, ended = TrainingServiceStub(channel), False
    while not (ended or closing.is_set()):
        stream = stub.WatchJob(WatchJobRequest(job=job, after_sequence=after))
        try:
            for message in stream:
                event = event_of(message)
                if message.HasField("heartbeat"):
                    if message.sequence < after:
                        raise StreamBroken(f"a heartbeat of sequence {message.sequence} came after {after}")
                    continue
                if message.sequence != after + 1 or message.job != job or event is None or ended:
                    raise StreamBroken(
                        f"event {message.sequence} of {message.job} came after {after}: {event}"
                    )
                after, ended = message.sequence, is_last(event)
                yield event
            # A stream that ends without the last event was cut, unless that lies before its beginning.
            ended = ended or _is_past_end(stub, job, after)
        except grpc.RpcError as error:
            problem = error_of_call(error)
            if not _is_passing(problem):
                raise problem from error
            closing.wait(_PAUSE_S)
        finally:
            stream.cancel()


def _is_past_end(stub: TrainingServiceStub, job: str, after: int) -> bool:
    now = job_of(stub.GetJob(GetJobRequest(job=job)))
    return now.state.final and now.last_sequence == after


def is_last(event: Event) -> bool:
    """Whether a log ends with this event."""
    return isinstance(event, Completed) or (isinstance(event, StateChange) and event.state.final)


def _is_passing(problem: GradstreamError) -> bool:
    """Whether the connection or a server that stops is to blame."""
    if isinstance(problem, NotFoundError):
        return False
    return problem.code in _BROKEN and problem.reason in ("", "DRAINING")
