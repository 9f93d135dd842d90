"""Where a reader stands in a job's log, and what it has to ask for next. No I/O."""

from gradstream.v1.event_pb2 import (
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    TrainingEvent,
)
from gradstream.v1.training_service_pb2 import TrainRequest, WatchJobRequest


class GapError(Exception):
    """An event is missing before this one: attach again."""


class Tail:
    """A place in the log of a job, which may not have been started yet.

    Until the first event names the job, the request that starts it is repeated, and its `request_id` makes
    that safe. From then on the log is watched after the last sequence.
    """

    def __init__(self, start: TrainRequest | WatchJobRequest) -> None:
        self._start = start
        self.job = start.job if isinstance(start, WatchJobRequest) else ""
        """The job; empty until it is known."""
        self.sequence = start.after_sequence if isinstance(start, WatchJobRequest) else 0
        """Sequence of the last event accepted."""
        self.ended = False
        """Whether the last event of the log has been accepted."""

    def request(self) -> TrainRequest | WatchJobRequest:
        """What to ask for to get the events from here on."""
        if not self.job:
            return self._start
        return WatchJobRequest(job=self.job, after_sequence=self.sequence)

    def accept(self, event: TrainingEvent) -> bool:
        """Move past an event. False: it is a repetition, drop it. Raises GapError when one is missing."""
        if event.sequence <= self.sequence:
            return False
        if event.sequence > self.sequence + 1:
            raise GapError(f"event {event.sequence} of job {event.job} came after {self.sequence}")
        self.job, self.sequence = event.job, event.sequence
        kind = event.WhichOneof("event")
        self.ended = kind == "completed" or (
            kind == "state_change" and event.state_change.state in (JOB_STATE_FAILED, JOB_STATE_CANCELLED)
        )
        return True
