"""Results from the bytes that they are kept as."""

from collections.abc import Iterable

import numpy as np
from google.protobuf.message import DecodeError

from gradstream.v1 import event_pb2, spec_pb2
from gradstream_server.jobs.events import Completed, Parameters, Receipt, TrainingEnd
from gradstream_server.rpc.tensors import from_tensor

_END_NAMES = {value: name.removeprefix("TRAINING_END_") for name, value in event_pb2.TrainingEnd.items()}


def of_event(event: event_pb2.TrainingEvent) -> bytes | None:
    """The bytes of the result that the last event of a log tells; None when it tells none."""
    if event.HasField("completed"):
        return event.completed.SerializeToString()
    if event.state_change.HasField("result_so_far"):
        return event.state_change.result_so_far.SerializeToString()
    return None


def from_bytes(body: bytes) -> Completed:
    """A result. ValueError when the bytes are damaged."""
    try:
        message = event_pb2.Completed.FromString(body)
    except DecodeError as error:
        raise ValueError("it is damaged") from error
    receipt = message.receipt
    scaling = message.scaling
    return Completed(
        epochs=message.epochs,
        final_loss=message.final_loss,
        parameters=_parameters(message.parameters),
        receipt=Receipt(
            data_digest=receipt.data_digest,
            parameter_digest=receipt.parameter_digest,
            device=receipt.device,
            threads=receipt.threads,
            versions=dict(receipt.versions),
        ),
        training_s=message.training_seconds,
        unscaled_parameters=_parameters(message.unscaled_parameters) or None,
        scaling=(np.array(scaling.mean), np.array(scaling.scale)) if message.HasField("scaling") else None,
        validation_loss=message.validation_loss if message.HasField("validation_loss") else None,
        metrics={metric.name: metric.value for metric in message.metrics},
        best_epoch=message.best_epoch,
        restored=message.restored,
        end=TrainingEnd(end)
        if (end := _END_NAMES.get(message.end, "UNSPECIFIED")) != "UNSPECIFIED"
        else None,
    )


def _parameters(parameters: Iterable[spec_pb2.Parameter]) -> Parameters:
    return {parameter.name: from_tensor(parameter.value) for parameter in parameters}
