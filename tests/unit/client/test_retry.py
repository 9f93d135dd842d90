"""When to try again: too rarely and a short outage ends a watch, too often and a dead server is hammered."""

from gradstream.errors import ResourceExhaustedError, ServerFaultError, UnavailableError
from gradstream.retry import Backoff, is_broken_connection, is_transient


def test_waits_grow_up_to_a_bound_and_end_with_patience() -> None:
    backoff, now, waits = Backoff(60.0, 0.0), 0.0, []
    while (wait := backoff.wait(now)) is not None:
        waits.append(wait)
        now += wait
    assert waits[0] <= 0.05
    assert max(waits) <= 3.0
    assert 55 < now < 60
    assert 20 < len(waits) < 80


def test_progress_begins_anew() -> None:
    backoff = Backoff(10.0, 0.0)
    for _ in range(20):
        backoff.wait(0.0)
    backoff.progress(9.0)
    assert backoff.remaining(9.0) == 10.0
    wait = backoff.wait(9.0)
    assert wait is not None
    assert wait <= 0.05


def test_the_server_may_ask_for_a_longer_wait() -> None:
    backoff = Backoff(10.0, 0.0)
    assert backoff.wait(0.0, at_least=2.0) == 2.0
    assert backoff.wait(0.0, at_least=20.0) is None


def test_what_is_worth_another_try() -> None:
    assert is_transient(UnavailableError("", code="UNAVAILABLE"), 1000)
    assert is_transient(UnavailableError("", code="UNAVAILABLE", reason="DRAINING"), 1000)
    reset = ServerFaultError("RST_STREAM", code="INTERNAL")
    assert is_transient(reset, 0)
    assert not is_transient(reset, 5)
    assert not is_transient(ServerFaultError("", code="INTERNAL", reason="INTERNAL"), 0)
    assert not is_transient(ResourceExhaustedError("too large", code="RESOURCE_EXHAUSTED"), 0)


def test_an_error_with_a_reason_came_over_a_connection_that_works() -> None:
    assert is_broken_connection(UnavailableError("", code="UNAVAILABLE"))
    assert not is_broken_connection(UnavailableError("", code="UNAVAILABLE", reason="DRAINING"))
