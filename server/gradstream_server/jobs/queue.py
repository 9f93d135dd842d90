"""The jobs that wait for a worker: those of higher priority first, and among equals who came first."""

from bisect import insort
from itertools import count

from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.job import JobState


class JobQueue:
    """Tasks in the order in which they will run."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Task]] = []
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task: Task, priority: int) -> None:
        """Let a task wait behind those of its priority."""
        insort(self._waiting, (-priority, next(self._arrivals), task), key=lambda entry: entry[:2])

    def pop(self) -> Task:
        """Take out the task that is next."""
        return self._waiting.pop(0)[2]

    def remove(self, job: str) -> None:
        """Take out the task of a job; nothing happens when it does not wait."""
        self._waiting = [entry for entry in self._waiting if entry[2].job != job]

    def ahead_of(self, job: str) -> int | None:
        """How many tasks are ahead of that of a job; None when it does not wait."""
        return next((i for i, entry in enumerate(self._waiting) if entry[2].job == job), None)

    def ahead_of_new(self, priority: int) -> int:
        """How many tasks would be ahead of a new one."""
        return sum(-negative >= priority for negative, _, _ in self._waiting)


def queued(ahead: int, reason: str = "") -> StateChange:
    """What is said to a job that waits."""
    waits = f"waits for {ahead} {'job' if ahead == 1 else 'jobs'} ahead" if ahead else ""
    return StateChange(JobState.QUEUED, "; ".join(filter(None, (reason, waits))), jobs_ahead=ahead)
