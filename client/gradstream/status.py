"""From a failed call, or the status on a job, to errors of ours."""

import re

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradstream.arguments import argument_of_field
from gradstream.errors import ERROR_OF_STATUS, Fault, GradstreamError, ServerFaultError, Violation

_TOO_LARGE = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")
_DETAILS_KEY = "grpc-status-details-bin"


def error_of_call(error: grpc.RpcError) -> GradstreamError:
    """The error of ours for a call that failed, of the synchronous or the asyncio stub."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:  # a proxy's, not ours: the code alone has to do
                status.Clear()
    code = error.code().name
    message = status.message or error.details() or code
    reason, _ = _error_info(status)
    if too_large := _TOO_LARGE.search(message):
        # The server never saw this request: gRPC refused it, in words for those who know gRPC.
        reason, (size, most) = "MESSAGE_TOO_LARGE", map(int, too_large.groups())
        message = f"the request has {size:,} bytes and the server takes {most:,}; send fewer rows, or float32"
    violations = _violations(status)
    # The message is for people, who gave arguments; the paths of fields are in the violations.
    for violation in sorted(violations, key=lambda each: -len(each.field)):
        if violation.field:
            message = message.replace(violation.field, argument_of_field(violation.field))
    return ERROR_OF_STATUS.get(code, ServerFaultError)(
        message,
        code=code,
        reason=reason,
        violations=violations,
        retry_after=_retry_after(status),
    )


def fault_of_status(status: status_pb2.Status) -> Fault:
    """What ended a job."""
    reason, details = _error_info(status)
    code = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else str(status.code)
    return Fault(code, reason, status.message, details)


def _error_info(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.reason, dict(info.metadata)
    return "", {}


def _violations(status: status_pb2.Status) -> list[Violation]:
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad_request):
            return [Violation(each.field, each.description) for each in bad_request.field_violations]
    return []


def _retry_after(status: status_pb2.Status) -> float | None:
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            return float(retry.retry_delay.seconds + retry.retry_delay.nanos * 1e-9)
    return None
