"""From arrays and options to the spec that is sent."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstream.spec import SpecOptions
from gradstream.tensor import as_floats, fill, refused
from gradstream.v1 import spec_pb2
from gradstream.validation import add_validation, are_rows, with_rows

_PLAIN_OPTIONS = (
    "device",
    "epochs",
    "learning_rate",
    "batch_size",
    "shuffle",
    "intercept",
    "l2",
    "seed",
    "standardize",
    "report_every",
    "max_memory_bytes",
    "max_seconds",
)
STOPPING_OPTIONS = {
    "patience": "patience",
    "monitor": "monitor",
    "min_delta": "min_delta",
    "restore_best": "restore_best",
    "stop_after_seconds": "after_seconds",
}
"""Options, and the fields of `Stopping` that they set."""
PART_OPTIONS = ("model", "loss", "initialization", "optimizer", "schedule", "clipping", "mixed_precision")
_REDUCTIONS = {"mean": spec_pb2.GRADIENT_REDUCTION_MEAN, "sum": spec_pb2.GRADIENT_REDUCTION_SUM}
_DTYPES = {"float32": spec_pb2.DTYPE_FLOAT32, "float64": spec_pb2.DTYPE_FLOAT64}
_NULLS = {
    "error": spec_pb2.NULL_POLICY_ERROR,
    "drop": spec_pb2.NULL_POLICY_DROP,
    "mean": spec_pb2.NULL_POLICY_MEAN,
}
_SELECTION_OPTIONS = {
    "dataset",
    "target_columns",
    "feature_columns",
    "one_hot",
    "max_categories",
    "nulls",
}
_MOST_CATEGORIES = 1000
_LARGEST = 2**63 - 1
T = TypeVar("T")


def build_spec(
    features: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    **options: Unpack[SpecOptions],
) -> spec_pb2.Spec:
    """The message for a spec: data (or none, for the reference experiment) and whatever options are given.

    `features` has the shape (rows, features), or (rows,) for a single one; `targets` (rows, targets) or
    (rows,). An option that is None counts as not given. Only what cannot be sent is refused here, with
    InvalidArgumentError; ranges are the server's to check.
    """
    unknown = sorted(options.keys() - SpecOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; there are {', '.join(SpecOptions.__annotations__)}")
    given = {name: value for name, value in options.items() if value is not None}
    spec = spec_pb2.Spec(trainer=str(given.get("trainer", "manual")))
    for name in given.keys() & set(_PLAIN_OPTIONS):
        _assign(spec, name, given[name], "spec")
    if "gradient_reduction" in given:
        spec.gradient_reduction = _choice(_REDUCTIONS, given["gradient_reduction"], "spec.gradient_reduction")
    if "dtype" in given:
        spec.dtype = _choice(_DTYPES, given["dtype"], "spec.dtype")
    for option, field in STOPPING_OPTIONS.items():
        if option in given:
            _assign(spec.stopping, field, given[option], "spec.stopping")
    metrics = options.get("metrics") or ()
    # Even none of them would make the message one that is there.
    if names := [metrics] if isinstance(metrics, str) else [str(each) for each in metrics]:
        spec.validation.metrics.extend(names)
    if "validation" in given and not are_rows(options["validation"]):
        add_validation(spec.validation, options["validation"])
    for name in PART_OPTIONS:
        if name in given:
            _choose(getattr(spec, name), given[name], f"spec.{name}")
    if given.keys() & _SELECTION_OPTIONS:
        shape = _add_selection(spec, features, targets, options)
    else:
        shape = _add_data(spec, features, targets, options)
    for name, value in (options.get("initial_parameters") or {}).items():
        field = f"spec.initial_parameters[{name}]"
        array = _as_parameter(as_floats(value, field), name, *shape)
        fill(spec.initial_parameters.add(name=name).value, array)
    if "predict_rows" in given:
        rows = as_floats(options["predict_rows"], "spec.predict_rows")
        fill(spec.predict_rows, _as_rows(rows, shape[1]))
    return spec


def _assign(message: spec_pb2.Spec | spec_pb2.Stopping, name: str, value: Any, path: str) -> None:
    """Set a plain field; protobuf says itself which values do not fit its type."""
    try:
        setattr(message, name, value.item() if isinstance(value, np.generic) else value)
    except (TypeError, ValueError) as error:
        field = f"{path}.{name}"
        if isinstance(getattr(message, name), int) and _is_whole(value):
            least = 0 if name in ("seed", "max_memory_bytes") else 1
            raise refused(field, f"is {value}; it has to be from {least} to {_LARGEST}") from error
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        wanted = kind.get(type(getattr(message, name)), "of another type")
        raise refused(field, f"must be {wanted}, not {value!r}") from error


def _choose(message: spec_pb2.Choice, given: object, field: str) -> None:
    """Set a part that is chosen by name, with options or without."""
    name, options = given if isinstance(given, tuple | list) and len(given) == 2 else (given, {})
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise refused(field, f"must be a name, or a name and a dictionary of options, not {given!r}")
    message.name = name
    # An empty dictionary is set too: the choice is there.
    message.options.Clear()
    for option, value in options.items():
        try:
            message.options.update({str(option): _plain(value)})
        except (TypeError, ValueError) as error:
            wanted = "must be null, true or false, a number, a text, or a list or dictionary of these"
            raise refused(f"{field}.options.{option}", f"{wanted}, not {value!r}") from error


def _plain(value: Any) -> Any:
    """What JSON has for a value."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _choice(choices: Mapping[str, T], value: object, field: str) -> T:
    if field == "spec.dtype" and not isinstance(value, str):
        value = np.dtype(value).name  # type: ignore[call-overload]  # anything that NumPy takes for a dtype
    if str(value) not in choices:
        raise refused(field, f"must be {' or '.join(choices)}, not {value!r}")
    return choices[str(value)]


