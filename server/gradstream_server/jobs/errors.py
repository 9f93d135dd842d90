"""What can be wrong with a request, or with a job. Free of transport; `rpc/status.py` gives each a status.

RequestError                    the caller can do something about it
├── Unauthenticated             nothing says who he is
├── OutOfScope                  he may not do this
├── InvalidRequest              fields out of range, by path
│   └── InvalidSpec             the same, of a spec
├── JobNotFound
├── RequestIdReused
├── DeviceNotAvailable
├── JobAlreadyEnded
├── JobBeingCancelled
├── JobNotEnded
├── SequenceBeyondLog
├── DatasetNotFound
├── DatasetInUse
├── ModelNotFound
├── FormatNotAvailable
├── ModelUnusable
├── ModelUnloaded
├── UnreadableData
├── UploadInterrupted
├── DigestMismatch
├── Busy                        try again after `retry_after_s`
│   ├── QueueFull
│   ├── TooManyWatches
│   ├── TooManyUploads
│   ├── TooManyChecks
│   ├── TooManyPredictions
│   └── NoRoom                  the disk is full
├── CheckFailed                 gradients could not be compared, for the same reasons as jobs fail
├── NoWorker                    the workers do not start
└── Draining

`Fault` is a value, not an exception: what ended a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

_MOST_SHOWN = 10


@dataclass(frozen=True)
class Violation:
    """A field out of range: its path, such as `spec.epochs`, and what is wrong and what is allowed."""

    field: str
    description: str


class RequestError(Exception):
    """Base of all that a caller can do something about; the text is for the caller."""


class Unauthenticated(RequestError):
    """Nothing tells who calls, or nothing that holds. The text never holds what was sent."""


class OutOfScope(RequestError):
    """The caller may do less than this takes."""

    def __init__(self, method: str, needed: str, has: str) -> None:
        super().__init__(
            f"{method.rpartition('/')[2]} takes the scope {needed}, and the caller has {has}; have a token "
            f"made with --scope {needed}, or ask who runs the server"
        )


_TOLD_VIOLATIONS = 10


class InvalidRequest(RequestError):
    """Fields of a request are out of range. Of many, the first are told."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations[:_TOLD_VIOLATIONS])
        told = [f"{v.field}: {v.description}" for v in self.violations]
        if more := len(violations) - len(told):
            told.append(f"and {more} more")
        super().__init__("; ".join(told))


class InvalidSpec(InvalidRequest):
    """Fields of a spec are out of range."""


class JobNotFound(RequestError):
    """No job has this id."""

    def __init__(self, job: str) -> None:
        super().__init__(f"there is no job {job!r}; ListJobs names those there are")


class RequestIdReused(RequestError):
    """The request id has started another job."""

    def __init__(self, request_id: str, job: str) -> None:
        self.job = job
        super().__init__(
            f"request id {request_id} has started job {job} with another spec; use a new id for a new job"
        )


class DeviceNotAvailable(RequestError):
    """The server does not have the device."""

    def __init__(self, device: str, available: Sequence[str]) -> None:
        super().__init__(f"spec.device: {device!r} is not here; this server has {', '.join(available)}")


class JobAlreadyEnded(RequestError):
    """The verb needs a job that still lives."""

    def __init__(self, job: str, state: str, done: str) -> None:
        said = "was cancelled already" if state == "CANCELLED" else f"has already {state.lower()}"
        super().__init__(f"job {job} {said}; only a job that has not ended can be {done}")


class JobBeingCancelled(RequestError):
    """The job is on its way to be CANCELLED."""

    def __init__(self, job: str) -> None:
        super().__init__(f"job {job} is being cancelled; what it has reached comes with its last event")


class JobNotEnded(RequestError):
    """The verb needs a job that has ended."""

    def __init__(self, job: str, state: str) -> None:
        super().__init__(
            f"job {job} is {state.lower()}; only a job that has ended can be deleted: cancel it first"
        )


class SequenceBeyondLog(RequestError):
    """The watcher says it has seen events that are not there."""

    def __init__(self, job: str, after: int, last: int) -> None:
        what = f"after_sequence is {after}, but the log of job {job} ends with {last}"
        super().__init__(f"{what}; watch after {last} or less")


class DatasetNotFound(RequestError):
    """No data set, or more than one, has this digest or begins so."""

    def __init__(self, dataset: str, alike: Sequence[str] = ()) -> None:
        if alike:
            text = f"{len(alike)} data sets begin with {dataset!r}; give more of the digest"
        else:
            text = f"there is no data set {dataset!r}; ListDatasets names those there are"
        super().__init__(text)


