"""Errors on their way out: each has its status, its reason and its details, however long it is."""

import inspect

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gradstream.v1 import event_pb2, spec_pb2
from gradstream_server.jobs import errors
from gradstream_server.jobs.errors import Fault, FaultReason, Violation
from gradstream_server.jobs.job import JobState
from gradstream_server.rpc import pages
from gradstream_server.rpc.status import fault_status, internal_status, request_status
from gradstream_server.rpc.tensors import DTYPES

# gRPC refuses metadata of more than 8 KiB: the message, percent-encoded, and all of the status in base64.
METADATA_BYTES = 8192

CONTRACT = [
    (errors.InvalidSpec([Violation("spec.epochs", "is 0")]), "INVALID_ARGUMENT", "INVALID_SPEC"),
    (errors.InvalidRequest([Violation("page_size", "is -1")]), "INVALID_ARGUMENT", "INVALID_REQUEST"),
    (errors.JobNotFound("a"), "NOT_FOUND", "JOB_NOT_FOUND"),
    (errors.RequestIdReused("id", "a"), "ALREADY_EXISTS", "REQUEST_ID_REUSED"),
    (errors.DeviceNotAvailable("cuda", ["cpu"]), "FAILED_PRECONDITION", "DEVICE_NOT_AVAILABLE"),
    (errors.JobAlreadyEnded("a", "FAILED", "paused"), "FAILED_PRECONDITION", "JOB_ALREADY_ENDED"),
    (errors.JobBeingCancelled("a"), "FAILED_PRECONDITION", "JOB_BEING_CANCELLED"),
    (errors.JobNotEnded("a", "RUNNING"), "FAILED_PRECONDITION", "JOB_NOT_ENDED"),
    (errors.SequenceBeyondLog("a", 9, 1), "OUT_OF_RANGE", "SEQUENCE_BEYOND_LOG"),
    (errors.DatasetNotFound("ab", []), "NOT_FOUND", "DATASET_NOT_FOUND"),
    (errors.DatasetInUse("ab"), "FAILED_PRECONDITION", "DATASET_IN_USE"),
    (errors.ModelNotFound("a", 0, [], ["b"]), "NOT_FOUND", "MODEL_NOT_FOUND"),
    (errors.FormatNotAvailable("no"), "FAILED_PRECONDITION", "FORMAT_NOT_AVAILABLE"),
    (errors.ModelUnusable("no"), "FAILED_PRECONDITION", "MODEL_UNUSABLE"),
    (errors.ModelUnloaded("a"), "FAILED_PRECONDITION", "MODEL_UNLOADED"),
    (errors.UnreadableData("row 3 is too short"), "INVALID_ARGUMENT", "UNREADABLE_DATA"),
    (errors.UploadInterrupted("id", 5), "ABORTED", "UPLOAD_INTERRUPTED"),
    (errors.DigestMismatch("ab", "cd"), "DATA_LOSS", "DIGEST_MISMATCH"),
    (errors.TooManyUploads(1, 1.5), "RESOURCE_EXHAUSTED", "TOO_MANY_UPLOADS"),
    (errors.TooManyChecks(1, 1.5), "RESOURCE_EXHAUSTED", "TOO_MANY_CHECKS"),
    (errors.TooManyPredictions(1, 1.5), "RESOURCE_EXHAUSTED", "TOO_MANY_PREDICTIONS"),
    (errors.CheckFailed(Fault(FaultReason.DIVERGED, "not finite")), "INVALID_ARGUMENT", "DIVERGED"),
    (errors.QueueFull(1, 1.5), "RESOURCE_EXHAUSTED", "QUEUE_FULL"),
    (errors.TooManyWatches(1, 1.5), "RESOURCE_EXHAUSTED", "TOO_MANY_WATCHES"),
    (errors.NoRoom(), "RESOURCE_EXHAUSTED", "STORAGE_FULL"),
    (errors.Draining(), "UNAVAILABLE", "DRAINING"),
    (errors.NoWorker(), "UNAVAILABLE", "NO_WORKER"),
    (errors.Unauthenticated("who?"), "UNAUTHENTICATED", "UNAUTHENTICATED"),
    (errors.OutOfScope("/a/Train", "train", "read"), "PERMISSION_DENIED", "OUT_OF_SCOPE"),
]


def detail(status: status_pb2.Status, kind: type) -> object | None:
    """The detail of a kind, if there is one."""
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


