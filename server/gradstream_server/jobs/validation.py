"""Which rows a model is measured on, and what ends training early: every choice made and checked."""

import math

import numpy as np

from gradstream_server.data.dataset import Column, ColumnType, Dataset
from gradstream_server.jobs.check import Check, nearest
from gradstream_server.jobs.spec import (
    DataSummary,
    FloatArray,
    SpecRequest,
    Stopping,
    StoppingRequest,
    Validation,
    ValidationRequest,
)
from gradstream_server.trainers.catalogue import CLASSIFYING
from gradstream_server.trainers.metrics import METRICS

LOSS, VALIDATION_LOSS = "loss", "validation_loss"
_NO_STOPPING = StoppingRequest()


def resolve_validation(
    check: Check, request: SpecRequest, loss: str, rows: int, dataset: Dataset | None
) -> Validation | None:
    """The rows to measure on, of so many in all; None for none, and where something is wrong with them.

    Args:
        dataset: that of the request's validation, if it names one.
    """
    asked = request.validation
    if asked is None:
        return None
    metrics = _metrics(check, asked, loss)
    if asked.dataset is not None:
        if request.selection is None:
            what = "names a data set, but the rows to learn from are of none; use fraction or last_rows"
            check.fail("validation.dataset", what)
        elif dataset is not None:
            return Validation(metrics, dataset=dataset.digest)
        return None
    if asked.last_rows is not None:
        check.whole("validation.last_rows", asked.last_rows, 1)
        if asked.last_rows >= rows:
            _leaves_none(check, "last_rows", f"is {asked.last_rows}", rows)
        return Validation(metrics, last_rows=asked.last_rows)
    if asked.fraction is None:
        what = "says nothing of which rows; give one of fraction, last_rows and dataset"
        check.fail("validation", what)
        return None
    if not 0 < asked.fraction < 1:  # NaN is not between, either
        check.fail("validation.fraction", f"is {asked.fraction:g}; it has to be above 0 and below 1")
        return None
    found = Validation(metrics, fraction=asked.fraction)
    if found.count(rows) >= rows:
        _leaves_none(check, "fraction", f"is {asked.fraction:g}", rows)
    return found


def _leaves_none(check: Check, field: str, said: str, rows: int) -> None:
    there = f"{rows} row{'s' if rows > 1 else ''}"
    check.fail(
        f"validation.{field}", f"{said} of {there}, which leaves none to learn from; use a smaller one"
    )


def _metrics(check: Check, asked: ValidationRequest, loss: str) -> tuple[str, ...]:
    of_classes = loss in CLASSIFYING
    fitting = tuple(name for name, metric in METRICS.items() if metric.of_classes == of_classes)
    for i, name in enumerate(asked.metrics):
        field = f"validation.metrics[{i}]"
        if name not in METRICS:
            check.fail(field, f"is {name!r}; there are {', '.join(fitting)}{nearest(name, fitting)}")
        elif name not in fitting:
            what = f"is {name!r}, which is for {'numbers' if of_classes else 'classes'}"
            check.fail(field, f"{what}; with the loss {loss} there are {', '.join(fitting)}")
        elif name in asked.metrics[:i]:
            check.fail(field, f"is {name!r} again; each may stand once")
    return asked.metrics or fitting


