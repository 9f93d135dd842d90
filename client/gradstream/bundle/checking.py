"""Whether the parts of a bundle go together."""

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np

from gradstream.bundle.architecture import LOSSES, layers_of, shapes_of
from gradstream.bundle.bundle import Bundle, InputColumn
from gradstream.bundle.digest import digest
from gradstream.bundle.faults import damaged

CLASSIFYING = ("log_loss", "cross_entropy")
_PARAMETER = re.compile(r"[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)*")
_LONGEST_NAME = 200


def check(bundle: Bundle) -> None:
    """Raise BundleError for the first thing that is wrong."""
    if bundle.dtype not in ("float32", "float64"):
        raise damaged("dtype", f'is {bundle.dtype!r}; it has to be "float32" or "float64"')
    if bundle.nulls not in ("error", "drop", "mean"):
        raise damaged("nulls", f'is {bundle.nulls!r}; it has to be "error", "drop" or "mean"')
    _check_names("features", bundle.features)
    _check_names("targets", bundle.targets)
    _check_columns(bundle)
    _check_classes(bundle)
    _check_scaling(bundle)
    _check_parameters(bundle)
    for name, value in bundle.metrics.items():
        if not math.isfinite(value):
            raise damaged(f"metrics.{name}", f"is {value}; it has to be finite")


def _check_names(field: str, names: tuple[str, ...]) -> None:
    if not names:
        raise damaged(field, "is empty")
    if not all(names):
        raise damaged(field, "has a name without characters")
    if len(set(names)) < len(names):
        raise damaged(field, "has a name twice")


def _check_columns(bundle: Bundle) -> None:
    _check_names("columns", tuple(column.name for column in bundle.columns))
    encoded = tuple(name for column in bundle.columns for name in _features(column))
    if encoded != bundle.features:
        raise damaged("columns", "are encoded as other features than those of the model")
    for i, column in enumerate(bundle.columns):
        if column.categories:
            if {type(value) for value in column.categories} not in ({int}, {str}):
                raise damaged(f"columns[{i}].categories", "have to be all text or all whole numbers")
        elif bundle.nulls == "mean" and (column.mean is None or not math.isfinite(column.mean)):
            raise damaged(f"columns[{i}].mean", 'is missing, or not finite; with nulls "mean" it is needed')


def _features(column: InputColumn) -> Iterator[str]:
    if not column.categories:
        yield column.name
    for category in column.categories:
        yield f"{column.name}={category}"


def _check_classes(bundle: Bundle) -> None:
    name, classes = bundle.loss.name, bundle.classes
    if not bundle.is_plugin and name not in LOSSES[bundle.model.name]:
        raise damaged("loss", f"is {name!r}, which {bundle.model.name} has not")
    if (name in CLASSIFYING) != bool(classes):
        raise damaged("classes", "are there without a loss of classes, or missing with one")
    if not classes:
        return
    if len(bundle.targets) != 1:
        raise damaged("targets", f"are {len(bundle.targets)}; with classes there is one")
    if len(classes) < 2 or (name == "log_loss" and len(classes) != 2):
        raise damaged("classes", f"are {len(classes)}, which {name} cannot tell apart")
    if len({type(value) for value in classes}) > 1 or len(set(classes)) < len(classes):
        raise damaged("classes", "have to be different values of one type")


def _check_scaling(bundle: Bundle) -> None:
    if bundle.scaling is None:
        return
    for name, values in (("mean", bundle.scaling.mean), ("scale", bundle.scaling.scale)):
        if values.shape != (len(bundle.features),):
            raise damaged(
                f"scaling.{name}", f"has to be {len(bundle.features)} numbers, one for each feature"
            )
        if not np.isfinite(values).all() or (name == "scale" and (values <= 0).any()):
            raise damaged(f"scaling.{name}", "has to be finite, and a scale above 0")


def _check_parameters(bundle: Bundle) -> None:
    parameters = bundle.parameters
    check_parameter_names(parameters)
    if not bundle.is_plugin:
        layers = layers_of(bundle.model, len(bundle.features), bundle.outputs, bundle.intercept)
        wanted = shapes_of(layers)
        if list(wanted) != list(parameters):
            has_to_be = ", ".join(wanted)
            what = f"are {', '.join(parameters)}; those of such a {bundle.model.name} are {has_to_be}"
            raise damaged("parameters", what)
        for name, shape in wanted.items():
            if parameters[name].shape != shape:
                what = f"has shape {list(parameters[name].shape)}; it has to be {list(shape)}"
                raise damaged(f"parameters: {name}", what)
    for name, value in parameters.items():
        if value.dtype != np.dtype(bundle.dtype):
            raise damaged(f"parameters: {name}", f"is {value.dtype}; it has to be {bundle.dtype}, as trained")
        if not np.isfinite(value).all():
            raise damaged(f"parameters: {name}", "holds numbers that are not finite")
    if digest(parameters) != bundle.receipt.parameter_digest:
        raise damaged("parameters", "are not those of the receipt: their digest differs")


def check_parameter_names(names: Iterable[str]) -> None:
    """Names of parameters are words with points between, and no paths."""
    for name in names:
        if len(name) > _LONGEST_NAME or not _PARAMETER.fullmatch(name):
            what = "is no name of a parameter: those are words of a-z, A-Z, 0-9 and _, with points between"
            raise damaged("parameters", f"{name[:_LONGEST_NAME]!r} {what}")
