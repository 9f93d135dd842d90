"""Rows to measure on, and what ends training early, on their way into the spec."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstream.tensor import as_floats, refused
from gradstream.v1 import spec_pb2

_FIELD = "spec.validation"
_WANTED = "must be a share such as 0.2, a number of rows, (features, targets) or a data set"
Floats = NDArray[np.floating]


def are_rows(given: object) -> bool:
    """Whether features and targets of rows to measure on are given."""
    return isinstance(given, tuple | list)


def add_validation(validation: spec_pb2.Validation, given: object) -> None:
    """Set which rows are measured on; but for those that are given, which `with_rows` adds."""
    if isinstance(given, bool | np.bool_):
        raise refused(_FIELD, f"{_WANTED}, not {given}")
    if isinstance(given, float | np.floating):
        validation.fraction = float(given)
    elif isinstance(given, int | np.integer):
        try:
            validation.last_rows = int(given)
        except ValueError as error:
            raise refused(f"{_FIELD}.last_rows", f"is {given}; it has to be at least 1") from error
    elif isinstance(given, str):
        validation.dataset = given
    elif isinstance(digest := getattr(given, "digest", None), str):
        validation.dataset = digest
    else:
        raise refused(_FIELD, f"{_WANTED}, not {type(given).__name__}")


def with_rows(
    spec: spec_pb2.Spec, features: Floats, targets: Floats, rows: Sequence[ArrayLike]
) -> tuple[Floats, Floats]:
    """Features and targets with the rows to measure on behind them; the spec is told how many those are."""
    if len(rows) != 2:
        raise refused(_FIELD, f"must be (features, targets), not {len(rows)} of them")
    more = [as_floats(each, _FIELD) for each in rows]
    joined = []
    for what, own, others in zip(("features", "targets"), (features, targets), more, strict=True):
        if not np.isfinite(others).all():
            row = int(np.argmin(np.isfinite(others.reshape(len(others), -1)).all(axis=1))) + 1
            raise refused(_FIELD, f"holds {what} in row {row} that are no finite numbers")
        ours, theirs = _columns(own), _columns(others)
        if ours != theirs:
            raise refused(_FIELD, f"has {theirs} {what} a row, but the rows to learn from have {ours}")
        joined.append((own.reshape(len(own), -1), others.reshape(len(others), -1)))
    if len(more[0]) != len(more[1]):
        raise refused(_FIELD, f"has {len(more[0])} rows of features, but {len(more[1])} of targets")
    if not len(more[0]):
        raise refused(_FIELD, "has no rows; give some, or leave it out")
    spec.validation.last_rows = len(more[0])
    (x, more_x), (y, more_y) = joined
    # What is learnt from decides the precision, as it does without these; what is too large for it becomes
    # infinite, which the server refuses.
    with np.errstate(over="ignore"):
        return np.concatenate([x, more_x.astype(x.dtype)]), np.concatenate([y, more_y.astype(y.dtype)])


def _columns(array: Floats) -> int:
    return array.shape[1] if array.ndim == 2 else 1 if array.ndim == 1 else -1
