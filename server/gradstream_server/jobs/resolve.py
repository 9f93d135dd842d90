"""From what was asked for to a spec: every choice made, every value in range.

The ranges stand in the contract, `spec.proto`; this is the one place that enforces them. All that is wrong is
told at once.
"""

import difflib
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from gradstream_server.jobs import reference
from gradstream_server.jobs.errors import DeviceNotAvailable, InvalidSpec, Violation
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.spec import Dtype, FloatArray, InlineData, Spec, SpecRequest, dtype_of, summarize
from gradstream_server.trainers import devices

_MAX_SEED = 2**63 - 1
_MAX_NAME = 200
_MIN_MEMORY_BYTES = 64 << 20
_LEARNING_RATE = 0.01


def resolve(
    request: SpecRequest, available: Sequence[str], trainers: Collection[str], limits: Limits
) -> tuple[Spec, InlineData]:
    """The resolved spec, and its data.

    Args:
        request: what was asked for.
        available: the devices there are, the preferred one first.
        trainers: the trainers there are.
        limits: what a request may ask for at most.

    Raises:
        InvalidSpec: fields are out of range; it names each.
        DeviceNotAvailable: the device is not among those available.
    """
    check = _Check()
    data = request.data or reference.DATA
    _check_trainer(check, request.trainer, trainers)
    if request.data:
        _check_data(check, request.data, limits.max_data_bytes)
    check.whole("epochs", request.epochs, 1, limits.max_epochs)
    check.whole("batch_size", request.batch_size, 1)
    check.whole("seed", request.seed, 0, _MAX_SEED)
    check.whole("report_every", request.report_every, 1)
    check.number("learning_rate", request.learning_rate, above=0)
    check.number("l2", request.l2, at_least=0)
    _check_limits(check, request, limits)
    # What follows measures itself against the data, so the data have to be right first.
    check.done()

    device = _device(request.device, available)
    if device == "mps" and request.dtype == "float64":
        check.fail("dtype", "is float64, which mps cannot compute; use float32, or device cpu")
    dtype: Dtype = request.dtype or ("float32" if device == "mps" else dtype_of(data.features))
    if request.data:
        check.fits("inline_data.features.data", data.features, dtype)
        check.fits("inline_data.targets.data", data.targets, dtype)
        defaults = reference.WITH_DATA
    else:
        defaults = reference.REFERENCE.get(request.trainer, reference.WITH_DATA)
    if dtype == "float32":
        _check_steps(check, request)
    rows, features = data.features.shape
    targets = data.targets.shape[1]
    intercept = defaults.intercept if request.intercept is None else request.intercept
    if (numbers := targets * (features + intercept)) > limits.max_parameters:
        each = f"{targets} targets times {features} features" + (" and a bias" if intercept else "")
        check.fail(
            "inline_data", f"makes a model of {numbers} numbers ({each}); at most {limits.max_parameters}"
        )
        check.done()
    shapes = {"weight": (targets, features)} | ({"bias": (targets,)} if intercept else {})
    initial = _initial_parameters(check, request.initial_parameters, shapes, dtype)
    predict_rows = request.predict_rows
    if predict_rows is not None:
        _check_predict_rows(check, predict_rows, features, targets, dtype, limits.max_predict_bytes)
    elif request.data is None:
        predict_rows = reference.PREDICT_ROWS
    check.done()

    batch_size = min(request.batch_size or rows, rows)
    summary = summarize(request.data) if request.data else reference.SUMMARY
    if request.known_data and request.known_data.digest != summary.digest:
        what = f"is {request.known_data.digest!r}, but that of the numbers is {summary.digest}; leave it out"
        check.fail("inline_data.digest", what)
        check.done()
    spec = Spec(
        trainer=request.trainer,
        device=device,
        data=summary,
        epochs=request.epochs or defaults.epochs,
        learning_rate=request.learning_rate or _LEARNING_RATE,
        batch_size=batch_size,
        shuffle=batch_size < rows if request.shuffle is None else request.shuffle,
        reduction=request.reduction or defaults.reduction,
        intercept=intercept,
        l2=request.l2 or 0.0,
        dtype=dtype,
        seed=request.seed or 0,
        standardize=bool(request.standardize),
        initial_parameters=initial,
        report_every=request.report_every or 1,
        predict_rows=predict_rows if predict_rows is not None and predict_rows.size else None,
        max_memory_bytes=request.max_memory_bytes or limits.max_job_memory_bytes,
        max_seconds=request.max_seconds or limits.max_job_seconds,
    )
    return spec, data


class _Check:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def fail(self, field: str, description: str) -> None:
        self._violations.append(Violation(f"spec.{field}", description))

    def done(self) -> None:
        if self._violations:
            raise InvalidSpec(self._violations)

    def whole(self, field: str, value: int | None, least: int, most: int | None = None) -> None:
        if value is not None and (value < least or (most is not None and value > most)):
            allowed = f"at least {least}" if most is None else f"from {least} to {most}"
            self.fail(field, f"is {value}; it has to be {allowed}")

    def number(
        self, field: str, value: float | None, above: float = -math.inf, at_least: float = -math.inf
    ) -> None:
        if value is not None and not (math.isfinite(value) and value > above and value >= at_least):
            allowed = f"above {above:g}" if above > -math.inf else f"at least {at_least:g}"
            self.fail(field, f"is {value:g}; it has to be finite and {allowed}")

    def fits(self, field: str, array: FloatArray, dtype: Dtype) -> None:
        """Numbers have to stay finite in the training dtype."""
        finite = np.isfinite(array)
        if not finite.all():
            index = np.unravel_index(int(np.argmin(finite)), array.shape)
            self.fail(
                field,
                f"holds {array[index]}{_at(index)}; only finite numbers can be used",
            )
        elif dtype == "float32" and array.dtype == np.float64:
            large = np.abs(array) > np.finfo(np.float32).max
            if large.any():
                index = np.unravel_index(int(np.argmax(large)), array.shape)
                self.fail(
                    field, f"holds {array[index]}{_at(index)}, too large for float32; use dtype float64"
                )


def _at(index: tuple[np.intp, ...]) -> str:
    places = [f"{axis} {i + 1}" for axis, i in zip(("row", "column"), index, strict=False)]
    return f" at {', '.join(places)}" if places else ""


def _check_trainer(check: _Check, trainer: str, trainers: Collection[str]) -> None:
    if trainer not in trainers:
        near = difflib.get_close_matches(trainer, trainers, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        said = f"is {trainer!r}" if trainer else "is missing"
        check.fail("trainer", f"{said}; this server has {', '.join(trainers)}{hint}")


def _check_data(check: _Check, data: InlineData, max_bytes: int) -> None:
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


def _check_limits(check: _Check, request: SpecRequest, limits: Limits) -> None:
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


def _check_steps(check: _Check, request: SpecRequest) -> None:
    """What an update multiplies with has to be a number in float32."""
    rate, l2 = request.learning_rate or _LEARNING_RATE, request.l2 or 0.0
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


def _initial_parameters(
    check: _Check, given: Mapping[str, FloatArray], shapes: Mapping[str, tuple[int, ...]], dtype: Dtype
) -> dict[str, FloatArray]:
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
    check: _Check, rows: FloatArray, features: int, targets: int, dtype: Dtype, max_bytes: int
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
