"""What can go wrong, free of transport.

GradstreamError
├── InvalidArgumentError      the request holds a value that is not allowed; see `violations`
├── OutOfRangeError           a sequence that the log does not have
├── NotFoundError             there is no such job, data set or model
├── AlreadyExistsError        a request id used again with another spec
├── FailedPreconditionError   not now or not here: a missing device, a job in another state, data in use
├── ResourceExhaustedError    a limit: a full queue or disk, a request too large; see `retry_after`
├── AccessDeniedError         the server does not let this caller
├── UnavailableError          the server could not be reached, or is stopping
│   └── ServerUnreachableError   there is no gradstream server at the address, or it does not come back
├── DeadlineExceededError     no answer in time
├── UnsupportedError          the server does not know this call: it is older, or not gradstream
├── ServerFaultError          a fault inside the server
├── CallCancelledError        the call was given up
├── BundleError               a file is no bundle, or one that is damaged or too new
└── JobEndedError             the job has ended without a result; see `result_so_far`
    ├── JobFailedError           a fault ended it; see `fault`
    └── JobCancelledError        somebody cancelled it
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradstream.events import Completed


@dataclass(frozen=True, slots=True)
class Violation:
    """A value that is not allowed."""

    field: str
    """Path of the field in the request, such as `spec.inline_data.features.shape`; the message of the error
    names the argument instead: `features`."""
    description: str
    """What is allowed there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What ended a job."""

    code: str
    """Name of the status code, such as "FAILED_PRECONDITION"."""
    reason: str
    """What programs can rely on: DIVERGED, PREDICTIONS_NOT_FINITE, OUT_OF_MEMORY, TIME_LIMIT_EXCEEDED,
    WORKER_DIED, STORAGE_FULL, CANNOT_TRAIN, TRAINER_FAILED and others that the contract lists at
    `StateChange.error`."""
    message: str
    """What happened, for people."""
    details: dict[str, str] = field(default_factory=dict)
    """What else the server tells of it, such as the epoch."""


class GradstreamError(Exception):
    """Anything that this package raises on purpose."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        violations: Iterable[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, in a sentence for people."""
        self.code = code
        """Name of the gRPC status code, such as "NOT_FOUND"; empty where no call failed."""
        self.reason = reason
        """What programs can rely on, such as "JOB_NOT_FOUND"; empty when the server gave none."""
        self.violations = tuple(violations)
        """The fields that were refused, with what they allow."""
        self.retry_after = retry_after
        """Seconds after which it is worth trying again, where the server says so."""


class InvalidArgumentError(GradstreamError):
    """The request holds a value that is not allowed; `violations` name each field."""


class OutOfRangeError(GradstreamError):
    """The sequence to go on from lies beyond the log of the job."""


class NotFoundError(GradstreamError):
    """There is no such job, data set or model."""


class AlreadyExistsError(GradstreamError):
    """The request id was used before, with another spec."""


class FailedPreconditionError(GradstreamError):
    """What is asked is not possible here or now: a missing device, a job that has ended, is being cancelled,
    or has not ended and is to be deleted."""


class ResourceExhaustedError(GradstreamError):
    """A limit of the server is reached; `retry_after` says when to try again, where that helps."""


class AccessDeniedError(GradstreamError):
    """The server does not let this caller do this."""


class UnavailableError(GradstreamError):
    """The server could not be reached for as long as the client was willing to try, or is stopping."""


class ServerUnreachableError(UnavailableError):
    """There is no server at the address, or none of gradstream; or there was one, and it has not come back
    for as long as the client was willing to wait (the reason is SERVER_LOST then)."""


class DeadlineExceededError(GradstreamError):
    """The server did not answer in time."""


class UnsupportedError(GradstreamError):
    """The server does not know this call: it is older than this client, or no gradstream server."""


class ServerFaultError(GradstreamError):
    """A fault inside the server; the message holds an id to look for in its log."""


class CallCancelledError(GradstreamError):
    """The call was given up before it was answered."""


class BundleError(GradstreamError):
    """A file is no bundle that can be read. The reason is BUNDLE_DAMAGED, BUNDLE_TOO_LARGE, or BUNDLE_VERSION
    for one of a version of the format that this gradstream does not know."""


class JobEndedError(GradstreamError):
    """The job has ended without a result."""

    def __init__(
        self,
        message: str,
        *,
        job: str,
        code: str = "",
        reason: str = "",
        result_so_far: "Completed | None" = None,
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.job = job
        """The job."""
        self.result_so_far = result_so_far
        """What training had reached, a usable model; None when there is none."""


class JobFailedError(JobEndedError):
    """A fault ended the job; its curve until then is kept."""

    def __init__(self, job: str, fault: Fault, result_so_far: "Completed | None" = None) -> None:
        super().__init__(
            f"job {job} failed: {fault.message}",
            job=job,
            code=fault.code,
            reason=fault.reason,
            result_so_far=result_so_far,
        )
        self.fault = fault
        """What went wrong."""


class JobCancelledError(JobEndedError):
    """Somebody cancelled the job; its curve until then is kept."""

    def __init__(self, job: str, why: str = "", result_so_far: "Completed | None" = None) -> None:
        message = f"job {job} was cancelled{': ' + why if why else ''}"
        super().__init__(message, job=job, result_so_far=result_so_far)


ERROR_OF_STATUS: dict[str, type[GradstreamError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "OUT_OF_RANGE": OutOfRangeError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": AlreadyExistsError,
    "FAILED_PRECONDITION": FailedPreconditionError,
    "ABORTED": FailedPreconditionError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "UNAUTHENTICATED": AccessDeniedError,
    "PERMISSION_DENIED": AccessDeniedError,
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "UNIMPLEMENTED": UnsupportedError,
    "INTERNAL": ServerFaultError,
    "UNKNOWN": ServerFaultError,
    "DATA_LOSS": ServerFaultError,
    "CANCELLED": CallCancelledError,
}
"""Our error for each gRPC status code but OK."""
