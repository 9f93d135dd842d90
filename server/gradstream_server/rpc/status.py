"""The domain's errors as gRPC statuses with details: the one table from one to the other."""

from collections.abc import Sequence

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradstream_server.jobs import errors
from gradstream_server.jobs.errors import FaultReason

DOMAIN = "gradstream"
# A status travels in metadata, of which gRPC carries 8 KiB, with three bytes for one that is not ASCII: what
# a caller has sent is echoed in part only.
_MAX_MESSAGE_BYTES = 800
_MAX_DESCRIPTION_BYTES = 200

_CODES: dict[type[errors.RequestError], tuple[grpc.StatusCode, str]] = {
    errors.Unauthenticated: (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    errors.OutOfScope: (grpc.StatusCode.PERMISSION_DENIED, "OUT_OF_SCOPE"),
    errors.InvalidSpec: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SPEC"),
    errors.InvalidRequest: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    errors.JobNotFound: (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND"),
    errors.RequestIdReused: (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    errors.DeviceNotAvailable: (grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_NOT_AVAILABLE"),
    errors.JobAlreadyEnded: (grpc.StatusCode.FAILED_PRECONDITION, "JOB_ALREADY_ENDED"),
    errors.JobBeingCancelled: (grpc.StatusCode.FAILED_PRECONDITION, "JOB_BEING_CANCELLED"),
    errors.JobNotEnded: (grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_ENDED"),
    errors.SequenceBeyondLog: (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_BEYOND_LOG"),
    errors.DatasetNotFound: (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND"),
    errors.DatasetInUse: (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE"),
    errors.ModelNotFound: (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    errors.FormatNotAvailable: (grpc.StatusCode.FAILED_PRECONDITION, "FORMAT_NOT_AVAILABLE"),
    errors.ModelUnusable: (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNUSABLE"),
    errors.ModelUnloaded: (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNLOADED"),
    errors.UnreadableData: (grpc.StatusCode.INVALID_ARGUMENT, "UNREADABLE_DATA"),
    errors.UploadInterrupted: (grpc.StatusCode.ABORTED, "UPLOAD_INTERRUPTED"),
    errors.DigestMismatch: (grpc.StatusCode.DATA_LOSS, "DIGEST_MISMATCH"),
    errors.QueueFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    errors.TooManyWatches: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES"),
    errors.TooManyUploads: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS"),
    errors.TooManyChecks: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CHECKS"),
    errors.TooManyPredictions: (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PREDICTIONS"),
    errors.NoRoom: (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"),
    errors.NoWorker: (grpc.StatusCode.UNAVAILABLE, "NO_WORKER"),
    errors.Draining: (grpc.StatusCode.UNAVAILABLE, "DRAINING"),
}

_FAULT_CODES = {
    # The same spec diverges every time.
    FaultReason.DIVERGED: code_pb2.INVALID_ARGUMENT,
    FaultReason.PREDICTIONS_NOT_FINITE: code_pb2.INVALID_ARGUMENT,
    FaultReason.OUT_OF_MEMORY: code_pb2.RESOURCE_EXHAUSTED,
    FaultReason.NO_ROWS_LEFT: code_pb2.INVALID_ARGUMENT,
    FaultReason.CANNOT_TRAIN: code_pb2.FAILED_PRECONDITION,
    FaultReason.MODULE_FAILED: code_pb2.INTERNAL,
    FaultReason.DATA_LOST: code_pb2.DATA_LOSS,
    FaultReason.TRAINER_FAILED: code_pb2.INTERNAL,
    FaultReason.WORKER_DIED: code_pb2.INTERNAL,
    FaultReason.TIME_LIMIT_EXCEEDED: code_pb2.DEADLINE_EXCEEDED,
    FaultReason.STORAGE_FULL: code_pb2.RESOURCE_EXHAUSTED,
    FaultReason.SERVER_STOPPED: code_pb2.UNAVAILABLE,
}


def request_status(error: errors.RequestError) -> status_pb2.Status:
    """The status of an error that a caller can do something about."""
    if isinstance(error, errors.CheckFailed):
        return fault_status(error.fault)
    code, reason = _CODES[type(error)]
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)]
    match error:
        case errors.InvalidRequest():
            details.append(_bad_request(error.violations))
        case errors.DeviceNotAvailable():
            details.append(_bad_request([errors.Violation("spec.device", str(error).partition(": ")[2])]))
        case errors.Busy():
            retry = error_details_pb2.RetryInfo(retry_delay=Duration())
            retry.retry_delay.FromMicroseconds(int(error.retry_after_s * 1e6))
            details.append(retry)
    return _status(code.value[0], _shortened(str(error), _MAX_MESSAGE_BYTES), details)


def fault_status(fault: errors.Fault) -> status_pb2.Status:
    """The status of what has ended a job."""
    info = error_details_pb2.ErrorInfo(reason=fault.reason, domain=DOMAIN, metadata=dict(fault.facts))
    return _status(_FAULT_CODES[fault.reason], fault.message, [info])


def internal_status(incident: str) -> status_pb2.Status:
    """The status of anything unforeseen: nothing of it but an id that the log knows."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident})
    message = f"a fault of the server; its log tells more under incident {incident}"
    return _status(code_pb2.INTERNAL, message, [info])


def _bad_request(violations: Sequence[errors.Violation]) -> Message:
    message: Message = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=v.field, description=_shortened(v.description, _MAX_DESCRIPTION_BYTES)
            )
            for v in violations
        ]
    )
    return message


def _shortened(text: str, most: int) -> str:
    """A text of at most so many bytes: the middle gives way, because the end says what is allowed."""
    content = text.encode()
    if len(content) <= most:
        return text
    half = (most - 3) // 2
    return f"{content[:half].decode(errors='ignore')}...{content[-half:].decode(errors='ignore')}"


def _status(code: int, message: str, details: list[Message]) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=message, details=packed)
