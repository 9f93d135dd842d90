"""The logic of a sweep: starts runs as others end, and hears of them, over either transport."""

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack, cast
from uuid import UUID

from numpy.typing import ArrayLike

from gradstream.errors import (
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from gradstream.events import Completed
from gradstream.job import Job, JobState
from gradstream.operations import Operations
from gradstream.request import build_spec
from gradstream.session import Session
from gradstream.space import Listed, Options, Search, Space, check_space, draw, extremes, grid
from gradstream.spec import SpecOptions
from gradstream.sweep_run import SweepRun
from gradstream.v1.spec_pb2 import Spec

OBJECTIVES: Mapping[str, Callable[[Completed], float]] = {
    "loss": lambda result: result.final_loss if result.validation_loss is None else result.validation_loss,
}
"""What a sweep may look for, by name; lower is better."""

_LIVE = [state for state in JobState if not state.final and state is not JobState.UNKNOWN]
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.02, 0.5
_CHECKED_BYTES = 1 << 20
"""Specs up to this size are checked before the first run is started."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep is to do."""

    space: Space
    draws: int | None
    """None: the grid."""
    search: str
    """How draws are made: "random" or "optuna"."""
    seed: int
    at_once: int | None
    """None: as many as the server has workers."""
    group: str
    """Empty: a new one."""
    priority: int
    objective: str

    def __post_init__(self) -> None:
        check_space(self.space, self.draws)
        if self.at_once is not None and self.at_once < 1:
            raise ValueError(f"at_once is {self.at_once}; it has to be at least 1")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"there is no objective {self.objective!r}, but {', '.join(OBJECTIVES)}")
        if self.search not in ("random", "optuna"):
            raise ValueError(f"there is no search {self.search!r}, but random and optuna")
        if self.search == "optuna":
            if self.draws is None:
                raise ValueError("say how many draws Optuna is to make")
            _import_optuna()


