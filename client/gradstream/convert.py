"""From messages to values."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from gradstream.dataset import Column, ColumnType, Dataset
from gradstream.events import (
    Checkpoint,
    Completed,
    EpochUpdates,
    Event,
    Heartbeat,
    JobWarning,
    Receipt,
    Scaling,
    Started,
    StateChange,
)
from gradstream.job import Job, JobState, ModelVersion
from gradstream.request import PART_OPTIONS, STOPPING_OPTIONS
from gradstream.server_info import Device, Limits, PartInfo, ServerInfo, TrainerInfo, Validation
from gradstream.spec import JsonValue, Part, Spec
from gradstream.status import fault_of_status
from gradstream.tensor import array_of
from gradstream.v1 import dataset_pb2, event_pb2, job_pb2, spec_pb2, system_service_pb2, training_service_pb2

_STATES: dict[int, JobState] = {
    number: JobState[name.removeprefix("JOB_STATE_")]
    for name, number in event_pb2.JobState.items()
    if name != "JOB_STATE_UNSPECIFIED"
}
_ENDS: dict[int, str] = {
    number: name.removeprefix("TRAINING_END_")
    for name, number in event_pb2.TrainingEnd.items()
    if number != event_pb2.TRAINING_END_UNSPECIFIED
}
_COLUMN_TYPES: dict[int, ColumnType] = {
    number: ColumnType[name.removeprefix("COLUMN_TYPE_")]
    for name, number in dataset_pb2.ColumnType.items()
    if name != "COLUMN_TYPE_UNSPECIFIED"
}
_REDUCTIONS = {spec_pb2.GRADIENT_REDUCTION_MEAN: "mean", spec_pb2.GRADIENT_REDUCTION_SUM: "sum"}
_DTYPES = {spec_pb2.DTYPE_FLOAT32: "float32", spec_pb2.DTYPE_FLOAT64: "float64"}
_Head = tuple[str, int, int, datetime]


def spec_of(message: spec_pb2.Spec) -> Spec:
    """A spec that the server has resolved."""
    data, selection = message.inline_data, message.dataset
    return Spec(
        trainer=message.trainer,
        device=message.device,
        epochs=message.epochs,
        learning_rate=message.learning_rate,
        batch_size=message.batch_size,
        shuffle=message.shuffle,
        gradient_reduction=_REDUCTIONS.get(message.gradient_reduction, ""),
        intercept=message.intercept,
        l2=message.l2,
        dtype=_DTYPES.get(message.dtype, ""),
        seed=message.seed,
        standardize=message.standardize,
        initial_parameters=_parameters_of(message.initial_parameters),
        report_every=message.report_every,
        predict_rows=_tensor_of(message, "predict_rows"),
        reference=message.WhichOneof("data") is None,
        dataset=selection.digest,
        feature_names=tuple(data.feature_names) or tuple(selection.encoded_features),
        target_names=tuple(data.target_names) or tuple(selection.targets),
        max_memory_bytes=message.max_memory_bytes,
        max_seconds=message.max_seconds,
        parts={kind: _part_of(getattr(message, kind)) for kind in PART_OPTIONS},
        classes=tuple(message.classes),
        data_digest=data.digest or selection.digest,
        **_validation_of(message.validation),
        **_stopping_of(message.stopping),
    )


def _validation_of(message: spec_pb2.Validation) -> dict[str, Any]:
    """Fields of a spec; none for no validation."""
    which = message.WhichOneof("rows")
    return {
        "validation_fraction": message.fraction if which == "fraction" else None,
        "validation_rows": message.last_rows if which == "last_rows" else None,
        "validation_dataset": message.dataset if which == "dataset" else None,
        "metrics": tuple(message.metrics),
    }


def _stopping_of(message: spec_pb2.Stopping) -> dict[str, Any]:
    """Fields of a spec; those that are set."""
    fields = {option: getattr(message, field) for option, field in STOPPING_OPTIONS.items()}
    fields = {**fields, "stop_after_epochs": message.after_epochs}
    monitors = bool(message.monitor)
    return {
        name: value if value or (monitors and name in ("min_delta", "restore_best")) else None
        for name, value in fields.items()
    }


def _part_of(message: spec_pb2.Choice) -> Part:
    return Part(message.name, _json_of(message.options))


def _json_of(message: struct_pb2.Struct) -> dict[str, JsonValue]:
    """In the order of the names, and whole numbers as int: the contract does not tell 1 from 1.0."""
    if not message.fields:
        return {}
    fields: dict[str, JsonValue] = MessageToDict(message)
    return {name: _whole(fields[name]) for name in sorted(fields)}


def _whole(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _whole(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def job_of(message: job_pb2.Job) -> Job:
    """A job as it stands."""
    return Job(
        id=message.id,
        state=state_of(message.state),
        spec=spec_of(message.spec),
        request_id=message.request_id,
        create_time=_time_of(message.create_time),
        start_time=_time_of(message.start_time) if message.HasField("start_time") else None,
        end_time=_time_of(message.end_time) if message.HasField("end_time") else None,
        attempt=message.attempt,
        last_sequence=message.last_sequence,
        epochs_done=message.epochs_done,
        last_loss=message.last_loss if message.HasField("last_loss") else None,
        last_validation_loss=(
            message.last_validation_loss if message.HasField("last_validation_loss") else None
        ),
        jobs_ahead=message.jobs_ahead if message.HasField("jobs_ahead") else None,
        fault=fault_of_status(message.error) if message.HasField("error") else None,
        priority=message.priority,
        cancel_on_disconnect=message.cancel_on_disconnect,
        restarts=message.restarts,
        checkpoint_epoch=message.checkpoint_epoch,
        group=message.group,
        model_name=message.model_name,
        model=_model_version_of(message),
    )


def state_of(number: int) -> JobState:
    """The state; UNKNOWN for one that only a newer server has."""
    return _STATES.get(number, JobState.UNKNOWN)


def state_number(state: JobState | str) -> event_pb2.JobState.ValueType:
    """The number of a state, to ask for."""
    return event_pb2.JobState.Value(f"JOB_STATE_{JobState(str(state).upper())}")


def event_of(message: event_pb2.TrainingEvent) -> Event | None:
    """The event; None for a kind that only a newer server has."""
    head = (message.job, message.sequence, message.attempt, _time_of(message.time))
    match message.WhichOneof("event"):
        case "state_change":
            return _state_change_of(head, message.state_change)
        case "started":
            return _started_of(head, message.started)
        case "epoch_updates":
            return _epoch_updates_of(head, message.epoch_updates)
        case "completed":
            return _completed_of(head, message.completed)
        case "checkpoint":
            return Checkpoint(*head, message.checkpoint.epoch)
        case "warning":
            return JobWarning(*head, message.warning.reason, message.warning.message)
        case "heartbeat":
            return Heartbeat(*head, state_of(message.heartbeat.state), message.heartbeat.jobs_ahead)
        case _:
            return None


def _state_change_of(head: _Head, message: event_pb2.StateChange) -> StateChange:
    return StateChange(
        *head,
        state=state_of(message.state),
        reason=message.reason,
        jobs_ahead=message.jobs_ahead,
        fault=fault_of_status(message.error) if message.HasField("error") else None,
        result_so_far=(
            _completed_of(head, message.result_so_far) if message.HasField("result_so_far") else None
        ),
    )


def _started_of(head: _Head, message: event_pb2.Started) -> Started:
    return Started(
        *head,
        spec=spec_of(message.resolved_spec),
        rows=message.rows,
        features=message.features,
        targets=message.targets,
        predictions=_tensor_of(message, "predictions"),
        parameters=_parameters_of(message.parameters),
        scaling=_scaling_of(message),
        validation_rows=message.validation_rows,
    )


def _scaling_of(message: event_pb2.Started | event_pb2.Completed) -> Scaling | None:
    if not message.HasField("scaling"):
        return None
    return Scaling(_frozen(message.scaling.mean), _frozen(message.scaling.scale))


def _epoch_updates_of(head: _Head, message: event_pb2.EpochUpdates) -> EpochUpdates:
    epochs = np.array(message.epochs, np.int64)
    epochs.flags.writeable = False
    parameters = {
        column.name: _frozen(column.values).reshape(len(epochs), *column.shape)
        for column in message.parameters
    }
    validation_losses = _frozen(message.validation_losses) if message.validation_losses else None
    metrics = {column.name: _frozen(column.values) for column in message.metrics}
    return EpochUpdates(
        *head, epochs, _frozen(message.losses), parameters or None, validation_losses, metrics
    )


def _completed_of(head: _Head, message: event_pb2.Completed) -> Completed:
    return Completed(
        *head,
        epochs=message.epochs,
        final_loss=message.final_loss,
        predictions=_tensor_of(message, "predictions"),
        parameters=_parameters_of(message.parameters),
        unscaled_parameters=_parameters_of(message.unscaled_parameters) or None,
        receipt=receipt_of(message.receipt),
        training_seconds=message.training_seconds,
        scaling=_scaling_of(message),
        validation_loss=message.validation_loss if message.HasField("validation_loss") else None,
        metrics={metric.name: metric.value for metric in message.metrics},
        best_epoch=message.best_epoch or None,
        restored=message.restored,
        end=_ENDS.get(message.end, ""),
        model=_model_version_of(message),
    )


def receipt_of(message: event_pb2.Receipt) -> Receipt:
    """What is needed to train again and compare."""
    return Receipt(
        message.data_digest,
        message.parameter_digest,
        message.device,
        message.threads,
        dict(message.versions),
    )


def _model_version_of(message: event_pb2.Completed | job_pb2.Job) -> ModelVersion | None:
    return ModelVersion(message.model.name, message.model.version) if message.HasField("model") else None


def server_info_of(message: system_service_pb2.ServerInfo) -> ServerInfo:
    """What a server is."""
    limits = message.limits
    return ServerInfo(
        version=message.version,
        devices=tuple(Device(each.name, each.description) for each in message.devices),
        trainers=tuple(TrainerInfo(each.name, each.description) for each in message.trainers),
        limits=Limits(
            limits.max_epochs,
            limits.max_data_bytes,
            limits.max_predict_bytes,
            limits.max_parameters,
            limits.max_message_bytes,
            limits.max_queued_jobs,
            limits.max_watches,
            limits.max_job_memory_bytes,
            limits.max_job_seconds,
            limits.disconnect_grace_seconds,
        ),
        workers=message.workers,
        parts=tuple(
            PartInfo(
                each.field,
                each.name,
                each.description,
                _json_of(each.options_schema),
                tuple(each.trainers),
                each.is_default,
                tuple(each.losses),
                each.package,
            )
            for each in message.parts
        ),
        running_jobs=message.running_jobs,
        queued_jobs=message.queued_jobs,
    )


def validation_of(message: training_service_pb2.ValidateSpecResponse) -> Validation:
    """What a server would make of a spec."""
    return Validation(
        spec_of(message.resolved_spec),
        message.estimated_memory_bytes,
        message.estimated_duration.ToTimedelta().total_seconds(),
    )


def dataset_of(message: dataset_pb2.Dataset) -> Dataset:
    """A data set."""
    return Dataset(
        digest=message.digest,
        name=message.name,
        size_bytes=message.size_bytes,
        rows=message.rows,
        columns=tuple(_column_of(column) for column in message.columns),
        create_time=_time_of(message.create_time),
        stored_bytes=message.stored_bytes,
    )


def _column_of(message: dataset_pb2.Column) -> Column:
    return Column(
        name=message.name,
        type=_COLUMN_TYPES.get(message.type, ColumnType.UNKNOWN),
        arrow_type=message.arrow_type,
        nulls=message.nulls,
        first_null_row=message.first_null_row or None,
        min=message.min if message.HasField("min") else None,
        max=message.max if message.HasField("max") else None,
        mean=message.mean if message.HasField("mean") else None,
        first_infinite_row=message.first_infinite_row or None,
        categories=tuple(message.categories),
        first_text_row=message.first_text_row or None,
        first_text=message.first_text,
    )


def _parameters_of(parameters: Iterable[spec_pb2.Parameter]) -> dict[str, NDArray[np.floating]]:
    return {parameter.name: array_of(parameter.value) for parameter in parameters}


def _tensor_of(
    message: spec_pb2.Spec | event_pb2.Started | event_pb2.Completed, name: str
) -> NDArray[np.floating] | None:
    # A tensor that is there but empty is as good as none: no rows were asked for.
    tensor: spec_pb2.Tensor = getattr(message, name)
    return array_of(tensor) if tensor.data else None


def _frozen(values: Iterable[float]) -> NDArray[np.float64]:
    array = np.array(values, np.float64)
    array.flags.writeable = False
    return array


def _time_of(message: Timestamp) -> datetime:
    return message.ToDatetime(UTC)