def resolve_stopping(
    check: Check, asked: StoppingRequest | None, validation: Validation | None, epochs: int
) -> Stopping:
    """What ends training."""
    asked = asked or _NO_STOPPING
    check.whole("stopping.patience", asked.patience, 1)
    check.number("stopping.min_delta", asked.min_delta, at_least=0)
    check.whole("stopping.after_epochs", asked.after_epochs, 1, epochs)
    if asked.after_seconds is not None and not (
        math.isfinite(asked.after_seconds) and asked.after_seconds >= 0
    ):
        what = f"is {asked.after_seconds:g}; it has to be above 0, or 0 for no limit"
        check.fail("stopping.after_seconds", what)
    restore_best = asked.patience is not None if asked.restore_best is None else asked.restore_best
    if restore_best and asked.patience is None and validation is None:
        what = "asks for the best epoch, but nothing tells which that is; add validation, or patience"
        check.fail("stopping.restore_best", what)
    monitors = asked.patience is not None or restore_best
    for field, given in (("min_delta", asked.min_delta), ("monitor", asked.monitor)):
        if given is not None and not monitors:
            what = "is about patience or restore_best; give one of them, or leave it out"
            check.fail(f"stopping.{field}", what)
    monitor = ""
    if monitors:
        there = (VALIDATION_LOSS, LOSS, *validation.metrics) if validation else (LOSS,)
        monitor = asked.monitor or there[0]
        if monitor not in there:
            hint = "" if validation else ", for there is no validation"
            what = f"is {monitor!r}; there is {', '.join(there)}{hint}{nearest(monitor, there)}"
            check.fail("stopping.monitor", what)
    return Stopping(
        patience=asked.patience or 0,
        monitor=monitor,
        min_delta=asked.min_delta or 0.0,
        restore_best=restore_best,
        after_seconds=asked.after_seconds or 0.0,
        after_epochs=0 if asked.after_epochs in (None, epochs) else asked.after_epochs or 0,
    )


def check_classes(check: Check, targets: FloatArray, classes: tuple[str, ...], first_row: int) -> None:
    """Rows to measure on that came with a spec may hold no class that is not learnt.

    Args:
        targets: theirs, (rows, 1).
        first_row: number of the first of them, from 1.
    """
    unknown = ~np.isin(targets[:, 0], np.arange(len(classes)))
    if unknown.any():
        at = int(np.argmax(unknown))
        what = f"leaves class {targets[at, 0]:g}, in row {first_row + at}, to the rows to measure on"
        known = ", ".join(classes[:5]) + (" and so on" if len(classes) > 5 else "")
        check.fail("validation.last_rows", f"{what}, but those to learn from hold {known} only")


def check_like(check: Check, summary: DataSummary, data: Dataset, other: Dataset) -> None:
    """A data set to measure on has to have the selected columns as the one that is learnt from has them."""
    selection = summary.selection
    assert selection, "it is of a data set"
    for name in (*selection.features, *selection.targets):
        learnt, column = data.column(name), other.column(name)
        assert learnt, "it was selected"
        is_target = name in selection.targets
        kinds = learnt.categories if name in selection.one_hot else ()
        kinds = selection.classes if is_target and selection.classes else kinds
        if column is None:
            names = [each.name for each in other.table.columns]
            _unlike(check, f"has no column {name!r}, which is learnt from{nearest(name, names)}")
        elif column.nulls == other.table.rows:
            _unlike(check, f"has no value of column {name!r} in any row")
        elif _unlike_types(column, learnt, bool(kinds)):
            _unlike(check, f"has {column.arrow_type} in column {name!r} instead of {learnt.arrow_type}")
        elif column.first_infinite_row:
            _unlike(check, f"has an infinite number in column {name!r}, row {column.first_infinite_row}")
        elif column.nulls and selection.nulls in ("error", "mean" if is_target else "error"):
            what = f"has no value of column {name!r} in row {column.first_null_row}"
            _unlike(
                check, f"{what}; set nulls of the spec's dataset to DROP{'' if is_target else ' or MEAN'}"
            )
        elif (
            kinds and learnt.type is not ColumnType.BOOLEAN and (new := _new_kind(column, kinds)) is not None
        ):
            _unlike(check, f"{new} in column {name!r}, which the rows to learn from have not")
        elif summary.dtype == "float32" and not kinds and _is_large(column):
            _unlike(check, f"has numbers too large for float32 in column {name!r}; use dtype float64")


def _unlike(check: Check, what: str) -> None:
    check.fail("validation.dataset", what)


def _unlike_types(column: Column, learnt: Column, is_kind: bool) -> bool:
    if column.type is not learnt.type:
        return True
    # As kinds, whole numbers have names that others have not.
    return is_kind and ("int" in column.arrow_type) != ("int" in learnt.arrow_type)


def _new_kind(column: Column, kinds: tuple[str, ...]) -> str | None:
    if not column.categories:
        return f"has more than {len(kinds)} different values"
    return next((f"has {name!r}" for name in column.categories if name not in kinds), None)


def _is_large(column: Column) -> bool:
    return max(column.max or 0.0, -(column.min or 0.0)) > float(np.finfo(np.float32).max)
