"""The jobs that wait for a worker: those of higher priority first, and among equals who came first."""

from bisect import insort
from itertools import count

from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.executor import Task
from gradstream_server.jobs.job import JobState

Entry = tuple[int, int, Task]
"""A task that waits, behind those of a lower negative priority, and of a lower arrival."""


class JobQueue:
    """Tasks in the order in which they will run."""

    def __init__(self) -> None:
        self._waiting: list[Entry] = []
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task: Task, priority: int) -> None:
        """Let a task wait behind those of its priority."""
        self.put_back((-priority, next(self._arrivals), task))

    def put_back(self, entry: Entry) -> None:
        """Let a task that was taken out wait again, at its place."""
        insort(self._waiting, entry, key=lambda entry: entry[:2])

    def pop(self) -> Task:
        """Take out the task that is next."""
        return self._waiting.pop(0)[2]

    def remove(self, job: str) -> Entry | None:
        """Take out the task of a job; None when it does not wait."""
        place = self.ahead_of(job)
        return None if place is None else self._waiting.pop(place)

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
