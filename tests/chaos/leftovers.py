"""What may be left of a server that has stopped: nothing but its jobs and their data."""

import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from tests.chaos.target import Target
from tests.chaos.tracked import TrackedJob
from tests.processes import command_line

from gradstream import Completed, Job, Model

_PATIENCE_S = 20
_OWN = {
    "lock",
    "gradstream.sqlite",
    "gradstream.sqlite-wal",
    "gradstream.sqlite-shm",
    "gradstream.sqlite-reserve",
}
_PASSING = ("matrices", "uploads")


def lost_models(tracked: Iterable[TrackedJob], models: list[Model]) -> Iterator[str]:
    """Jobs that have come to a result, deleted or not, and whose models are gone."""
    there = {model.job for model in models}
    for job in tracked:
        if any(isinstance(event, Completed) for event in job.log) and job.id not in there:
            yield f"{job}: its model is lost"


def stray_processes(target: Target) -> Iterator[str]:
    """Processes that are still there when the server has stopped."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := target.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        yield f"process {pid} is left: {command_line(pid)}"


def stray_files(
    data_dir: Path, jobs: list[Job], models: list[Model], datasets: Collection[str]
) -> Iterator[str]:
    """Files that belong to no job, model or data set, when all jobs have ended and the server has stopped."""
    digests = {job.spec.data_digest for job in jobs if not (job.spec.reference or job.spec.dataset)}
    data = {f"{digest}.npy" for digest in digests}
    for path in sorted((data_dir / "data").iterdir()):
        if path.name not in data:
            yield f"data/{path.name} is left, {path.stat().st_size} bytes that no job has"
    for name in data - {path.name for path in (data_dir / "data").iterdir()}:
        yield f"data/{name} is gone, which a job has"
    for path in sorted((data_dir / "checkpoints").rglob("*")):
        yield f"{path.relative_to(data_dir)} is left, and no job lives"
    for path in sorted((data_dir / "datasets").iterdir()):
        if path.name not in datasets:
            yield f"datasets/{path.name} is left, and is no data set"
    results = {f"{job}.result" for job in {model.job for model in models} - {job.id for job in jobs}}
    for path in sorted((data_dir / "models").iterdir()):
        if path.name not in results:
            yield f"models/{path.name} is left, and is of no deleted job with a model"
    for folder in _PASSING:
        for path in sorted((data_dir / folder).iterdir()):
            yield f"{path.relative_to(data_dir)} is left, and nobody uploads or trains"
    for path in sorted(data_dir.iterdir()):
        if path.name not in {"data", "checkpoints", "datasets", "models", *_PASSING, *_OWN}:
            yield f"{path.name} is left"


def complaints(log: Path) -> Iterator[str]:
    """What the server has told in its log as a fault of its own."""
    for number, line in enumerate(log.read_text().splitlines(), 1):
        if "level=error" in line or line.startswith("Traceback") or "Warning:" in line:
            yield f"{log}, line {number}: {line}"
