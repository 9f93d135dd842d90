"""The bytes of specs and events, as they travel and as they are kept: implements `jobs/codec.py`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from gradstream.v1 import event_pb2, spec_pb2
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    Scaling,
    Started,
    StateChange,
    Warned,
)
from gradstream_server.jobs.job import Job
from gradstream_server.jobs.spec import Spec
from gradstream_server.rpc import results, specs
from gradstream_server.rpc.status import fault_status
from gradstream_server.rpc.tensors import to_parameters, to_tensor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ProtoCodec:
    """Encodes to gradstream.v1."""

    def encode_spec(self, spec: Spec) -> bytes:
        return specs.to_message(spec).SerializeToString(deterministic=True)

    def decode_spec(self, body: bytes) -> Spec:
        return specs.from_message(spec_pb2.Spec.FromString(body))

    def encode_event(self, job: Job, event: Event, time: datetime) -> bytes:
        message = event_pb2.TrainingEvent(
            job=job.id, sequence=job.last_sequence, attempt=job.attempt, time=timestamp(time)
        )
        match event:
            case StateChange():
                message.state_change.CopyFrom(_state_change(job, event))
            case Started():
                message.started.CopyFrom(_started(job, event))
            case EpochUpdates():
                _fill_epoch_updates(message.epoch_updates, event)
            case Checkpointed():
                message.checkpoint.epoch = event.epoch
            case Warned():
                message.warning.reason = event.reason
                message.warning.message = event.message
            case Completed():
                message.completed.CopyFrom(_completed(event, job))
        return message.SerializeToString()

    def encode_outcome(self, result: Completed) -> bytes:
        small = replace(result, parameters={}, unscaled_parameters=None, predictions=None)
        return _completed(small).SerializeToString()

    def result_of(self, event: bytes) -> bytes | None:
        return results.of_event(event_pb2.TrainingEvent.FromString(event))

    def decode_result(self, body: bytes) -> Completed:
        return results.from_bytes(body)

    def describe_spec(self, body: bytes) -> Mapping[str, Any]:
        # In the order of names: that of a map differs from process to process.
        text = MessageToJson(spec_pb2.Spec.FromString(body), sort_keys=True)
        described: dict[str, Any] = json.loads(text)
        return described


def timestamp(time: datetime) -> Timestamp:
    """The message of a time."""
    since = time - _EPOCH  # in a tenth of the time that `Timestamp.FromDatetime` takes
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def _state_change(job: Job, event: StateChange) -> event_pb2.StateChange:
    return event_pb2.StateChange(
        state=event_pb2.JobState.Value(f"JOB_STATE_{event.state}"),
        reason=event.reason,
        jobs_ahead=event.jobs_ahead,
        error=fault_status(event.fault) if event.fault else None,
        result_so_far=_completed(event.result_so_far, job) if event.result_so_far else None,
    )


def _started(job: Job, event: Started) -> event_pb2.Started:
    message = event_pb2.Started(
        rows=event.rows,
        features=event.features,
        targets=event.targets,
        predictions=_tensor(event.predictions),
        parameters=to_parameters(event.parameters),
        validation_rows=event.validation_rows,
    )
    message.resolved_spec.ParseFromString(job.spec)
    if event.scaling:
        message.scaling.CopyFrom(_scaling(event.scaling))
    return message


def _scaling(scaling: Scaling) -> event_pb2.Scaling:
    mean, scale = scaling
    return event_pb2.Scaling(mean=mean.tolist(), scale=scale.tolist())


def _fill_epoch_updates(message: event_pb2.EpochUpdates, event: EpochUpdates) -> None:
    message.epochs.extend(event.epochs.tolist())
    message.losses.extend(event.losses.tolist())
    for name, column in event.parameters.items():
        message.parameters.add(name=name, shape=column.shape[1:], values=column.ravel().tolist())
    if event.validation_losses is not None:
        message.validation_losses.extend(event.validation_losses.tolist())
    for name, values in event.metrics.items():
        message.metrics.add(name=name, values=values.tolist())


def _completed(event: Completed, job: Job | None = None) -> event_pb2.Completed:
    """What training has led to, or had reached; with the model that the job has left by it."""
    receipt = event.receipt
    return event_pb2.Completed(
        epochs=event.epochs,
        final_loss=event.final_loss,
        predictions=_tensor(event.predictions),
        parameters=to_parameters(event.parameters),
        unscaled_parameters=to_parameters(event.unscaled_parameters or {}),
        receipt=event_pb2.Receipt(
            data_digest=receipt.data_digest,
            parameter_digest=receipt.parameter_digest,
            device=receipt.device,
            threads=receipt.threads,
            versions=receipt.versions,
        ),
        training_seconds=event.training_s,
        model=event_pb2.ModelVersion(name=job.left_as, version=job.model_version) if job else None,
        scaling=_scaling(event.scaling) if event.scaling else None,
        validation_loss=event.validation_loss,
        metrics=[event_pb2.Metric(name=name, value=value) for name, value in event.metrics.items()],
        best_epoch=event.best_epoch,
        restored=event.restored,
        end=event_pb2.TrainingEnd.Value(f"TRAINING_END_{event.end or 'UNSPECIFIED'}"),
    )


def _tensor(array: NDArray[Any] | None) -> spec_pb2.Tensor | None:
    return None if array is None else to_tensor(array)
