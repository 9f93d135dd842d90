"""What goes wrong while a recording is played, call by call."""

from dataclasses import dataclass
from typing import Literal

Fault = Literal["nothing", "cut", "end", "drain", "unavailable", "busy", "skip"]
"""What happens behind the last event that a call sends.

cut: the connection is cut, without a word. end: the stream ends with OK. drain: it ends with UNAVAILABLE and
the reason DRAINING; unavailable: with UNAVAILABLE alone, as a proxy says it. busy: with RESOURCE_EXHAUSTED,
the reason TOO_MANY_WATCHES and a RetryInfo. skip: the next event is left out, and the rest is sent.
"""


@dataclass(frozen=True)
class Call:
    """How a stream is played."""

    events: int
    """How many are sent before the fault."""
    fault: Fault


@dataclass(frozen=True)
class Case:
    """A recording, and what goes wrong while it is played."""

    name: str
    proves: str
    """What a client has to do, in words for who writes one."""
    calls: tuple[Call, ...] = ()
    """Those of `Train` and `WatchJob` in the order that they come; later ones are played as they are."""
    recording: str = "succeeded"
    repeats: int = 0
    """How many events before those that were asked for each `WatchJob` sends again."""
    heartbeats: bool = False
    """Whether a heartbeat, with the last event's sequence, comes before each event, and some time passes."""
    unknown_event: int = 0
    """The sequence at which an event of a kind comes that no client knows; 0 for none."""


CASES = (
    Case("plain", "reads a log to its end, epoch by epoch, where nothing goes wrong"),
    Case(
        "cut",
        "attaches again with WatchJob, after the last sequence that it has, when the connection is cut",
        (Call(3, "cut"), Call(1, "cut"), Call(0, "cut"), Call(5, "cut")),
    ),
    Case(
        "cut-at-once",
        "sends Train again with the same request_id when the connection is cut before the first event",
        (Call(0, "cut"), Call(0, "cut")),
    ),
    Case(
        "end",
        "attaches again when a stream ends with OK, but without an event that ends the log",
        (Call(4, "end"), Call(0, "end"), Call(2, "end")),
    ),
    Case(
        "restart",
        "waits for a server that is stopped and started again: UNAVAILABLE, with details and without",
        (Call(4, "drain"), Call(0, "unavailable"), Call(0, "unavailable")),
    ),
    Case(
        "busy",
        "tries again after the time of RetryInfo when it may not attach again yet",
        (Call(4, "cut"), Call(0, "busy"), Call(0, "busy")),
    ),
    Case(
        "gap",
        "notices by its sequence that an event is missing, and attaches again to get it",
        (Call(4, "skip"),),
    ),
    Case(
        "repeat",
        "drops events that it has, by their sequence",
        (Call(4, "cut"), Call(5, "cut")),
        repeats=3,
    ),
    Case(
        "heartbeats",
        "waits while nothing happens, and takes no heartbeat for an event of the log",
        (Call(4, "cut"),),
        heartbeats=True,
    ),
    Case(
        "unknown-event",
        "passes over an event of a kind that only newer servers know, which has a sequence too",
        (Call(6, "cut"),),
        unknown_event=5,
    ),
    Case(
        "paused",
        "goes on through a pause, a checkpoint and a second attempt of the job",
        (Call(6, "cut"), Call(4, "cut")),
        recording="paused",
    ),
    Case(
        "failed",
        "tells that the job has failed, and why; no call fails for it",
        (Call(2, "cut"), Call(0, "cut")),
        recording="failed",
    ),
    Case(
        "cancelled",
        "tells that the job was cancelled; its last event may come after a cut",
        (Call(5, "cut"),),
        recording="cancelled",
    ),
)