class DatasetInUse(RequestError):
    """Jobs that have not ended train on the data set."""

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"jobs that have not ended train on data set {digest[:12]}; let them end, or cancel them, first"
        )


class ModelNotFound(RequestError):
    """No model has this name, or none of this name the version."""

    def __init__(self, name: str, version: int, versions: Sequence[int], nearest: Sequence[str]) -> None:
        """
        Args:
            versions: those that there are of the name.
            nearest: names that may have been meant.
        """
        if versions:
            shown = [str(each) for each in versions[-_MOST_SHOWN:]]
            there = ", ".join((["..."] if len(versions) > _MOST_SHOWN else []) + shown)
            verb = "is" if len(versions) == 1 else "are"
            text = f"model {name!r} has no version {version}; there {verb} {there}"
        elif nearest:
            text = f"there is no model {name!r}; did you mean {' or '.join(map(repr, nearest))}?"
        else:
            text = f"there is no model {name!r}; ListModels names those there are"
        super().__init__(text)


class FormatNotAvailable(RequestError):
    """A model cannot be had in a format, at all or from this server; the text says why."""


class ModelUnusable(RequestError):
    """What is kept of a model does not make one; the text says why."""


class ModelUnloaded(RequestError):
    """A model is not to be asked, by whoever looks after this server."""

    def __init__(self, name: str, version: int = 0) -> None:
        which = f"model {name!r} version {version} is" if version else f"all versions of model {name!r} are"
        super().__init__(f"{which} unloaded; RepositoryModelLoad lets it be asked again")


class UnreadableData(RequestError):
    """A file is not the table that its name says. The text says what is wrong, and where."""


class UploadInterrupted(RequestError):
    """A chunk does not follow what is there of its upload."""

    def __init__(self, upload: str, committed_bytes: int) -> None:
        super().__init__(f"upload {upload} goes on at byte {committed_bytes}; begin it again from there")


class DigestMismatch(RequestError):
    """What has arrived is not what was sent."""

    def __init__(self, sent: str, received: str) -> None:
        super().__init__(
            f"the file has arrived with SHA-256 {received}, but was sent with {sent}; nothing is kept, "
            "upload it again"
        )


class Busy(RequestError):
    """There is no room now."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{text}; try again in {retry_after_s:g} s")


class QueueFull(Busy):
    """As many jobs wait as may."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(f"the queue is full: {limit} jobs wait already", retry_after_s)


class TooManyWatches(Busy):
    """As many streams are open as may be."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(f"{limit} streams are open already", retry_after_s)


class TooManyUploads(Busy):
    """As many files are being received as may be."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(f"{limit} files are being received already", retry_after_s)


class TooManyChecks(Busy):
    """As many comparisons of gradients wait as may."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(f"{limit} checks of gradients wait already", retry_after_s)


class TooManyPredictions(Busy):
    """As many requests wait for installed modules as may."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(f"{limit} requests wait for installed modules already", retry_after_s)


class NoRoom(Busy):
    """The server's disk is full."""

    def __init__(self) -> None:
        super().__init__(
            "the server's disk is full, nothing of the request was kept; make room",
            retry_after_s=30,
        )


class Draining(RequestError):
    """The server is stopping."""

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again when it is back")


class NoWorker(RequestError):
    """The workers do not start, so nobody knows the devices and nothing can be trained."""

    def __init__(self) -> None:
        super().__init__("the server's workers do not start; its log tells why, and it goes on trying")


class FaultReason(StrEnum):
    """Why a job failed; programs can rely on it."""

    DIVERGED = "DIVERGED"
    PREDICTIONS_NOT_FINITE = "PREDICTIONS_NOT_FINITE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DATA_LOST = "DATA_LOST"
    NO_ROWS_LEFT = "NO_ROWS_LEFT"
    CANNOT_TRAIN = "CANNOT_TRAIN"
    MODULE_FAILED = "MODULE_FAILED"
    TRAINER_FAILED = "TRAINER_FAILED"
    WORKER_DIED = "WORKER_DIED"
    TIME_LIMIT_EXCEEDED = "TIME_LIMIT_EXCEEDED"
    STORAGE_FULL = "STORAGE_FULL"
    SERVER_STOPPED = "SERVER_STOPPED"
    """Only in data directories of development versions, which could not go on with a job."""


@dataclass(frozen=True)
class Fault:
    """What ended a job, with a sentence for people and facts for programs."""

    reason: FaultReason
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)


class CheckFailed(RequestError):
    """Gradients could not be compared."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)
