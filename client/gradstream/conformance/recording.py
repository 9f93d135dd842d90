"""Logs of real jobs as files: `TrainingEvent`s one after the other, each behind a varint of its length."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

from google.protobuf.message import DecodeError
from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed

from gradstream.convert import state_of
from gradstream.endpoint import Endpoint
from gradstream.job import JobState
from gradstream.methods import WATCH_JOB
from gradstream.transport import BlockingTransport, finish
from gradstream.v1.event_pb2 import JOB_STATE_SUCCEEDED, TrainingEvent
from gradstream.v1.training_service_pb2 import WatchJobRequest

SUFFIX = ".events"


class NoRecording(Exception):
    """A file does not hold the whole log of a job. The text says why."""


@dataclass(frozen=True)
class Recording:
    """The whole log of a job that has ended."""

    events: Sequence[TrainingEvent]

    @classmethod
    def of(cls, events: Iterable[TrainingEvent]) -> Self:
        """A log, which has to be gapless from sequence 1 to an event that ends it.

        Raises:
            NoRecording: it is not.
        """
        recording = cls(tuple(events))
        for expected, event in enumerate(recording.events, 1):
            if event.sequence != expected:
                raise NoRecording(f"event {expected} has sequence {event.sequence}; a log has no gaps")
        if not recording.events or not recording.state.final:
            raise NoRecording("the log has no end")
        return recording

    @classmethod
    def fetch(cls, endpoint: Endpoint, job: str) -> Self:
        """The log of a job, once it has ended.

        Raises:
            GradstreamError: there is no such job, or the connection broke.
            NoRecording: the stream has ended before the log.
        """
        transport = BlockingTransport(endpoint)
        try:
            stream = transport.open(WATCH_JOB, WatchJobRequest(job=job))
            events = iter(lambda: finish(stream.read()), None)
            return cls.of(event for event in events if event is not None and not event.HasField("heartbeat"))
        finally:
            transport.close()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recording in a file. Raises NoRecording."""
        content, events = io.BytesIO(path.read_bytes()), []
        try:
            while event := parse_length_prefixed(TrainingEvent, content):
                events.append(event)
        except (DecodeError, ValueError) as error:
            raise NoRecording(f"{path}: event {len(events) + 1} cannot be read: {error}") from error
        try:
            return cls.of(events)
        except NoRecording as error:
            raise NoRecording(f"{path}: {error}") from error

    @classmethod
    def named(cls, name: str) -> Self:
        """One of those that come with gradstream."""
        with (files("gradstream.conformance") / "recordings" / (name + SUFFIX)).open("rb") as file:
            return cls.read(Path(file.name))

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        content = io.BytesIO()
        for event in self.events:
            serialize_length_prefixed(event, content)
        path.write_bytes(content.getvalue())

    @property
    def job(self) -> str:
        """The job that it is of."""
        return self.events[-1].job

    @property
    def state(self) -> JobState:
        """What the job has ended in."""
        last = self.events[-1]
        completed = last.WhichOneof("event") == "completed"
        return state_of(JOB_STATE_SUCCEEDED if completed else last.state_change.state)

    @property
    def losses(self) -> dict[int, float]:
        """The loss of each epoch that the log tells of, in order."""
        return {
            epoch: loss
            for event in self.events
            for epoch, loss in zip(event.epoch_updates.epochs, event.epoch_updates.losses, strict=True)
        }