@pytest.mark.parametrize(("error", "code", "reason"), CONTRACT, ids=[case[2] for case in CONTRACT])
def test_each_error_has_its_code_and_reason(error: errors.RequestError, code: str, reason: str) -> None:
    """A program could not tell from the reason what to do, against what the contract says."""
    status = request_status(error)
    assert (code_pb2.Code.Name(status.code), status.message) == (code, str(error))
    info = detail(status, error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (reason, "gradstream")


def test_no_error_is_forgotten() -> None:
    """An error without a status would reach the user as a fault of the server."""
    bases = (errors.RequestError, errors.Busy)
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.RequestError) and kind not in bases
    }
    assert {type(error) for error, _, _ in CONTRACT} == kinds


def test_details_name_fields_and_say_when_to_try_again() -> None:
    """A client could not point at the field, or would hammer a full queue."""
    bad = detail(request_status(CONTRACT[0][0]), error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [("spec.epochs", "is 0")]
    device = detail(request_status(errors.DeviceNotAvailable("cuda", ["cpu"])), error_details_pb2.BadRequest)
    assert isinstance(device, error_details_pb2.BadRequest)
    assert device.field_violations[0].field == "spec.device"
    retry = detail(request_status(errors.QueueFull(1, 1.5)), error_details_pb2.RetryInfo)
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5


@pytest.mark.parametrize("character", ["x", "ß", "🙂"])
def test_a_status_fits_into_metadata_whatever_was_sent(character: str) -> None:
    """A user with a long mistake would read RESOURCE_EXHAUSTED instead of what is wrong."""
    long = character * 50_000
    description = f"is {long!r}; allowed: end"
    many = [Violation(f"spec.initial_parameters[{i}].name", description) for i in range(1000)]
    for error in (
        errors.JobNotFound(long),
        errors.InvalidSpec(many),
        errors.DeviceNotAvailable(long, ["cpu"]),
    ):
        status = request_status(error)
        encoded = sum(1 if 32 <= byte < 127 else 3 for byte in status.message.encode())
        assert encoded + 4 * len(status.SerializeToString()) / 3 < METADATA_BYTES - 500
    bad = detail(request_status(errors.InvalidSpec(many)), error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations[0].description.endswith("allowed: end")
    assert str(errors.InvalidSpec(many)).endswith("; and 990 more")


@pytest.mark.parametrize("reason", FaultReason)
def test_each_fault_of_a_job_has_a_code(reason: FaultReason) -> None:
    """The end of a job could not be written, and its watchers would wait for ever."""
    status = fault_status(Fault(reason, "what happened", {"epoch": "3"}))
    assert status.code not in (code_pb2.OK, code_pb2.UNKNOWN)
    assert status.message == "what happened"
    info = detail(status, error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, dict(info.metadata)) == (reason, {"epoch": "3"})


def test_a_fault_of_the_server_says_an_id_only() -> None:
    """Paths and values of the server's inside would reach whoever asks."""
    status = internal_status("abc123")
    assert status.code == code_pb2.INTERNAL
    assert "abc123" in status.message


def test_states_and_dtypes_are_those_of_the_contract() -> None:
    """A state added on one side alone would be a fault of the server."""
    contract = set(event_pb2.JobState.keys()) - {"JOB_STATE_UNSPECIFIED"}
    assert {f"JOB_STATE_{state}" for state in JobState} == contract
    assert (
        {spec_pb2.Dtype.Name(value) for value in DTYPES.values()}
        == {f"DTYPE_{name.upper()}" for name in DTYPES}
        == set(spec_pb2.Dtype.keys()) - {"DTYPE_UNSPECIFIED"}
    )


@pytest.mark.parametrize("number", [1, 7, 10**17])
def test_page_tokens_lead_on(number: int) -> None:
    """A user could not see the second page."""
    assert pages.cursor(pages.token(number)) == number
    assert (pages.cursor(""), pages.token(None)) == (None, "")


@pytest.mark.parametrize(
    "token", ["7", "before-", "before--1", "before-x", "before-²", "before-" + "9" * 40, "\0"]
)
def test_a_token_that_no_page_has_given_is_refused(token: str) -> None:
    """A user with a mangled token would silently begin at the start, or get a fault of the server."""
    with pytest.raises(errors.InvalidRequest, match="page_token"):
        pages.cursor(token)
