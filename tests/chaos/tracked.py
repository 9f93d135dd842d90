"""What the test knows of a job that it has started."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from uuid import UUID

from tests.chaos.plans import Plan

from gradstream import Event, Job

STILL_WATCHES = "still watches"
SAW_THE_END = "saw the end"
LEFT = "left"
TOLD_DELETED = "was told that the job is deleted"


@dataclass
class Watch:
    """What one watcher has seen of a job."""

    way: str
    after: int
    """It began with the event after this one."""
    seen: list[tuple[int, bytes]] = field(default_factory=list)
    """Sequence and fingerprint of each event."""
    end: str = STILL_WATCHES
    """How it ended."""

    @property
    def sequence(self) -> int:
        """Where it stands."""
        return self.seen[-1][0] if self.seen else self.after


@dataclass(eq=False)
class TrackedJob:
    """A job, all that was promised of it and all that was seen of it."""

    id: str
    plan: Plan
    request_id: UUID
    priority: int
    twin: Future[None] | None = None
    """Somebody who is starting it a second time, if there is one."""
    verbs: threading.Lock = field(default_factory=threading.Lock)
    """Held while somebody pauses, resumes, cancels or deletes it: the answers have to make sense."""
    answers: list[Job] = field(default_factory=list)
    """The job as the server has described it, each time it has."""
    watches: list[Watch] = field(default_factory=list)
    last_sequence: int = 0
    """The newest event that was seen."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Whether somebody has seen its end."""
    damaged: int = 0
    """How many of its checkpoints were damaged."""
    being_deleted: bool = False
    log: list[Event] = field(default_factory=list)
    """Its log as the server tells it in the end, or just before it is deleted."""

    def __str__(self) -> str:
        return f"job {self.id} ({self.plan.name})"
