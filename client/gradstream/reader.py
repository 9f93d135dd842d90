"""Reads the log of a job to its end, over connections that may break."""

import threading
from collections import deque
from collections.abc import Iterator

from gradstream.convert import event_of, state_of
from gradstream.curve import Curve
from gradstream.errors import GradstreamError, JobCancelledError, JobFailedError, UnavailableError
from gradstream.events import (
    Checkpoint,
    Completed,
    EpochUpdate,
    EpochUpdates,
    Event,
    Heartbeat,
    JobWarning,
    Started,
    StateChange,
)
from gradstream.job import JobState
from gradstream.methods import CANCEL_JOB, GET_JOB, PAUSE_JOB, RESUME_JOB, TRAIN, WATCH_JOB
from gradstream.retry import Backoff
from gradstream.session import Session
from gradstream.tail import GapError, Tail
from gradstream.transport import Stream
from gradstream.v1.event_pb2 import TrainingEvent
from gradstream.v1.job_pb2 import Job
from gradstream.v1.training_service_pb2 import (
    CancelJobRequest,
    GetJobRequest,
    PauseJobRequest,
    ResumeJobRequest,
    TrainRequest,
    WatchJobRequest,
)

Update = StateChange | Started | EpochUpdate | Checkpoint | JobWarning | Completed
"""What iterating a run gives."""

READ_BY_ANOTHER = (
    "another thread is reading this run, which is for one thread at a time; "
    "let each watch the job by a run of its own: client.watch(run.job)"
)


