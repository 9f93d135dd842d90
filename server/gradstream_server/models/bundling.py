"""From a trained job to the bundle that is left of it."""

import math
from collections.abc import Iterator, Mapping

import gradstream
from gradstream.bundle import Bundle, InputColumn, Origin
from gradstream.bundle.bundle import Value
from gradstream.errors import BundleError
from gradstream.events import Receipt, Scaling
from gradstream.spec import JsonValue, Part
from gradstream_server.data.dataset import ColumnType
from gradstream_server.jobs.events import Completed
from gradstream_server.jobs.spec import DataSummary, SelectedColumn, Spec
from gradstream_server.trainers.part import Kind


def bundle_of(
    spec: Spec,
    result: Completed,
    *,
    job: str,
    name: str = "",
    version: int = 0,
    described: Mapping[str, JsonValue] | None = None,
) -> Bundle:
    """The bundle of what a job has reached.

    Args:
        name, version: of the model, where it has been given some.
        described: the spec as the contract's JSON has it, to be kept beside.

    Raises:
        BundleError: a standardized model of a checkpoint from before scalings were kept in it.
    """
    if spec.standardize and result.scaling is None:
        what = (
            "was trained on scaled features, by a gradstream that did not keep their scaling: train it again"
        )
        raise BundleError(f"the model of job {job} {what}", reason="SCALING_UNKNOWN")
    data, selection, receipt = spec.data, spec.data.selection, result.receipt
    columns = tuple(_columns(data))
    known = selection is not None and bool(selection.feature_columns)
    metrics = {
        "epochs": result.epochs,
        "final_loss": float(result.final_loss),
        "training_seconds": float(result.training_s),
        **result.metrics,
    }
    if result.validation_loss is not None:
        metrics["validation_loss"] = result.validation_loss
    return Bundle(
        model=_part(spec, "model"),
        loss=_part(spec, "loss"),
        intercept=spec.intercept,
        dtype=spec.dtype,
        parameters=result.parameters,
        features=data.feature_names,
        targets=data.target_names,
        columns=columns,
        nulls=selection.nulls if selection and known else "error",
        scaling=Scaling(*result.scaling) if result.scaling else None,
        classes=tuple(_classes(data)),
        receipt=Receipt(
            receipt.data_digest,
            receipt.parameter_digest,
            receipt.device,
            receipt.threads,
            dict(receipt.versions),
        ),
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
        spec=described or {},
        origin=Origin(name, version, job, gradstream.__version__),
    )


def _part(spec: Spec, kind: Kind) -> Part:
    chosen = spec.parts[kind]
    return Part(chosen.name, {name: _plain(value) for name, value in chosen.options.items()})


def _plain(value: JsonValue) -> JsonValue:
    return list(value) if isinstance(value, tuple) else value


def _columns(data: DataSummary) -> Iterator[InputColumn]:
    """The columns that rows have: those of the data set, or the features where none are known."""
    known = data.selection.feature_columns if data.selection else ()
    if not known:
        yield from map(InputColumn, data.feature_names)
    one_hot = data.selection.one_hot if data.selection else ()
    place = 0
    for column in known:
        encoded = data.feature_names[place : place + column.encoded_as]
        texts = [name.removeprefix(f"{column.name}=") for name in encoded] if column.name in one_hot else []
        yield InputColumn(column.name, tuple(_value(column, text) for text in texts), column.mean)
        place += column.encoded_as


def _classes(data: DataSummary) -> Iterator[Value]:
    """The classes as the data had them: text, whole numbers or booleans."""
    known = data.selection.target_columns if data.selection else ()
    for name in data.classes:
        if known:
            yield _value(known[0], name)
        else:
            yield name if data.selection else int(name)


def _value(column: SelectedColumn, text: str) -> Value:
    """A category or class, of which the server knows the text."""
    if column.type is ColumnType.BOOLEAN:
        return text == "true"
    return int(text) if column.type is ColumnType.NUMBER else text
