"""A server that follows a script: what its streams carry, and when they break."""

from collections.abc import Iterator
from typing import Generic

from google.protobuf.message import Message

from gradstream.errors import UnavailableError
from gradstream.methods import Method, Request, Response
from gradstream.reader import Reader
from gradstream.run import Run
from gradstream.session import Session
from gradstream.v1 import event_pb2, job_pb2
from gradstream.v1.training_service_pb2 import TrainRequest

BROKEN = UnavailableError("Socket closed", code="UNAVAILABLE")


class Silence(float):
    """Seconds in which nothing comes."""


Script = list[event_pb2.TrainingEvent | Silence | UnavailableError]


class Scripted:
    """A transport whose n-th stream follows the n-th script; when there are no more, nobody is there."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts, self.requests, self.now = list(scripts), list[Message](), 0.0

    async def call(self, method: Method[Request, Response], _request: Request, _timeout_s: float) -> Response:
        assert method.response is job_pb2.Job
        return method.response()

    def open(self, _method: Method[Request, Response], request: Request) -> "Stream[Response]":
        self.requests.append(request)
        return Stream(self, iter(self.scripts.pop(0) if self.scripts else [BROKEN]))

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def tls_fault(self) -> None:
        return None


class Stream(Generic[Response]):
    """The messages of one script."""

    def __init__(self, transport: Scripted, script: Iterator[object]) -> None:
        self._transport, self._script = transport, script

    async def read(self) -> Response | None:
        for step in self._script:
            if isinstance(step, Silence):
                self._transport.now += step
                continue
            if isinstance(step, UnavailableError):
                raise step
            return step  # type: ignore[return-value]  # what the test has put there
        return None

    def cancel(self) -> None:
        pass


def run_over(transport: Scripted, patience_s: float = 60.0) -> Run:
    """A run that reads what is scripted."""
    request = TrainRequest(request_id="11111111-1111-4111-8111-111111111111")
    return Run(Reader(Session(transport, "here:1", 60.0, patience_s), request))


def event(sequence: int, attempt: int = 1, **kind: Message) -> event_pb2.TrainingEvent:
    return event_pb2.TrainingEvent(job="j", sequence=sequence, attempt=attempt, **kind)  # type: ignore[arg-type]


def state(sequence: int, name: str, attempt: int = 1, **more: object) -> event_pb2.TrainingEvent:
    change = event_pb2.StateChange(state=event_pb2.JobState.Value(f"JOB_STATE_{name}"), **more)  # type: ignore[arg-type]
    return event(sequence, attempt, state_change=change)


def epochs(sequence: int, *numbers: int, attempt: int = 1) -> event_pb2.TrainingEvent:
    losses = [1.0 / number for number in numbers]
    return event(sequence, attempt, epoch_updates=event_pb2.EpochUpdates(epochs=numbers, losses=losses))


def completed(sequence: int, digest: str = "", threads: int = 1) -> event_pb2.TrainingEvent:
    receipt = event_pb2.Receipt(parameter_digest=digest, device="cpu", threads=threads)
    return event(sequence, completed=event_pb2.Completed(epochs=4, receipt=receipt))


def heartbeat(sequence: int, jobs_ahead: int = 0) -> event_pb2.TrainingEvent:
    beat = event_pb2.Heartbeat(state=event_pb2.JOB_STATE_QUEUED, jobs_ahead=jobs_ahead)
    return event(sequence, heartbeat=beat)
