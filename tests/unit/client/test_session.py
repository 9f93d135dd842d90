"""What a call does about a server that cannot serve: waiting a minute for what will not come helps nobody."""

from types import SimpleNamespace

import pytest

from gradstream.errors import (
    CallCancelledError,
    GradstreamError,
    NotFoundError,
    ServerUnreachableError,
    UnavailableError,
)
from gradstream.methods import CREATE_JOB, DELETE_JOB, GET_JOB, Method, Request, Response
from gradstream.session import Session
from gradstream.transport import Stream, finish
from gradstream.v1.training_service_pb2 import CreateJobRequest, DeleteJobRequest, GetJobRequest

DRAINING = UnavailableError("the server is stopping", code="UNAVAILABLE", reason="DRAINING")


class Failing:
    """A transport whose every call fails: each with the next error, then all with the last."""

    def __init__(self, *errors: GradstreamError) -> None:
        self.errors, self.calls, self.now = errors, 0, 0.0

    async def call(
        self, _method: Method[Request, Response], _request: Request, _timeout_s: float
    ) -> Response:
        self.calls += 1
        raise self.errors[min(self.calls, len(self.errors)) - 1]

    def open(self, _method: Method[Request, Response], _request: Request) -> Stream[Response]:
        raise self.errors[0]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def tls_fault(self) -> None:
        return None


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


GONE = NotFoundError("there is no job 'j'", code="NOT_FOUND", reason="JOB_NOT_FOUND")


NOBODY = UnavailableError("Failed to connect to remote host", code="UNAVAILABLE")


def test_a_server_that_dies_before_its_first_answer_is_waited_for() -> None:
    """The first job after a start of the server would be given up in the second in which it dies."""
    transport = Failing(UnavailableError("Socket closed", code="UNAVAILABLE"), *[NOBODY] * 9, GONE)
    with pytest.raises(NotFoundError):
        finish(Session(transport, "here:1", 60.0, 60.0).call(GET_JOB, GetJobRequest()))


def test_a_server_that_was_there_is_not_said_never_to_have_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a job would be told to start a server, as if there were none that has the job."""
    transport = Failing(UnavailableError("Socket closed", code="UNAVAILABLE"), NOBODY)
    monkeypatch.setattr("gradstream.session.time", SimpleNamespace(monotonic=lambda: transport.now))
    said = "the server at here:1 is not there any more: it was waited for 7 s"
    with pytest.raises(ServerUnreachableError, match=said) as caught:
        finish(Session(transport, "here:1", 7.0, 7.0).call(GET_JOB, GetJobRequest()))
    assert caught.value.reason == "SERVER_LOST"


def test_a_deletion_whose_answer_was_lost_has_succeeded() -> None:
    """It would be told as an error that what was to be deleted is gone."""
    transport = Failing(UnavailableError("Socket closed", code="UNAVAILABLE"), GONE)
    finish(Session(transport, "here:1", 1.0, 1.0).call(DELETE_JOB, DeleteJobRequest(job="j")))
    assert transport.calls == 2


@pytest.mark.parametrize(
    "before",
    [[], [DRAINING], [UnavailableError("Failed to connect to remote host", code="UNAVAILABLE")]],
    ids=["at once", "refused before", "nobody there before"],
)
def test_a_deletion_of_what_is_not_there_fails(before: list[GradstreamError]) -> None:
    session = Session(Failing(*before, GONE), "here:1", 1.0, 1.0)
    session.reached()
    with pytest.raises(NotFoundError):
        finish(session.call(DELETE_JOB, DeleteJobRequest(job="j")))


RESET = CallCancelledError("RST_STREAM", code="CANCELLED")


def test_a_reset_connection_does_not_end_a_long_wait_for_the_server() -> None:
    """A watch would end with an error when the server has just come back."""
    nobody = UnavailableError("Failed to connect to remote host", code="UNAVAILABLE")
    transport = Failing(DRAINING, *[nobody] * 8, RESET, *[nobody] * 8, RESET, GONE)
    with pytest.raises(NotFoundError):
        finish(Session(transport, "here:1", 60.0, 60.0).call(GET_JOB, GetJobRequest()))


def test_resets_alone_do() -> None:
    """A server that answers nonsense would be asked for a minute."""
    transport = Failing(RESET)
    with pytest.raises(CallCancelledError):
        finish(Session(transport, "here:1", 60.0, 60.0).call(GET_JOB, GetJobRequest()))
    assert transport.calls == 6
