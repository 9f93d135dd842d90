"""How the domain's values become the bytes of the contract; `rpc/codec.py` implements it.

Specs and events are kept as the bytes that travel, so that they are encoded once and never translated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gradstream_server.jobs.events import Completed, Event
from gradstream_server.jobs.job import Job
from gradstream_server.jobs.spec import Spec


@dataclass(frozen=True)
class EventRecord:
    """One entry of a log, encoded."""

    sequence: int
    body: bytes


class Codec(Protocol):
    """Encodes specs and events."""

    def encode_spec(self, spec: Spec) -> bytes:
        """The bytes of a resolved spec, without the numbers of its data: equal for equal specs."""
        ...

    def decode_spec(self, body: bytes) -> Spec:
        """The spec that `encode_spec` has encoded."""
        ...

    def encode_event(self, job: Job, event: Event, time: datetime) -> bytes:
        """The bytes of an event; `job` is the job after it."""
        ...

    def encode_outcome(self, result: Completed) -> bytes:
        """The bytes of what training has led to, without parameters and predictions."""
        ...

    def result_of(self, event: bytes) -> bytes | None:
        """The bytes of the whole result that the last event of a log tells; None when it tells none."""
        ...

    def decode_result(self, body: bytes) -> Completed:
        """A result, or an outcome, from its bytes. ValueError when they are damaged."""
        ...

    def describe_spec(self, body: bytes) -> Mapping[str, Any]:
        """A spec as JSON, for people and programs in other languages."""
        ...