class Reader:
    """What both kinds of run share: the place in the log, what has been read of it, and the open call."""

    def __init__(self, session: Session, start: TrainRequest | WatchJobRequest) -> None:
        self.tail = Tail(start)
        self.curve = Curve()
        self.state = JobState.QUEUED
        self.jobs_ahead = 0
        self.started: Started | None = None
        self.session = session
        self._stream: Stream[TrainingEvent] | None = None
        self._pending: deque[Event] = deque()
        self._position = 0
        """How many epochs of the first pending event have been given out."""
        self._end: Event | None = None
        self._turn = 0
        self._turn_thread = 0
        self._attached = False

    async def fill(self, turn: int, *, heartbeats: bool = False) -> bool:
        """Wait until there is something to give out. False at the end of the log.

        Raises RuntimeError when another thread has begun to read since the turn was taken.
        """
        if turn != self._turn and self._turn_thread != threading.get_ident():
            raise RuntimeError(READ_BY_ANOTHER)
        while not self._pending:
            if not await self.read(heartbeats=heartbeats):
                return False
        return True

    def events(self) -> Iterator[Event]:
        """Give out what has been read, as it came."""
        while self._pending:
            event = self._pending.popleft()
            if isinstance(event, EpochUpdates) and self._position:
                event, self._position = event.after(self._position), 0
                if not len(event):
                    continue
            yield event

    def updates(self) -> Iterator[Update]:
        """Give out what has been read, epoch by epoch."""
        while self._pending:
            event = self._pending[0]
            if isinstance(event, EpochUpdates):
                for update in event.updates(self._position):
                    self._position += 1
                    yield update
                if self._pending and self._pending[0] is event:
                    self._position = 0
                    self._pending.popleft()
            else:
                self._pending.popleft()
                assert isinstance(event, Update)
                yield event

    async def read(self, *, heartbeats: bool = False) -> bool:
        """Read one more event of the log, attaching again as often as it takes. False at its end.

        With `heartbeats`, one of them ends the wait too.
        """
        # Patience is counted from when the connection was lost: before that, nothing may have come for long.
        backoff: Backoff | None = None
        while not self.tail.ended:
            try:
                if self._stream is None:
                    self._stream = self._open()
                message = await self._stream.read()
                if message is None:
                    self.leave()
                    if await self._is_past_end():
                        return False
                    raise UnavailableError("the stream ended before the job did", code="UNAVAILABLE")
                self.session.reached()
                self._attached = True
                if message.HasField("heartbeat"):
                    backoff = None
                    self._keep_heartbeat(message, heartbeats)
                    if heartbeats:
                        return True
                elif self.tail.accept(message):
                    self._keep(message)
                    return True
            except GapError as gap:
                self.leave()
                backoff = backoff or self.session.backoff()
                await self.session.wait(backoff, UnavailableError(str(gap), code="UNAVAILABLE"))
            except GradstreamError as error:
                self.leave()
                backoff = backoff or self.session.backoff()
                await self.session.wait(backoff, error, again=self._attached, starting=not self.tail.job)
        return False

    async def read_to_end(self) -> Completed:
        """The result, once the job has one. Raises JobFailedError or JobCancelledError when it gets none."""
        while await self.read():
            pass
        if self._end is None:
            # Reading began behind the last event: that one alone is read now, and not given out.
            last = Reader(
                self.session, WatchJobRequest(job=self.tail.job, after_sequence=self.tail.sequence - 1)
            )
            return await last.read_to_end()
        if isinstance(self._end, Completed):
            return self._end
        assert isinstance(self._end, StateChange)
        if self._end.fault is not None:
            raise JobFailedError(self.tail.job, self._end.fault, self._end.result_so_far)
        raise JobCancelledError(self.tail.job, self._end.reason, self._end.result_so_far)

    async def cancel(self) -> Job:
        """Ask the job to stop."""
        return await self.session.call(CANCEL_JOB, CancelJobRequest(job=self.tail.job))

    async def pause(self) -> Job:
        """Put the job aside."""
        return await self.session.call(PAUSE_JOB, PauseJobRequest(job=self.tail.job))

    async def resume(self) -> Job:
        """Let the job go on."""
        return await self.session.call(RESUME_JOB, ResumeJobRequest(job=self.tail.job))

    def another(self) -> "Reader":
        """One of the same job, from its first event on."""
        return Reader(self.session, WatchJobRequest(job=self.tail.job))

    def take_turn(self) -> int:
        """Begin to read; the turn is to be given to `leave`."""
        self._turn += 1
        self._turn_thread = threading.get_ident()
        return self._turn

    def leave(self, turn: int | None = None) -> None:
        """End the open call, if there is one. The job goes on; reading later attaches again.

        With a turn: only if nobody has begun to read since. asyncio ends an abandoned iteration late, when
        the next may already be under way.
        """
        if turn is not None and turn != self._turn:
            return
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    def _open(self) -> Stream[TrainingEvent]:
        request = self.tail.request()
        if isinstance(request, TrainRequest):
            return self.session.transport.open(TRAIN, request)
        return self.session.transport.open(WATCH_JOB, request)

    async def _is_past_end(self) -> bool:
        """Whether the job has ended, and its last event lies before the place that reading began at."""
        if not self.tail.job or not self.tail.sequence:
            return False
        job = await self.session.call(GET_JOB, GetJobRequest(job=self.tail.job))
        self.state = state_of(job.state)
        self.tail.ended = self.state.final and job.last_sequence <= self.tail.sequence
        return self.tail.ended

    def _keep(self, message: TrainingEvent) -> None:
        event = event_of(message)
        if event is None:
            return
        self._pending.append(event)
        if isinstance(event, EpochUpdates):
            more = {} if event.validation_losses is None else {"validation loss": event.validation_losses}
            self.curve.extend(event.epochs, event.losses, {**more, **event.metrics})
        elif isinstance(event, StateChange):
            self.state, self.jobs_ahead = event.state, event.jobs_ahead
        elif isinstance(event, Started):
            self.started = event
        elif isinstance(event, Completed):
            self.state = JobState.SUCCEEDED
        if self.tail.ended:
            self._end = event
            self.leave()

    def _keep_heartbeat(self, message: TrainingEvent, asked_for: bool) -> None:
        event = event_of(message)
        assert isinstance(event, Heartbeat)
        self.jobs_ahead = event.jobs_ahead
        if asked_for:
            self._pending.append(event)
