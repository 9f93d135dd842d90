"""Specs of the contract and of the domain, one from the other."""

from typing import TypeVar

from gradstream.v1 import dataset_pb2, spec_pb2
from gradstream_server.data.dataset import ColumnType
from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import InvalidSpec, Violation
from gradstream_server.jobs.spec import (
    DataSummary,
    Dtype,
    FloatArray,
    InlineData,
    KnownData,
    Nulls,
    Reduction,
    SelectedColumn,
    Selection,
    SelectionRequest,
    Spec,
    SpecRequest,
    Stopping,
)
from gradstream_server.rpc.parts import add_choices, resolved_choices, to_choices
from gradstream_server.rpc.tensors import DTYPES, dtype_name, to_array, to_parameters, to_tensor
from gradstream_server.rpc.validation import (
    from_stopping,
    from_validation,
    stopping_request,
    to_stopping,
    to_validation,
    validation_request,
)

_T = TypeVar("_T")

_REDUCTIONS: dict[Reduction, spec_pb2.GradientReduction.ValueType] = {
    "mean": spec_pb2.GRADIENT_REDUCTION_MEAN,
    "sum": spec_pb2.GRADIENT_REDUCTION_SUM,
}
_NULLS: dict[Nulls, spec_pb2.NullPolicy.ValueType] = {
    "error": spec_pb2.NULL_POLICY_ERROR,
    "drop": spec_pb2.NULL_POLICY_DROP,
    "mean": spec_pb2.NULL_POLICY_MEAN,
}
_NULLS_NAMES: dict[int, Nulls] = {value: name for name, value in _NULLS.items()}
_REDUCTION_NAMES: dict[int, Reduction] = {value: name for name, value in _REDUCTIONS.items()}


def to_request(spec: spec_pb2.Spec) -> SpecRequest:
    """What a caller asks for.

    Raises:
        InvalidSpec: a tensor or an enumeration is not what it says it is.
    """
    is_set = {field.name for field, _ in spec.ListFields()}

    def asked(name: str, value: _T) -> _T | None:
        return value if name in is_set else None

    return SpecRequest(
        trainer=spec.trainer,
        device=asked("device", spec.device),
        data=_inline_data(spec.inline_data) if _has_numbers(spec) else None,
        selection=_selection(spec.dataset) if spec.HasField("dataset") else None,
        known_data=_known_data(spec.inline_data) if spec.inline_data.digest else None,
        epochs=asked("epochs", spec.epochs),
        learning_rate=asked("learning_rate", spec.learning_rate),
        batch_size=asked("batch_size", spec.batch_size),
        shuffle=asked("shuffle", spec.shuffle),
        reduction=_reduction(spec.gradient_reduction),
        intercept=asked("intercept", spec.intercept),
        l2=asked("l2", spec.l2),
        dtype=dtype_name(spec.dtype, "spec.dtype"),
        seed=asked("seed", spec.seed),
        standardize=asked("standardize", spec.standardize),
        initial_parameters=_initial_parameters(spec),
        report_every=asked("report_every", spec.report_every),
        predict_rows=_predict_rows(spec),
        parts=to_choices(spec),
        max_memory_bytes=asked("max_memory_bytes", spec.max_memory_bytes),
        max_seconds=asked("max_seconds", spec.max_seconds),
        validation=validation_request(spec.validation) if "validation" in is_set else None,
        stopping=stopping_request(spec.stopping) if "stopping" in is_set else None,
    )


def to_message(spec: Spec) -> spec_pb2.Spec:
    """A resolved spec, without the numbers of its data."""
    data = spec.data
    message = spec_pb2.Spec(
        trainer=spec.trainer,
        device=spec.device,
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        batch_size=spec.batch_size,
        shuffle=spec.shuffle,
        gradient_reduction=_REDUCTIONS[spec.reduction],
        intercept=spec.intercept,
        l2=spec.l2,
        dtype=DTYPES[spec.dtype],
        seed=spec.seed,
        standardize=spec.standardize,
        initial_parameters=to_parameters(spec.initial_parameters),
        report_every=spec.report_every,
        predict_rows=None if spec.predict_rows is None else to_tensor(spec.predict_rows),
        max_memory_bytes=spec.max_memory_bytes,
        max_seconds=spec.max_seconds,
    )
    add_choices(message, spec.parts)
    if spec.validation:
        message.validation.CopyFrom(to_validation(spec.validation))
    if spec.stopping != Stopping():
        message.stopping.CopyFrom(to_stopping(spec.stopping))
    message.classes.extend(data.classes)
    if data.inline:
        inline = message.inline_data
        inline.digest = data.digest
        inline.feature_names.extend(data.feature_names)
        inline.target_names.extend(data.target_names)
        inline.features.dtype = inline.targets.dtype = DTYPES[data.dtype]
        inline.features.shape.extend((data.rows, len(data.feature_names)))
        inline.targets.shape.extend((data.rows, len(data.target_names)))
    if data.selection:
        message.dataset.CopyFrom(_to_selection(data, data.selection))
    return message


def shorten(message: spec_pb2.Spec) -> None:
    """Leave out what may be large, for a list."""
    message.ClearField("initial_parameters")
    message.ClearField("predict_rows")
    if message.HasField("inline_data"):
        message.inline_data.ClearField("feature_names")
        message.inline_data.ClearField("target_names")