def _add_data(
    spec: spec_pb2.Spec, features: ArrayLike | None, targets: ArrayLike | None, options: SpecOptions
) -> tuple[int, int]:
    """Add the data to the spec; return the number of targets and of features."""
    validation = options.get("validation")
    if features is None and targets is None:
        if are_rows(validation):
            raise refused("spec.validation", "is rows, which needs features and targets to learn from")
        if options.get("feature_names") or options.get("target_names"):
            raise refused("spec.inline_data.feature_names", "need features and targets to name")
        return 1, 1
    if features is None or targets is None:
        missing = "features" if features is None else "targets"
        raise refused(f"spec.inline_data.{missing}", "are missing: give features and targets, or neither")
    x = as_floats(features, "spec.inline_data.features")
    y = as_floats(targets, "spec.inline_data.targets")
    if x.ndim == 1:
        x = x[:, None]
    if are_rows(validation):
        x, y = with_rows(spec, x, y, cast(Sequence[ArrayLike], validation))
    fill(spec.inline_data.features, x)
    fill(spec.inline_data.targets, y)
    spec.inline_data.feature_names.extend(_names(options.get("feature_names"), features))
    spec.inline_data.target_names.extend(_names(options.get("target_names"), targets))
    return (y.shape[1] if y.ndim > 1 else 1), (x.shape[1] if x.ndim > 1 else 1)


def _add_selection(
    spec: spec_pb2.Spec, features: ArrayLike | None, targets: ArrayLike | None, options: SpecOptions
) -> tuple[int, int]:
    """Add columns of a data set to the spec; return the number of targets, and of the features named."""
    dataset = options.get("dataset")
    if dataset is None:
        raise refused("spec.dataset.digest", "is missing; name the data set that the columns are of")
    if features is not None or targets is not None:
        raise refused("spec.dataset", "is given and so are features or targets: give one of them")
    if are_rows(options.get("validation")):
        what = "is rows, but those to learn from are a data set's: upload them, and give that data set"
        raise refused("spec.validation", what)
    selection = spec.dataset
    selection.digest = dataset if isinstance(dataset, str) else dataset.digest
    for name, option in (
        ("targets", "target_columns"),
        ("features", "feature_columns"),
        ("one_hot", "one_hot"),
    ):
        columns: str | Sequence[str] = options.get(option) or ()  # type: ignore[assignment]  # one of the three
        getattr(selection, name).extend([columns] if isinstance(columns, str) else columns)
    if (most := options.get("max_categories")) is not None:
        if not _is_whole(most) or not 2 <= most <= _MOST_CATEGORIES:
            what = f"is {most!r}; it has to be from 2 to {_MOST_CATEGORIES}"
            raise refused("spec.dataset.max_categories", what)
        selection.max_categories = most
    if (nulls := options.get("nulls")) is not None:
        selection.nulls = _choice(_NULLS, nulls, "spec.dataset.nulls")
    return len(selection.targets), len(selection.features)


def _names(given: Sequence[str] | None, table: ArrayLike) -> list[str]:
    """The names given, else those that a table brings along."""
    return names_in(table) if given is None else [str(name) for name in given]


def names_in(table: ArrayLike) -> list[str]:
    """The names that a data frame or a series brings along; empty where there are none."""
    columns = getattr(table, "columns", None)
    if columns is None:
        # A series of polars that was given no name has an empty one.
        columns = [name] if (name := getattr(table, "name", None)) else []
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else []


def _as_parameter(
    array: NDArray[np.floating], name: str, targets: int, features: int
) -> NDArray[np.floating]:
    """A flat weight in the shape (targets, features), where its length fits; the server judges the rest."""
    if name == "weight" and array.ndim == 1 and array.size == targets * features:
        return array.reshape(targets, features)
    return array


def _as_rows(array: NDArray[np.floating], features: int) -> NDArray[np.floating]:
    """Rows (rows, features): a number is a row, a flat list is one row, or a row a number for one feature."""
    if array.ndim == 0:
        return array.reshape(1, 1)
    if array.ndim == 1:
        return array[:, None] if features == 1 else array[None, :]
    return array
