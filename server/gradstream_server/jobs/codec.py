"""How the domain's values become the bytes of the contract; `rpc/codec.py` implements it.

Specs and events are kept as the bytes that travel, so that they are encoded once and never translated.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gradstream_server.jobs.events import Event
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
