"""What is wrong with validation and stopping is told by field, and what is left open is chosen."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.domain import resolved, table
from tests.unit.data.files import arrow, dataset, read

from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import (
    InlineData,
    SelectionRequest,
    Spec,
    SpecRequest,
    Stopping,
    StoppingRequest,
    Validation,
    ValidationRequest,
)
from gradstream_server.trainers.part import Choice
from gradstream_server.trainers.registry import TRAINERS

DATA = table(rows=10)
NUMBERS = ("mae", "rmse", "r2")
LOGISTIC = {"parts": {"model": Choice("logistic")}}
LABELS = InlineData(DATA.features, (np.arange(10) % 2.0)[:, None])


def validated(data: InlineData = DATA, **validation: Any) -> Spec:
    return resolved("manual", data=data, validation=ValidationRequest(**validation))


def refusal(**fields: Any) -> dict[str, str]:
    """What is wrong, by field."""
    with pytest.raises(InvalidSpec) as caught:
        resolved("manual", **{"data": DATA} | fields)
    return {each.field: each.description for each in caught.value.violations}


def test_what_is_left_open_is_chosen() -> None:
    """A user could not tell what his model is measured by, and when it stops."""
    assert resolved().validation is None
    assert resolved().stopping == Stopping()
    spec = validated(fraction=0.25)
    assert spec.validation == Validation(NUMBERS, fraction=0.25)
    assert spec.batch_size == 8, "two of ten, for the half goes to the even one"
    patient = resolved(data=DATA, stopping=StoppingRequest(patience=3))
    assert patient.stopping == Stopping(3, "loss", 0.0, restore_best=True)
    spec = resolved(
        data=LABELS,
        validation=ValidationRequest(last_rows=4),
        stopping=StoppingRequest(patience=1),
        **LOGISTIC,
    )
    assert spec.validation == Validation(("accuracy", "log_loss", "auc"), last_rows=4)
    assert spec.stopping.monitor == "validation_loss"


def test_a_share_is_at_least_one_row() -> None:
    """A user with few rows would be refused, or measured on none."""
    assert Validation((), fraction=0.01).count(10) == 1
    assert Validation((), fraction=0.2).count(10) == 2
    assert Validation((), last_rows=3).count(10) == 3
    assert Validation((), dataset="d").count(10) == 0


@pytest.mark.parametrize(
    ("validation", "field", "said"),
    [
        ({"fraction": 0.0}, "fraction", "is 0; it has to be above 0 and below 1"),
        ({"fraction": 1.0}, "fraction", "is 1; it has to be above 0 and below 1"),
        ({"fraction": -0.1}, "fraction", "is -0.1;"),
        ({"fraction": float("nan")}, "fraction", "is nan;"),
        ({"fraction": 0.96}, "fraction", "is 0.96 of 10 rows, which leaves none to learn from"),
        ({"last_rows": 0}, "last_rows", "is 0; it has to be at least 1"),
        ({"last_rows": -5}, "last_rows", "is -5;"),
        ({"last_rows": 10}, "last_rows", "is 10 of 10 rows, which leaves none to learn from"),
        ({"dataset": "abcdef"}, "dataset", "names a data set, but the rows to learn from are of none"),
        ({}, "", "says nothing of which rows"),
        ({"fraction": 0.5, "metrics": ("mae", "r3")}, "metrics[1]", "is 'r3'; there are mae, rmse, r2"),
        (
            {"fraction": 0.5, "metrics": ("auc",)},
            "metrics[0]",
            "is 'auc', which is for classes; with the",
        ),
        ({"fraction": 0.5, "metrics": ("r2", "r2")}, "metrics[1]", "is 'r2' again; each may stand once"),
    ],
)
def test_rows_that_cannot_be(validation: dict[str, Any], field: str, said: str) -> None:
    """A user would not know which of his words was wrong."""
    found = refusal(validation=ValidationRequest(**validation))
    (path, description), *more = found.items()
    assert (path, more) == (".".join(filter(None, ("spec.validation", field))), [])
    assert description.startswith(said)


@pytest.mark.parametrize(
    ("stopping", "field", "said"),
    [
        ({"patience": 0}, "patience", "is 0; it has to be at least 1"),
        ({"patience": 1, "min_delta": -1.0}, "min_delta", "is -1; it has to be finite and at least 0"),
        ({"patience": 1, "min_delta": float("nan")}, "min_delta", "is nan;"),
        ({"min_delta": 0.1}, "min_delta", "is about patience or restore_best"),
        ({"monitor": "loss"}, "monitor", "is about patience or restore_best"),
        ({"restore_best": True}, "restore_best", "asks for the best epoch, but nothing tells which that is"),
        (
            {"patience": 1, "monitor": "validation_loss"},
            "monitor",
            "is 'validation_loss'; there is loss",
        ),
        ({"after_seconds": -1.0}, "after_seconds", "is -1; it has to be above 0, or 0 for no limit"),
        ({"after_seconds": float("inf")}, "after_seconds", "is inf;"),
        ({"after_epochs": 0}, "after_epochs", "is 0; it has to be from 1 to 100"),
        ({"after_epochs": 101}, "after_epochs", "is 101; it has to be from 1 to 100"),
    ],
)
def test_ends_that_cannot_be(stopping: dict[str, Any], field: str, said: str) -> None:
    """A user would not know which of his words was wrong."""
    found = refusal(stopping=StoppingRequest(**stopping))
    assert list(found) == [f"spec.stopping.{field}"]
    assert found[f"spec.stopping.{field}"].startswith(said)


def test_a_class_that_is_not_learnt() -> None:
    """The model would be measured on what it cannot know."""
    labels = InlineData(DATA.features, np.array([0, 1, 0, 1, 0, 1, 0, 1, 1, 2.0])[:, None])
    found = refusal(data=labels, validation=ValidationRequest(last_rows=2), **LOGISTIC)
    said = "leaves class 2, in row 10, to the rows to measure on, but those to learn from hold 0, 1 only"
    assert found == {"spec.validation.last_rows": said}


LEARNT = pa.table({"a": [1.0, 2, 3], "city": ["Oslo", "Rome", "Rome"], "y": ["no", "yes", "no"]})


def other(folder: Path, nulls: Any = None, **columns: Any) -> dict[str, str]:
    """What is wrong with a data set to measure on that differs in some columns, by field."""
    learnt = dataset(read(folder, arrow(LEARNT), "t.arrow"))
    like = {"a": [4.0, 5.0], "city": ["Rome", "Oslo"], "y": ["no", "no"]}
    measured = {name: column for name, column in (like | columns).items() if column is not None}
    known = dataset(read(folder, arrow(pa.table(measured)), "o.arrow"))
    selection = SelectionRequest(learnt.digest, ("y",), ("a", "city"), ("city",), nulls=nulls)
    request = SpecRequest(
        "manual", selection=selection, validation=ValidationRequest(dataset="abcdef"), **LOGISTIC
    )
    try:
        resolve(request, ["cpu"], TRAINERS, Limits(), learnt, known)
    except InvalidSpec as error:
        return {each.field: each.description for each in error.violations}
    return {}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": None}, "has no column 'a', which is learnt from"),
        ({"a": None, "A": [1.0, 2.0]}, "has no column 'a', which is learnt from; did you mean 'A'?"),
        ({"a": ["x", "y"]}, "has string in column 'a' instead of double"),
        (
            {"a": [1.0, None]},
            "has no value of column 'a' in row 2; set nulls of the spec's dataset to DROP",
        ),
        ({"a": pa.nulls(2, pa.float64())}, "has no value of column 'a' in any row"),
        ({"a": [1.0, float("inf")]}, "has an infinite number in column 'a', row 2"),
        ({"city": ["Rome", "Bern"]}, "has 'Bern' in column 'city', which the rows to learn from have not"),
        ({"y": ["no", "perhaps"]}, "has 'perhaps' in column 'y', which the rows to learn from have not"),
        ({"y": [1, 2]}, "has int64 in column 'y' instead of string"),
        ({"y": ["no", None]}, "has no value of column 'y' in row 2; set nulls of the spec's dataset to DROP"),
    ],
)
def test_a_data_set_that_is_unlike(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    """A model would be measured on something else than what it has learnt."""
    found = other(tmp_path, **columns)
    assert list(found) == ["spec.validation.dataset"]
    assert found["spec.validation.dataset"].startswith(said)


def test_a_data_set_that_is_alike(tmp_path: Path) -> None:
    """Fewer classes, another order of columns and more of them are no fault."""
    assert other(tmp_path) == {}
    assert other(tmp_path, more=[1, 2]) == {}
    assert other(tmp_path, a=[1.0, None], nulls="mean") == {}
    assert other(tmp_path, y=["no", None], nulls="drop") == {}
