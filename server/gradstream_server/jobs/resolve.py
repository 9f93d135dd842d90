"""From what was asked for to a spec: every choice made, every value in range.

The ranges stand in the contract, `spec.proto`; this is the one place that enforces them. All that is wrong is
told at once.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradstream_server.data.dataset import Dataset
from gradstream_server.jobs import reference
from gradstream_server.jobs.check import Check, nearest
from gradstream_server.jobs.classes import of_numbers
from gradstream_server.jobs.errors import DeviceNotAvailable
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.parts import (
    check_class_weights,
    check_parts,
    check_precision,
    complete_parts,
    loss_of,
)
from gradstream_server.jobs.selecting import check_fits, select
from gradstream_server.jobs.spec import (
    DataSummary,
    Dtype,
    FloatArray,
    InlineData,
    Spec,
    SpecRequest,
    dtype_of,
    summarize,
)
from gradstream_server.jobs.validation import (
    check_classes,
    check_like,
    resolve_stopping,
    resolve_validation,
)
from gradstream_server.trainers import devices
from gradstream_server.trainers import shapes as parameter_shapes
from gradstream_server.trainers.catalogue import CLASSIFYING, OPTIMIZERS

_MAX_SEED = 2**63 - 1
_MAX_NAME = 200
_MIN_MEMORY_BYTES = 64 << 20


def resolve(
    request: SpecRequest,
    available: Sequence[str],
    trainers: Collection[str],
    limits: Limits,
    dataset: Dataset | None = None,
    validation_dataset: Dataset | None = None,
) -> Spec:
    """The resolved spec.

    Args:
        request: what was asked for.
        available: the devices there are, the preferred one first.
        trainers: the trainers there are.
        limits: what a request may ask for at most.
        dataset: that of the request's selection, if it has one.
        validation_dataset: that of the request's validation, if it names one.

    Raises:
        InvalidSpec: fields are out of range; it names each.
        DeviceNotAvailable: the device is not among those available.
    """
    check = Check()
    _check_trainer(check, request.trainer, trainers)
    loss = loss_of(request.parts)
    selected = None
    if request.selection and dataset:
        selected = select(check, request.selection, dataset, loss if loss in CLASSIFYING else "")
    elif request.data:
        _check_data(check, request.data, limits.max_data_bytes)
    check.whole("epochs", request.epochs, 1, limits.max_epochs)
    check.whole("batch_size", request.batch_size, 1)
    check.whole("seed", request.seed, 0, _MAX_SEED)
    check.whole("report_every", request.report_every, 1)
    check.number("learning_rate", request.learning_rate, above=0)
    check.number("l2", request.l2, at_least=0)
    _check_limits(check, request, limits)
    if request.trainer in trainers:
        check_parts(check, request.trainer, request.parts)
    # What follows measures itself against the data, so the data have to be right first.
    check.done()

    device = _device(request.device, available)
    if device == "mps" and request.dtype == "float64":
        check.fail("dtype", "is float64, which mps cannot compute; use float32, or device cpu")
    shape = _shape(request, selected)
    rows, features = shape.rows, shape.features
    validation = resolve_validation(check, request, loss, rows, validation_dataset)
    check.done()
    learnt = rows - (validation.count(rows) if validation else 0)
    dtype: Dtype = request.dtype or ("float32" if device == "mps" else shape.dtype)
    defaults = reference.WITH_DATA
    if selected and dataset:
        check_fits(check, selected, dataset, dtype)
        if validation_dataset and validation:
            check_like(check, replace(selected, dtype=dtype), dataset, validation_dataset)
    elif request.data:
        check.fits("inline_data.features.data", request.data.features, dtype)
        check.fits("inline_data.targets.data", request.data.targets, dtype)
    else:
        defaults = reference.REFERENCE.get(request.trainer, reference.WITH_DATA)
    epochs = request.epochs or defaults.epochs
    stopping = resolve_stopping(check, request.stopping, validation, epochs)
    parts = complete_parts(request.parts, epochs)
    learning_rate = request.learning_rate or OPTIMIZERS[parts["optimizer"].name].learning_rate
    if dtype == "float32":
        _check_steps(check, learning_rate, request.l2 or 0.0)
    classes = selected.classes if selected else ()
    if loss in CLASSIFYING and not selected:
        field = "inline_data.targets.data" if request.data else "inline_data"
        numbers = (request.data or reference.DATA).targets
        last = learnt if validation and validation.last_rows else rows
        classes = of_numbers(check, field, numbers[:last], loss)
        if classes:
            check_classes(check, numbers[last:], classes, last + 1)
    check_class_weights(check, parts["loss"], len(classes))
    check_precision(check, parts["mixed_precision"], dtype)
    if loss in CLASSIFYING and not classes:
        check.done()  # What follows measures itself against the classes.
    targets = len(classes) if loss == "cross_entropy" else shape.targets
    intercept = defaults.intercept if request.intercept is None else request.intercept
    shapes = parameter_shapes.of(parts["model"], features, targets, intercept)
    if shapes is None:
        _check_of_plugin(check, request, limits.max_parameters)
    elif (count := parameter_shapes.count(shapes)) > limits.max_parameters:
        each = f"{targets} {'classes' if classes else 'targets'} times {features} features" + (
            " and a bias" if intercept else ""
        )
        check.fail(
            "dataset" if selected else "inline_data",
            f"makes a model of {count} numbers ({each}); at most {limits.max_parameters}",
        )
        check.done()
    initial = _initial_parameters(check, request.initial_parameters, shapes, dtype)
    predict_rows = request.predict_rows
    if predict_rows is not None:
        _check_predict_rows(check, predict_rows, features, targets, dtype, limits.max_predict_bytes)
    elif request.data is None and selected is None:
        predict_rows = reference.PREDICT_ROWS
    check.done()

    batch_size = min(request.batch_size or learnt, learnt)
    summary = selected or (summarize(request.data) if request.data else reference.SUMMARY)
    summary = replace(summary, classes=classes) if classes else summary
    if request.known_data and request.known_data.digest != summary.digest:
        what = f"is {request.known_data.digest!r}, but that of the numbers is {summary.digest}; leave it out"
        check.fail("inline_data.digest", what)
        check.done()
    return Spec(
        trainer=request.trainer,
        device=device,
        data=summary,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        shuffle=batch_size < learnt if request.shuffle is None else request.shuffle,
        reduction=request.reduction or defaults.reduction,
        intercept=intercept,
        l2=request.l2 or 0.0,
        dtype=dtype,
        seed=request.seed or 0,
        standardize=bool(request.standardize),
        initial_parameters=initial,
        report_every=request.report_every or 1,
        predict_rows=predict_rows if predict_rows is not None and predict_rows.size else None,
        parts=parts,
        max_memory_bytes=request.max_memory_bytes or limits.max_job_memory_bytes,
        max_seconds=request.max_seconds or limits.max_job_seconds,
        validation=validation,
        stopping=stopping,
    )


@dataclass(frozen=True)
class _Shape:
    """What of the data all else is measured against."""

    rows: int
    features: int
    targets: int
    dtype: Dtype


def _shape(request: SpecRequest, selected: DataSummary | None) -> _Shape:
    if selected:
        features, targets = len(selected.feature_names), len(selected.target_names)
        return _Shape(selected.rows, features, targets, selected.dtype)
    data = request.data or reference.DATA
    rows, features = data.features.shape
    return _Shape(rows, features, data.targets.shape[1], dtype_of(data.features))


def _check_trainer(check: Check, trainer: str, trainers: Collection[str]) -> None:
    if trainer not in trainers:
        said = f"is {trainer!r}" if trainer else "is missing"
        check.fail("trainer", f"{said}; this server has {', '.join(trainers)}{nearest(trainer, trainers)}")


def _check_data(check: Check, data: InlineData, max_bytes: int) -> None:
    if (size := data.features.nbytes + data.targets.nbytes) > max_bytes:
        check.fail("inline_data", f"is {size} bytes; at most {max_bytes} may travel with a spec")
    for name, array, names in (
        ("features", data.features, data.feature_names),
        ("targets", data.targets, data.target_names),
    ):
        path = f"inline_data.{name}"
        if array.ndim != 2:
            check.fail(f"{path}.shape", f"has {array.ndim} dimensions; it has to be (rows, {name})")
        elif array.shape[0] < 1 or array.shape[1] < 1:
            rows, columns = array.shape
            check.fail(
                f"{path}.shape", f"is {rows} rows of {columns} {name}; there has to be at least 1 of each"
            )
        elif names:
            path = f"inline_data.{name[:-1]}_names"
            if len(names) != array.shape[1]:
                check.fail(
                    path, f"has {len(names)} names for {array.shape[1]} {name}; give one each, or none"
                )
            elif len(set(names)) != len(names) or not all(names):
                check.fail(path, "has an empty name or one that stands twice; each has to be there once")
            elif len(longest := max(names, key=len)) > _MAX_NAME:
                what = f"has a name of {len(longest)} characters"
                check.fail(path, f"{what}, beginning with {longest[:20]!r}; at most {_MAX_NAME} are allowed")
    if data.features.ndim == data.targets.ndim == 2 and len(data.features) != len(data.targets):
        check.fail(
            "inline_data.targets.shape",
            f"has {len(data.targets)} rows, but the features have {len(data.features)}; give one for each",
        )


def _check_limits(check: Check, request: SpecRequest, limits: Limits) -> None:
    """What a job may take: 0 asks for no limit, which only a server without one grants."""
    if (memory := request.max_memory_bytes) is not None:
        most = limits.max_job_memory_bytes
        if memory != 0 or most:
            check.whole("max_memory_bytes", memory, _MIN_MEMORY_BYTES, most or None)
    if (seconds := request.max_seconds) is not None:
        most_s = limits.max_job_seconds
        if not math.isfinite(seconds) or seconds < 0:
            check.fail("max_seconds", f"is {seconds:g}; it has to be above 0, or 0 for no limit")
        elif most_s and not 0 < seconds <= most_s:
            check.fail("max_seconds", f"is {seconds:g}; it has to be above 0 and at most {most_s:g}")


def _check_steps(check: Check, rate: float, l2: float) -> None:
    """What an update multiplies with has to be a number in float32."""
    for field, what, value in (
        ("learning_rate", "is", rate),
        ("l2", "is", l2),
        ("l2", "times learning_rate is", rate * l2),
    ):
        if value > float(np.finfo(np.float32).max):
            check.fail(field, f"{what} {value:g}, too large for float32; use a smaller one, or dtype float64")
            return


def _device(asked: str | None, available: Sequence[str]) -> str:
    try:
        return devices.resolve(asked or "auto", available)
    except devices.UnknownDeviceError as error:
        raise DeviceNotAvailable(error.device, available) from error


def _check_of_plugin(check: Check, request: SpecRequest, most: int) -> None:
    """What of an installed module has to be known before a worker builds it."""
    if request.intercept is False:
        what = "is false, but whether there is a bias is for the installed module to say; leave it out"
        check.fail("intercept", what)
    if (numbers := sum(value.size for value in request.initial_parameters.values())) > most:
        check.fail("initial_parameters", f"is {numbers} numbers; at most {most}")


def _initial_parameters(
    check: Check, given: Mapping[str, FloatArray], shapes: Mapping[str, tuple[int, ...]] | None, dtype: Dtype
) -> dict[str, FloatArray]:
    if shapes is None:
        for i, value in enumerate(given.values()):
            check.fits(f"initial_parameters[{i}].value.data", value, dtype)
        return dict(given)
    resolved: dict[str, FloatArray] = {}
    for i, (name, value) in enumerate(given.items()):
        path = f"initial_parameters[{i}]"
        if name not in shapes:
            check.fail(f"{path}.name", f"is {name!r}; this model has {', '.join(shapes)}")
        elif value.shape not in ((), shapes[name]):
            check.fail(
                f"{path}.value.shape",
                f"is {list(value.shape)}; {name} has to be {list(shapes[name])}, or [] for one value",
            )
        else:
            check.fits(f"{path}.value.data", value, dtype)
            resolved[name] = np.full(shapes[name], value, dtype=value.dtype)
    # In the model's order, so that the same parameters are the same spec.
    return {name: resolved[name] for name in shapes if name in resolved}


def _check_predict_rows(
    check: Check, rows: FloatArray, features: int, targets: int, dtype: Dtype, max_bytes: int
) -> None:
    if rows.ndim != 2 or rows.shape[1] != features:
        check.fail(
            "predict_rows.shape",
            f"is {list(rows.shape)}; it has to be [rows, {features}], a number for each feature of the data",
        )
    elif (answer := len(rows) * targets * np.dtype(dtype).itemsize) > max_bytes:
        check.fail(
            "predict_rows", f"asks for predictions of {answer} bytes; at most {max_bytes} may be asked for"
        )
    elif rows.nbytes > max_bytes:
        check.fail("predict_rows", f"is {rows.nbytes} bytes; at most {max_bytes} may be asked for")
    else:
        check.fits("predict_rows.data", rows, dtype)
