"""Validation and stopping of the contract and of the domain, one from the other."""

from gradstream.v1 import spec_pb2
from gradstream_server.jobs.spec import Stopping, StoppingRequest, Validation, ValidationRequest


def validation_request(message: spec_pb2.Validation) -> ValidationRequest:
    """The rows to measure on that a caller asks for."""
    which = message.WhichOneof("rows")
    return ValidationRequest(
        fraction=message.fraction if which == "fraction" else None,
        last_rows=message.last_rows if which == "last_rows" else None,
        dataset=message.dataset if which == "dataset" else None,
        metrics=tuple(message.metrics),
    )


def stopping_request(message: spec_pb2.Stopping) -> StoppingRequest:
    """What ends training, as a caller asks for it."""
    return StoppingRequest(
        patience=message.patience if message.HasField("patience") else None,
        monitor=message.monitor or None,
        min_delta=message.min_delta if message.HasField("min_delta") else None,
        restore_best=message.restore_best if message.HasField("restore_best") else None,
        after_seconds=message.after_seconds if message.HasField("after_seconds") else None,
        after_epochs=message.after_epochs if message.HasField("after_epochs") else None,
    )


def to_validation(validation: Validation) -> spec_pb2.Validation:
    """The message of resolved rows to measure on."""
    message = spec_pb2.Validation(metrics=validation.metrics)
    if validation.dataset:
        message.dataset = validation.dataset
    elif validation.last_rows:
        message.last_rows = validation.last_rows
    else:
        message.fraction = validation.fraction
    return message


def from_validation(message: spec_pb2.Validation) -> Validation:
    """What `to_validation` has written."""
    return Validation(tuple(message.metrics), message.fraction, message.last_rows, message.dataset)


def to_stopping(stopping: Stopping) -> spec_pb2.Stopping:
    """The message of what ends training; what does not is left unset, so that it can be sent again."""
    return spec_pb2.Stopping(
        patience=stopping.patience or None,
        monitor=stopping.monitor,
        min_delta=stopping.min_delta if stopping.monitor else None,
        restore_best=stopping.restore_best if stopping.monitor else None,
        after_seconds=stopping.after_seconds or None,
        after_epochs=stopping.after_epochs or None,
    )


def from_stopping(message: spec_pb2.Stopping) -> Stopping:
    """What `to_stopping` has written."""
    return Stopping(
        patience=message.patience,
        monitor=message.monitor,
        min_delta=message.min_delta,
        restore_best=message.restore_best,
        after_seconds=message.after_seconds,
        after_epochs=message.after_epochs,
    )
