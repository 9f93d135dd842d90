"""Errors of calls as ours: without code, reason and fields no program can react and no person understand."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradstream.errors import (
    ERROR_OF_STATUS,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    ServerFaultError,
    Violation,
)
from gradstream.status import error_of_call, fault_of_status


def failed_call(
    code: grpc.StatusCode, message: str, *details: Message, raw: bytes | None = None
) -> grpc.aio.AioRpcError:
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    metadata = grpc.aio.Metadata(
        ("grpc-status-details-bin", status.SerializeToString() if raw is None else raw)
    )
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details=message)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_has_an_error(code: grpc.StatusCode) -> None:
    assert code.name in ERROR_OF_STATUS
    error = error_of_call(failed_call(code, "so it is"))
    assert type(error) is ERROR_OF_STATUS[code.name]
    assert (error.code, str(error)) == (code.name, "so it is")


def test_no_error_is_for_a_status_that_does_not_exist() -> None:
    assert ERROR_OF_STATUS.keys() <= {code.name for code in grpc.StatusCode}


def test_details_arrive() -> None:
    fields = error_details_pb2.BadRequest.FieldViolation
    error = error_of_call(
        failed_call(
            grpc.StatusCode.INVALID_ARGUMENT,
            "no good",
            error_details_pb2.ErrorInfo(reason="INVALID_SPEC", domain="gradstream"),
            error_details_pb2.BadRequest(field_violations=[fields(field="spec.epochs", description="is 0")]),
        )
    )
    assert isinstance(error, InvalidArgumentError)
    assert error.reason == "INVALID_SPEC"
    assert error.violations == (Violation("spec.epochs", "is 0"),)
    assert error.retry_after is None


def test_when_to_try_again_arrives() -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
    error = error_of_call(failed_call(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry))
    assert isinstance(error, ResourceExhaustedError)
    assert error.retry_after == 2.5


def test_details_that_are_no_status_are_passed_over() -> None:
    error = error_of_call(failed_call(grpc.StatusCode.NOT_FOUND, "gone", raw=b"\xff\xff\xff"))
    assert isinstance(error, NotFoundError)
    assert (error.message, error.reason) == ("gone", "")


def test_an_error_without_a_message_says_its_code() -> None:
    error = error_of_call(failed_call(grpc.StatusCode.INTERNAL, ""))
    assert isinstance(error, ServerFaultError)
    assert str(error) == "INTERNAL"


def test_the_fault_of_a_job() -> None:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="the loss is not finite")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="DIVERGED", metadata={"epoch": "7"}))
    fault = fault_of_status(status)
    assert (fault.code, fault.reason, fault.details) == ("INVALID_ARGUMENT", "DIVERGED", {"epoch": "7"})


def test_a_request_that_is_too_large_is_explained() -> None:
    said = "SERVER: Received message larger than max (4080 vs. 2736)"
    error = error_of_call(failed_call(grpc.StatusCode.RESOURCE_EXHAUSTED, said))
    assert isinstance(error, ResourceExhaustedError)
    assert error.reason == "MESSAGE_TOO_LARGE"
    assert "4,080 bytes and the server takes 2,736" in str(error)


def test_messages_name_the_callers_arguments() -> None:
    field = "spec.inline_data.features.data"
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description="has NaN")
    error = error_of_call(
        failed_call(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{field}: has NaN",
            error_details_pb2.BadRequest(field_violations=[violation]),
        )
    )
    assert str(error) == "features: has NaN"
    assert error.violations == (Violation(field, "has NaN"),)