class SweepSteps:
    """The runs of a sweep, and what is known of them."""

    def __init__(
        self,
        operations: Operations,
        session: Session,
        plan: Plan,
        features: ArrayLike | None,
        targets: ArrayLike | None,
        **options: Unpack[SpecOptions],
    ) -> None:
        for name in plan.space:
            if options.get(name) is not None:
                raise ValueError(f"{name} is given and is to be varied: give one of them")
        self.group = plan.group or f"sweep-{secrets.token_hex(4)}"
        self.at_once = plan.at_once or 0
        self.runs: dict[str, SweepRun] = {}
        """By request id, in the order of their start."""
        self._operations = operations
        self._session = session
        self._plan = plan
        self._data = features, targets
        self._options = options
        self._search: Search | None = None
        self._asked: dict[str, list[int]] = {}
        """The numbers of the search for each run: it may ask for the same options twice."""
        self._waiting: dict[str, Spec] = {}
        """Specs of the runs that the server has not answered yet."""
        self._found: dict[str, Job] = {}
        """Jobs of the group that were there before, by request id."""
        self._wait_s = _SHORTEST_WAIT_S
        self._held_up_until = 0.0
        self._draining_since: float | None = None

    @property
    def left(self) -> int:
        """How many runs are to be started still."""
        if self._search is not None:
            return self._search.left
        return self._plan.draws or len(grid(self._plan.space))

    @property
    def ended(self) -> bool:
        """Whether all runs have ended, and none is to come."""
        return self._search is not None and not self.left and not self._live

    @property
    def _live(self) -> list[SweepRun]:
        return [run for run in self.runs.values() if not run.ended]

    async def advance(self) -> list[SweepRun]:
        """Start what may be started, and look at what runs; the runs that have changed."""
        if self._search is None:
            self._search = await self._begin()
        self._ask(self._search)
        before = dict(self.runs)
        for request_id in list(self._waiting):
            await self._start(request_id)
        await self._look()
        changed = [run for run in self.runs.values() if run is not before[run.request_id]]
        if any(run.ended for run in changed):
            self._wait_s = 0.0  # others may start at once
        return changed

    async def rest(self) -> None:
        """Wait before the next look: not long after something has happened."""
        if self._wait_s:
            await self._session.transport.sleep(self._wait_s)
        self._wait_s = min(max(1.5 * self._wait_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S)

    async def cancel(self) -> None:
        """Ask the runs that have not ended to stop; also those whose answer was not waited for."""
        for job in await self._jobs(_LIVE):
            if job.request_id in self.runs:
                try:
                    await self._operations.cancel(job.id)
                except (FailedPreconditionError, NotFoundError):
                    continue  # it has ended meanwhile

    async def _begin(self) -> Search:
        plan = self._plan
        for name, values in plan.space.items():
            for value in extremes(values, name):
                spec = self._build({name: value})
                if spec.ByteSize() <= _CHECKED_BYTES:
                    await self._operations.validate(spec)
        if plan.group:
            self._found = {job.request_id: job for job in await self._jobs([])}
        if not self.at_once:
            self.at_once = max(1, (await self._operations.server_info()).workers)
        if plan.draws is None:
            return Listed(grid(plan.space))
        if plan.search == "optuna":
            from gradstream.optuna_search import OptunaSearch

            return OptunaSearch(plan.space, plan.draws, plan.seed, self.at_once)
        return Listed(draw(plan.space, plan.draws, plan.seed))

    def _ask(self, search: Search) -> None:
        """Take as many runs from the search as may be there at once."""
        while len(self._live) < self.at_once and (asked := search.ask()):
            number, options = asked
            spec = self._build(options)
            request_id = self._request_id(spec)
            self._asked.setdefault(request_id, []).append(number)
            if request_id not in self.runs:
                self._waiting[request_id] = spec
                self.runs[request_id] = SweepRun(len(self.runs) + 1, options, request_id)
            elif (run := self.runs[request_id]).ended:
                search.tell(number, _told(run))

    def _build(self, varied: Options) -> Spec:
        return build_spec(*self._data, **cast(SpecOptions, {**self._options, **varied}))

    def _request_id(self, spec: Spec) -> str:
        """That of the first run of these options that was not cancelled; else one that is new."""
        attempt = 0
        while True:
            request_id = derived_request_id(self.group, spec, attempt)
            found = self._found.get(request_id)
            if found is None or found.state not in (JobState.CANCELLED, JobState.CANCELLING):
                return request_id
            attempt += 1

    async def _start(self, request_id: str) -> None:
        """Find the job of a run, or start it; later, when the server cannot take it now."""
        job = self._found.get(request_id)
        if job is None:
            if time.monotonic() < self._held_up_until:
                return
            spec = self._waiting[request_id]
            try:
                job = await self._operations.create(spec, request_id, self._plan.priority, self.group)
            except (ResourceExhaustedError, UnavailableError) as error:
                if not self._passes(error):
                    raise
                self._held_up_until = time.monotonic() + (error.retry_after or _LONGEST_WAIT_S)
                return
        self._draining_since = None
        del self._waiting[request_id]
        await self._keep(self.runs[request_id], job)

    def _passes(self, error: ResourceExhaustedError | UnavailableError) -> bool:
        """Whether it is worth waiting: for a place in the queue, or for a server that restarts."""
        if error.reason == "QUEUE_FULL":
            return True
        if error.reason != "DRAINING":
            return False
        self._draining_since = self._draining_since or time.monotonic()
        return time.monotonic() - self._draining_since < self._session.patience_s

    async def _look(self) -> None:
        """Hear of the jobs that have not ended."""
        runs = [(run, run.job) for run in self._live if run.job is not None]
        if not runs:
            return
        live = {job.id: job for job in await self._jobs(_LIVE)}
        for run, known in runs:
            try:
                job = live.get(known.id) or await self._operations.get(known.id)
                if (job.state, job.last_sequence) != (known.state, known.last_sequence):
                    await self._keep(run, job)
            except NotFoundError:  # somebody has deleted it
                await self._keep(run, replace(known, state=JobState.CANCELLED))

    async def _keep(self, run: SweepRun, job: Job) -> None:
        """Note where a run stands, and at its end what has come of it."""
        run = replace(run, job=job)
        if job.state is JobState.SUCCEEDED:
            result = await self._operations.result(job)
            value = OBJECTIVES[self._plan.objective](result)
            run = replace(run, result=result, value=value if math.isfinite(value) else None)
        self.runs[run.request_id] = run
        if run.ended and self._search is not None:
            for number in self._asked[run.request_id]:
                self._search.tell(number, _told(run))

    async def _jobs(self, states: Sequence[JobState]) -> list[Job]:
        """Jobs of the group."""
        jobs: list[Job] = []
        token, more = "", True
        while more:
            page, token = await self._operations.page(states, token, self.group)
            jobs += page
            more = bool(token)
        return jobs


def derived_request_id(group: str, spec: Spec, attempt: int = 0) -> str:
    """A UUID that is the same for the same spec in the same group.

    The server takes version 4 alone, which has no hash; so 122 bits of a SHA-256 stand for random ones.
    """
    digest = hashlib.sha256(f"{group}\n{attempt}\n".encode())
    digest.update(spec.SerializeToString(deterministic=True))
    return str(UUID(bytes=digest.digest()[:16], version=4))


def _told(run: SweepRun) -> float:
    return math.inf if run.value is None else run.value


def _import_optuna() -> None:
    try:
        import optuna  # noqa: F401  # whether it is there is all that is asked
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Optuna is not installed; install it with: pip install 'gradstream[sweep]'"
        ) from error
