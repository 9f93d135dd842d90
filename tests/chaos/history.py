"""Whether a log is one that the contract allows, whatever it is that was trained."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.strict_reader import is_last

from gradstream import (
    Checkpoint,
    Completed,
    EpochUpdates,
    Event,
    Job,
    JobState,
    JobWarning,
    Started,
    StateChange,
)

# As drawn in event.proto. SUCCEEDED is said by `completed`.
_NEXT = {
    None: {JobState.QUEUED},
    JobState.QUEUED: {JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED, JobState.FAILED},
    JobState.RUNNING: {
        JobState.RUNNING,
        JobState.QUEUED,
        JobState.PAUSED,
        JobState.CANCELLING,
        JobState.SUCCEEDED,
        JobState.FAILED,
    },
    JobState.CANCELLING: {JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED},
    JobState.PAUSED: {JobState.QUEUED, JobState.CANCELLED},
}

_KEPT = 2
"""Checkpoints of a job."""
_NAME = re.compile(r"checkpoint (\d+)-(\d+) ")
"""By attempt and epoch."""


@dataclass
class _Standing:
    """A job after so many events of its log."""

    sequence: int = 0
    state: JobState | None = None
    attempt: int = 0
    restarts: int = 0
    started: bool = False
    epoch: int = 0
    loss: float | None = None
    checkpoints: tuple[tuple[int, int], ...] = ()
    """Attempt and epoch of those that another attempt may go on from, the newest first."""


def breaches(log: list[Event], answers: list[Job]) -> Iterator[str]:
    """What in a log the contract does not allow, and what the server has said of the job against its log."""
    now, standings = _Standing(), {}
    for event in log:
        for breach in _advance(now, event):
            yield f"event {event.sequence}: {breach}"
        standings[event.sequence] = _told(now)
    if not log or not is_last(log[-1]):
        yield f"the log ends with {log[-1] if log else 'nothing'}"
    yield from (
        f"event {event.sequence} ends the log, and others follow" for event in log[:-1] if is_last(event)
    )
    for job in answers:
        said = (job.state, job.attempt, job.restarts, job.epochs_done, job.last_loss, job.checkpoint_epoch)
        if said != (was := standings.get(job.last_sequence)):
            yield f"the server has said that after event {job.last_sequence} it is {said}; by its log: {was}"


def _told(now: _Standing) -> tuple[JobState | None, int, int, int, float | None, int]:
    checkpoint = now.checkpoints[0][1] if now.checkpoints else 0
    return now.state, now.attempt, now.restarts, now.epoch, now.loss, checkpoint


def _advance(now: _Standing, event: Event) -> Iterator[str]:
    if event.sequence != now.sequence + 1:
        yield f"it came after {now.sequence}"
    now.sequence = event.sequence
    match event:
        case StateChange(state=state):
            yield from _enter(now, state)
        case Completed():
            yield from _enter(now, JobState.SUCCEEDED)
        case _ if now.state not in (JobState.RUNNING, JobState.CANCELLING):
            yield f"{type(event).__name__} while it is {now.state}"
    match event:
        case Started():
            if now.started or now.epoch:
                yield "it starts again"
            now.started = True
        case EpochUpdates():
            if not now.started:
                yield "an epoch before the start"
            if [now.epoch, *event.epochs] != sorted({now.epoch, *event.epochs}):
                yield f"epochs {event.epochs} after {now.epoch}"
            now.epoch, now.loss = int(event.epochs[-1]), float(event.losses[-1])
        case Checkpoint(epoch=epoch):
            for attempt, earlier in now.checkpoints:
                if attempt == event.attempt and epoch <= earlier:
                    yield f"a checkpoint of epoch {epoch} after one of {earlier}"
            now.checkpoints = ((event.attempt, epoch), *now.checkpoints)[:_KEPT]
        case JobWarning(reason="CHECKPOINT_DAMAGED", message=message):
            unusable = _NAME.search(message)
            if not unusable:
                yield f"a warning that names no checkpoint: {message}"
                return
            name = int(unusable[1]), int(unusable[2])
            if name not in now.checkpoints:
                yield f"checkpoint {name} is damaged, which is none of {now.checkpoints}"
            now.checkpoints = tuple(kept for kept in now.checkpoints if kept != name)
    if event.attempt != now.attempt:
        yield f"attempt {event.attempt} after {now.attempt}"


def _enter(now: _Standing, state: JobState) -> Iterator[str]:
    if state not in _NEXT.get(now.state, ()):
        yield f"from {now.state} to {state}"
    if state is JobState.RUNNING:
        now.attempt += 1
        now.restarts += now.state is JobState.RUNNING
    now.state = state
