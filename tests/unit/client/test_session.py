"""What a call does about a server that cannot serve: waiting a minute for what will not come helps nobody."""

import pytest

from gradstream.errors import GradstreamError, ServerUnreachableError, UnavailableError
from gradstream.methods import CREATE_JOB, GET_JOB, Method, Request, Response
from gradstream.session import Session
from gradstream.transport import Stream, finish
from gradstream.v1.training_service_pb2 import CreateJobRequest, GetJobRequest

DRAINING = UnavailableError("the server is stopping", code="UNAVAILABLE", reason="DRAINING")


class Failing:
    """A transport whose every call fails."""

    def __init__(self, error: GradstreamError) -> None:
        self.error, self.calls, self.now = error, 0, 0.0

    async def call(
        self, _method: Method[Request, Response], _request: Request, _timeout_s: float
    ) -> Response:
        self.calls += 1
        raise self.error

    def open(self, _method: Method[Request, Response], _request: Request) -> Stream[Response]:
        raise self.error

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_server_that_stops_takes_no_job() -> None:
    transport = Failing(DRAINING)
    session = Session(transport, "here:1", 1.0, 1.0)
    with pytest.raises(UnavailableError, match="the server at here:1 is stopping and takes no new jobs"):
        finish(session.call(CREATE_JOB, CreateJobRequest()))
    assert transport.calls == 1


def test_other_calls_wait_for_its_successor() -> None:
    transport = Failing(DRAINING)
    session = Session(transport, "here:1", 0.2, 0.2)
    with pytest.raises(UnavailableError):
        finish(session.call(GET_JOB, GetJobRequest()))
    assert transport.calls > 1


@pytest.mark.parametrize(
    "message",
    [
        "last error: UNAVAILABLE: ipv4:127.0.0.1:8000: Failed parsing HTTP/2"
        " (Expected SETTINGS frame as the first frame, got frame type 79)",
        "Trying to connect an http1.x server",
    ],
)
def test_a_server_of_another_kind(message: str) -> None:
    transport = Failing(UnavailableError(message, code="UNAVAILABLE"))
    with pytest.raises(ServerUnreachableError, match="what answers at here:1 is not a gradstream server"):
        finish(Session(transport, "here:1", 1.0, 1.0).call(GET_JOB, GetJobRequest()))
    assert transport.calls == 1
