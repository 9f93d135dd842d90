"""One round of chaos: references, then a server, jobs, watchers and faults, then the checks."""

import faulthandler
import random
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from tests.chaos.clients import Clients
from tests.chaos.dice import Dice
from tests.chaos.faults import Faults
from tests.chaos.plans import make_plans
from tests.chaos.references import References
from tests.chaos.report import Report
from tests.chaos.scene import Scene
from tests.chaos.strict_reader import read_strictly
from tests.chaos.target import ServerFault, Target
from tests.chaos.users import Users
from tests.chaos.verdict import judge, take_stock
from tests.chaos.watchers import Watchers
from tests.proxy import cutting_proxy
from tests.server import running_server

from gradstream import Client, FailedPreconditionError, Job, Model

_WORKERS = 2
_THREADS = 1
"""Of each worker: more than there are cores for would wait for each other most of the time."""
_PLANS = 14
_ENOUGH = {
    "jobs: started": 24,
    "faults: workers killed": 3,
    "faults: servers killed": 2,
    "faults: cuts of all connections": 3,
    "faults: stalls of all connections": 1,
}
"""Below this a round has shown little, and goes on for a while: a busy machine does less in a second."""
_LONGEST = 3
"""As many times as long as asked for."""
_LONGEST_PAUSE_S = 0.2
_END_S = 120
"""Within this all jobs have to end once nothing disturbs them any more."""


def run_round(seed: int, seconds: float, folder: Path) -> Report:
    """Train references, cause chaos for so many seconds, and check what has come of it."""
    chance = random.Random(seed)
    plans = make_plans(chance, _PLANS)
    computing = ("--workers", str(_WORKERS), "--threads", str(_THREADS))
    eager = (
        "--checkpoint-interval",
        "0.1",
        "--max-restarts",
        "1000",
        "--heartbeat",
        "0.5",
        "--stop-grace",
        "1",
    )
    with running_server(folder / "undisturbed", *computing) as undisturbed:
        references = References(undisturbed.address)
        references.prepare(plans, _WORKERS)
        target = Target(folder, chance, computing + eager)
        with cutting_proxy(target.address) as proxy:
            scene = Scene(target, proxy, plans, chance)
            try:
                jobs, models = _disturb(scene, seconds)
                judge(scene, jobs, models, references)
            except ServerFault as fault:
                scene.find(f"{fault}; see {target.log}")
            finally:
                scene.close()
                target.close()
    take_stock(scene)
    for what in _lacks(scene):
        scene.find(f"too little happened: {scene.counts[what]} times {what}, {_ENOUGH[what]} are the least")
    return Report(scene.counts, scene.findings)


def _disturb(scene: Scene, seconds: float) -> tuple[list[Job], list[Model]]:
    """The chaos. Returns the jobs and models that the server has in the end, when it has stopped."""
    scene.target.start()
    faults = Faults(scene)
    with _clients(scene) as clients:
        watchers = Watchers(scene, clients)
        dice = Dice(scene, Users(scene, clients, watchers), watchers, faults)
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds or (
            passed < _LONGEST * seconds and _lacks(scene)
        ):
            dice.roll()
            time.sleep(scene.chance.uniform(0, _LONGEST_PAUSE_S))
        faults.end()
        _let_end(scene, dice)
        jobs, models = _record(scene)
    scene.target.ask_to_stop()
    scene.target.await_stop()
    # A worker that was suspended while its server was killed may write when it wakes up: what it leaves is
    # removed at the next start.
    scene.target.start()
    scene.target.ask_to_stop()
    scene.target.await_stop()
    return jobs, models


def _lacks(scene: Scene) -> list[str]:
    return [what for what, least in _ENOUGH.items() if scene.counts[what] < least]


@contextmanager
def _clients(scene: Scene) -> Iterator[Clients]:
    clients = Clients(scene)
    try:
        yield clients
    finally:
        scene.close()
        clients.close()


def _let_end(scene: Scene, dice: Dice) -> None:
    """Wait until all jobs have ended and nobody is under way any more; those that are paused go on."""
    deadline = time.monotonic() + _END_S
    with Client(scene.target.address) as client:
        while wait(dice.starts, timeout=0.5).not_done and time.monotonic() < deadline:
            for job in scene.jobs:
                if not job.ended.is_set():
                    with suppress(FailedPreconditionError):  # It has just ended, or is being cancelled.
                        client.resume(job.id)
        for job in scene.jobs:
            if not job.ended.is_set():
                scene.find(f"{job} does not end: it is {client.get(job.id)}")
    wait(scene.under_way(), timeout=_END_S)
    if stuck := scene.under_way():
        threads = scene.target.log.with_name("threads.txt")
        with threads.open("w") as file:
            faulthandler.dump_traceback(file)
        for what in stuck.values():
            scene.find(f"does not come to an end: {what}; see {threads}")


def _record(scene: Scene) -> tuple[list[Job], list[Model]]:
    """Read the logs that are left, and what the server says of all jobs and models."""
    tracked = {job.id: job for job in scene.jobs}
    with Client(scene.target.address) as client, grpc.insecure_channel(scene.target.address) as channel:
        for job in scene.jobs:
            if not job.being_deleted and job.ended.is_set():
                job.log = list(read_strictly(channel, job.id, 0, scene.closing))
                job.answers.append(client.get(job.id))
        jobs, models = list(client.jobs()), list(client.models())
    for listed in jobs:
        if listed.id not in tracked or tracked[listed.id].being_deleted:
            scene.find(f"there is a job {listed.id}, {listed.state}, that is deleted or was never started")
        else:
            tracked[listed.id].answers.append(listed)
    for missing in tracked.keys() - {listed.id for listed in jobs}:
        if not tracked[missing].being_deleted:
            scene.find(f"{tracked[missing]} is lost")
    return jobs, models
