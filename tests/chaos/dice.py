"""What happens next."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from tests.chaos.faults import Faults
from tests.chaos.scene import Scene
from tests.chaos.tracked import TrackedJob
from tests.chaos.users import Users
from tests.chaos.watchers import Watchers

_MOST_LIVING = 8
_PROGRESS = 20
"""Events with epochs between two deaths of the server, as a rule: without any, nothing would ever end."""
_ANYWAY = 0.1


class Dice:
    """Decides what happens next, and lets it happen."""

    def __init__(self, scene: Scene, users: Users, watchers: Watchers, faults: Faults) -> None:
        self._scene = scene
        self._users = users
        self._faults = faults
        self.starts: list[Future[None]] = []
        """Those who start jobs, and watch them to the end."""
        self._progress_at_start = 0
        self._weights: dict[Callable[[], None], float] = {
            self._start: 16,
            partial(self._living, "pausing", partial(users.ask, "pause")): 5,
            partial(self._living, "resuming", partial(users.ask, "resume")): 7,
            partial(self._living, "cancelling", partial(users.ask, "cancel")): 3,
            partial(self._living, "quarrelling about", users.quarrel): 3,
            partial(self._living, "starting again", users.start_again): 4,
            partial(self._any, "asking for", users.get): 4,
            partial(self._any, "watching", watchers.watch): 22,
            self._delete: 3,
            self._list: 2,
            faults.kill_worker: 6,
            faults.suspend_worker: 3,
            faults.kill_fork_server: 0.5,
            faults.start_second: 0.5,
            faults.cut: 6,
            faults.stall: 3,
            partial(self._to_server, faults.kill_server): 4,
            partial(self._to_server, faults.stop_server): 3,
        }

    def roll(self) -> None:
        """Let something happen. What users do goes on in other threads; faults are over when this returns."""
        [action] = self._scene.chance.choices(list(self._weights), list(self._weights.values()))
        action()

    def _start(self) -> None:
        self.starts = [start for start in self.starts if not start.done()]
        if len(self.starts) < _MOST_LIVING:
            plan, chance = self._scene.chance.choice(self._scene.plans), self._scene.split_chance()
            what = f"starting and watching {plan.name}"
            self.starts.append(self._scene.spawn(what, partial(self._users.start, plan, chance)))

    def _living(self, what: str, verb: Callable[..., None]) -> None:
        self._on_one(what, verb, [job for job in self._scene.jobs if not job.ended.is_set()])

    def _any(self, what: str, verb: Callable[..., None]) -> None:
        self._on_one(what, verb, [job for job in self._scene.jobs if not job.being_deleted])

    def _delete(self) -> None:
        jobs = [job for job in self._scene.jobs if job.ended.is_set() and not job.being_deleted]
        self._on_one("deleting", self._users.delete, jobs)

    def _on_one(self, what: str, verb: Callable[..., None], jobs: list[TrackedJob]) -> None:
        if jobs:
            job = self._scene.chance.choice(jobs)
            self._scene.spawn(f"{what} {job}", partial(verb, job, self._scene.split_chance()))

    def _list(self) -> None:
        self._scene.spawn("listing all jobs", partial(self._users.list_jobs, self._scene.split_chance()))

    def _to_server(self, fault: Callable[[], None]) -> None:
        progress = self._scene.epoch_events - self._progress_at_start
        if progress >= _PROGRESS or self._scene.chance.random() < _ANYWAY:
            fault()
            self._progress_at_start = self._scene.epoch_events
