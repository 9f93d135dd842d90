"""What users do with jobs: start, pause, resume, cancel and delete them, and ask about them."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from functools import partial
from uuid import UUID

import grpc
from tests.chaos.clients import Clients
from tests.chaos.plans import Plan, random_uuid
from tests.chaos.scene import Scene
from tests.chaos.strict_reader import read_strictly
from tests.chaos.tracked import TrackedJob
from tests.chaos.watchers import Watchers

from gradstream import FailedPreconditionError, Job, JobState, NotFoundError

_LEADS_TO = {
    "pause": {JobState.PAUSED},
    "resume": {JobState.QUEUED, JobState.RUNNING},
    "cancel": {JobState.CANCELLING, JobState.CANCELLED},
}
_TOO_LATE = ("JOB_ALREADY_ENDED", "JOB_BEING_CANCELLED")


class Users:
    """People at their clients. Each method is one thing that one of them does, however long it takes."""

    def __init__(self, scene: Scene, clients: Clients, watchers: Watchers) -> None:
        self._scene = scene
        self._clients = clients
        self._watchers = watchers

    def start(self, plan: Plan, chance: random.Random) -> None:
        """Start a job, and watch it to its end."""
        with self._clients.one(chance) as client:
            self._clients.patiently(lambda: plan.upload(client))
        request_id, priority = random_uuid(chance), chance.choice((0, 0, 0, -5, 5))
        twin = None
        if chance.random() < 0.3:
            # Another try of the same request, as a client makes it that has lost the connection.
            others = random.Random(chance.getrandbits(64))
            twin = self._scene.spawn(
                f"{plan.name}: starting it twice", partial(self._create, plan, request_id, priority, others)
            )
        run = None
        with self._clients.one(chance) as client:
            if chance.random() < 0.5:
                job = self._create(plan, request_id, priority, chance).id
            else:
                features, targets = plan.data()
                run = self._clients.patiently(
                    lambda: client.train(
                        features, targets, request_id=request_id, priority=priority, **plan.options
                    )
                )
                job = run.job
            tracked = TrackedJob(job, plan, request_id, priority, twin)
            self._scene.jobs.append(tracked)
            self._scene.count("jobs: started")
            self._watchers.watch_all(tracked, chance, run)

    def start_again(self, job: TrackedJob, chance: random.Random) -> None:
        """Repeat the request that has started a job."""
        with self._verb(job) as free:
            if free:
                again = self._create(job.plan, job.request_id, job.priority, chance)
                job.answers.append(again)
                self._scene.count("users: requests to start a job repeated")
                if again.id != job.id:
                    self._scene.find(f"{job}: its request, repeated, has started job {again.id}")

    def ask(self, verb: str, job: TrackedJob, chance: random.Random) -> None:
        """Pause, resume or cancel a job. While it is paused it cannot be deleted."""
        with self._verb(job) as free:
            answer = self._ask(verb, job, chance) if free else None
            if answer and answer.state not in _LEADS_TO[verb]:
                self._scene.find(f"{job}: after {verb} it is {answer.state}")
            if answer and verb == "pause" and chance.random() < 0.3:
                self._delete_in_vain(job, chance)

    def quarrel(self, job: TrackedJob, chance: random.Random) -> None:
        """Several people at once who do not want the same of a job."""
        with self._verb(job) as free:
            if free:
                verbs = chance.choices(list(_LEADS_TO), [5, 5, 1], k=4)
                others = [random.Random(chance.getrandbits(64)) for _ in verbs]
                wait(
                    self._scene.spawn(f"{verb} of {job}", partial(self._ask, verb, job, other))
                    for verb, other in zip(verbs, others, strict=True)
                )

    def delete(self, job: TrackedJob, chance: random.Random) -> None:
        """Delete a job that has ended, once its log has been read for the records."""
        with self._verb(job) as free, self._clients.one(chance) as client:
            if not (free and job.ended.is_set() and (job.twin is None or job.twin.done())):
                return
            with grpc.insecure_channel(self._scene.target.address) as direct:
                job.log = list(read_strictly(direct, job.id, 0, self._scene.closing))
            job.being_deleted = True
            self._clients.patiently(lambda: client.delete(job.id))
            self._scene.count("jobs: deleted")
            with suppress(NotFoundError):
                still = self._clients.patiently(lambda: client.get(job.id))
                self._scene.find(f"{job}: it was deleted, and is still {still.state}")

    def get(self, job: TrackedJob, chance: random.Random) -> None:
        """Ask how a job stands."""
        with self._verb(job) as free, self._clients.one(chance) as client:
            if free:
                job.answers.append(self._clients.patiently(lambda: client.get(job.id)))

    def list_jobs(self, chance: random.Random) -> None:
        """Ask for all jobs: those that were there before and are there afterwards have to be among them."""
        before = {job.id: job for job in self._scene.jobs}
        with self._clients.one(chance) as client:
            listed = self._clients.patiently(lambda: list(client.jobs()))
        for job in listed:
            if tracked := before.get(job.id):
                tracked.answers.append(job)
        kept = {job.id for job in before.values() if not job.being_deleted}
        if lost := kept - {job.id for job in listed}:
            self._scene.find(f"jobs {lost} are missing in a list")
        if len({job.request_id for job in listed}) < len(listed):
            self._scene.find("a list has two jobs of the same request")

    def _create(self, plan: Plan, request_id: UUID, priority: int, chance: random.Random) -> Job:
        features, targets = plan.data()
        with self._clients.one(chance) as client:
            return self._clients.patiently(
                lambda: client.create(
                    features, targets, request_id=request_id, priority=priority, **plan.options
                )
            )

    @contextmanager
    def _verb(self, job: TrackedJob) -> Iterator[bool]:
        """Be the only one who changes a job; whether that was granted, and the job is there to be changed."""
        if not job.verbs.acquire(blocking=False):
            yield False
            return
        try:
            yield not job.being_deleted
        finally:
            job.verbs.release()

    def _ask(self, verb: str, job: TrackedJob, chance: random.Random) -> Job | None:
        """Ask for something; None when it comes too late."""
        with self._clients.one(chance) as client:
            call: Callable[[str], Job] = getattr(client, verb)
            try:
                answer = self._clients.patiently(lambda: call(job.id))
            except FailedPreconditionError as error:
                if error.reason not in _TOO_LATE:
                    raise
                self._scene.count(f"users: {verb}, too late")
                return None
        self._scene.count(f"users: {verb}")
        job.answers.append(answer)
        return answer

    def _delete_in_vain(self, job: TrackedJob, chance: random.Random) -> None:
        with self._clients.one(chance) as client:
            try:
                self._clients.patiently(lambda: client.delete(job.id))
                self._scene.find(f"{job}: it was deleted while it was paused")
            except FailedPreconditionError as error:
                if error.reason != "JOB_NOT_ENDED":
                    raise
