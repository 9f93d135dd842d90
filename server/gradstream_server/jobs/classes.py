"""Which classes there are to tell apart, and what their numbers are."""

import numpy as np
from numpy.typing import NDArray

from gradstream_server.data.dataset import Column, ColumnType
from gradstream_server.jobs.check import Check
from gradstream_server.jobs.spec import FloatArray

MAX_CLASSES = 1000
_TWO = "log_loss tells two classes apart; the softmax model, with the module trainer, tells more"


def of_numbers(check: Check, field: str, targets: FloatArray, loss: str) -> tuple[str, ...]:
    """The classes of targets (rows, targets) that came with a spec, which are numbers of classes."""
    if targets.shape[1] != 1:
        check.fail(field, f"has {targets.shape[1]} targets; {loss} takes one, the number of the class")
        return ()
    values: NDArray[np.float64] = np.unique(targets).astype(np.float64)
    wrong = values[(values != np.floor(values)) | (values < 0) | (values >= MAX_CLASSES)]
    if wrong.size:
        row = int(np.argmax(targets[:, 0] == wrong[0])) + 1
        what = f"holds {wrong[0]:g} in row {row}, which is no number of a class: 0, 1 and so on"
        check.fail(field, f"{what}, up to {MAX_CLASSES - 1}")
        return ()
    if len(values) == 1:
        check.fail(field, f"holds one class only, {values[0]:g} in every row; there have to be two or more")
        return ()
    names = tuple(str(i) for i in range(int(values[-1]) + 1))
    return names if _fits(check, field, "holds", len(names), loss) else ()


def of_column(check: Check, column: Column, loss: str) -> tuple[str, ...]:
    """The classes of a column of a data set: its different values."""
    field, name = "dataset.targets", column.name
    names: tuple[str, ...]
    if column.type is ColumnType.BOOLEAN:
        names = ("false", "true") if column.min != column.max else (str(bool(column.min)).lower(),)
    elif column.type is ColumnType.TEXT or "int" in column.arrow_type:
        names = column.categories
        if not names:
            check.fail(field, f"column {name!r} has more than {MAX_CLASSES} different values to tell apart")
            return ()
    else:
        what = f"column {name!r} is {column.arrow_type}; classes are text, whole numbers or booleans"
        check.fail(field, f"{what}; for numbers use the linear model")
        return ()
    if len(names) == 1:
        what = f"column {name!r} holds one class only, {names[0]!r}; there have to be two or more"
        check.fail(field, what)
        return ()
    return names if _fits(check, field, f"column {name!r} has", len(names), loss) else ()


def _fits(check: Check, field: str, said: str, count: int, loss: str) -> bool:
    if loss == "log_loss" and count != 2:
        check.fail(field, f"{said} {count} classes; {_TWO}")
        return False
    return True