def from_message(message: spec_pb2.Spec) -> Spec:
    """The resolved spec that `to_message` has written."""
    inline = message.inline_data
    if message.HasField("inline_data"):
        data = DataSummary(
            digest=inline.digest,
            rows=inline.features.shape[0],
            feature_names=tuple(inline.feature_names),
            target_names=tuple(inline.target_names),
            dtype=_dtype(inline.features.dtype),
            inline=True,
            classes=tuple(message.classes),
        )
    elif message.HasField("dataset"):
        data = _from_selection(message.dataset, tuple(message.classes))
    else:
        data = reference.SUMMARY
    return Spec(
        trainer=message.trainer,
        device=message.device,
        data=data,
        epochs=message.epochs,
        learning_rate=message.learning_rate,
        batch_size=message.batch_size,
        shuffle=message.shuffle,
        reduction=_REDUCTION_NAMES[message.gradient_reduction],
        intercept=message.intercept,
        l2=message.l2,
        dtype=_dtype(message.dtype),
        seed=message.seed,
        standardize=message.standardize,
        initial_parameters=_initial_parameters(message),
        report_every=message.report_every,
        predict_rows=_predict_rows(message),
        parts=resolved_choices(message),
        max_memory_bytes=message.max_memory_bytes,
        max_seconds=message.max_seconds,
        validation=from_validation(message.validation) if message.HasField("validation") else None,
        stopping=from_stopping(message.stopping),
    )


def _selection(message: spec_pb2.Selection) -> SelectionRequest:
    nulls = message.nulls
    if nulls and nulls not in _NULLS_NAMES:
        names = ", ".join(spec_pb2.NullPolicy.keys()[1:])
        raise InvalidSpec([Violation("spec.dataset.nulls", f"is {nulls}; it has to be one of {names}")])
    return SelectionRequest(
        dataset=message.digest,
        targets=tuple(message.targets),
        features=tuple(message.features),
        one_hot=tuple(message.one_hot),
        max_categories=message.max_categories or None,
        nulls=_NULLS_NAMES.get(nulls),
    )


def _to_selection(data: DataSummary, selection: Selection) -> spec_pb2.Selection:
    return spec_pb2.Selection(
        digest=data.digest,
        targets=selection.targets,
        features=selection.features,
        one_hot=selection.one_hot,
        max_categories=selection.max_categories,
        nulls=_NULLS[selection.nulls],
        rows=data.rows,
        encoded_features=data.feature_names,
        dtype=DTYPES[data.dtype],
        feature_columns=map(_to_column, selection.feature_columns),
        target_columns=map(_to_column, selection.target_columns),
    )


def _to_column(column: SelectedColumn) -> spec_pb2.SelectedColumn:
    return spec_pb2.SelectedColumn(
        name=column.name,
        type=dataset_pb2.ColumnType.Value(f"COLUMN_TYPE_{column.type}"),
        encoded_as=column.encoded_as,
        mean=column.mean,
    )


def _from_column(message: spec_pb2.SelectedColumn) -> SelectedColumn:
    kind = dataset_pb2.ColumnType.Name(message.type).removeprefix("COLUMN_TYPE_")
    mean = message.mean if message.HasField("mean") else None
    return SelectedColumn(message.name, ColumnType[kind], message.encoded_as, mean)


def _from_selection(message: spec_pb2.Selection, classes: tuple[str, ...]) -> DataSummary:
    return DataSummary(
        digest=message.digest,
        rows=message.rows,
        feature_names=tuple(message.encoded_features),
        target_names=tuple(message.targets),
        dtype=_dtype(message.dtype),
        inline=False,
        selection=Selection(
            targets=tuple(message.targets),
            features=tuple(message.features),
            one_hot=tuple(message.one_hot),
            max_categories=message.max_categories,
            nulls=_NULLS_NAMES[message.nulls],
            classes=classes,
            feature_columns=tuple(map(_from_column, message.feature_columns)),
            target_columns=tuple(map(_from_column, message.target_columns)),
        ),
        classes=classes,
    )


def _dtype(value: int) -> Dtype:
    name = dtype_name(value, "dtype")
    if name is None:
        raise ValueError("a resolved spec names its dtypes")
    return name


def _predict_rows(spec: spec_pb2.Spec) -> FloatArray | None:
    return to_array(spec.predict_rows, "spec.predict_rows") if spec.HasField("predict_rows") else None


def _reduction(value: int) -> Reduction | None:
    if value == spec_pb2.GRADIENT_REDUCTION_UNSPECIFIED:
        return None
    if value not in _REDUCTION_NAMES:
        names = "GRADIENT_REDUCTION_MEAN or GRADIENT_REDUCTION_SUM"
        raise InvalidSpec([Violation("spec.gradient_reduction", f"is {value}; it has to be {names}")])
    return _REDUCTION_NAMES[value]


def _has_numbers(spec: spec_pb2.Spec) -> bool:
    """Whether a table came with the spec. One with nothing but a digest and shapes is known already."""
    inline = spec.inline_data
    return spec.HasField("inline_data") and not (
        inline.digest and not inline.features.data and not inline.targets.data
    )


def _known_data(data: spec_pb2.InlineData) -> KnownData:
    return KnownData(data.digest, tuple(data.feature_names), tuple(data.target_names))


def _inline_data(data: spec_pb2.InlineData) -> InlineData:
    features = to_array(data.features, "spec.inline_data.features")
    targets = to_array(data.targets, "spec.inline_data.targets")
    return InlineData(
        features=features,
        targets=targets[:, None] if targets.ndim == 1 else targets,
        feature_names=tuple(data.feature_names),
        target_names=tuple(data.target_names),
    )


def _initial_parameters(spec: spec_pb2.Spec) -> dict[str, FloatArray]:
    parameters: dict[str, FloatArray] = {}
    for i, parameter in enumerate(spec.initial_parameters):
        path = f"spec.initial_parameters[{i}]"
        if parameter.name in parameters:
            raise InvalidSpec(
                [Violation(f"{path}.name", f"is {parameter.name!r} a second time; give each once")]
            )
        parameters[parameter.name] = to_array(parameter.value, f"{path}.value")
    return parameters
