"""Data, parameters and rows that cannot be used are refused before anything is kept, by name and place."""

import re
from typing import Any

import numpy as np
import pytest
from tests.domain import LIMITS, table

from gradstream_server.jobs.errors import InvalidSpec
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.resolve import resolve
from gradstream_server.jobs.spec import FloatArray, InlineData, Spec, SpecRequest
from gradstream_server.trainers.registry import TRAINERS


def resolve_all(**fields: Any) -> Spec:
    return resolve(SpecRequest("module", **fields), ("cpu",), TRAINERS, LIMITS)


def refusal(**fields: Any) -> str:
    with pytest.raises(InvalidSpec) as raised:
        resolve_all(**fields)
    return str(raised.value)


def with_value(value: float, row: int, column: int, dtype: str = "float64") -> FloatArray:
    array = np.zeros((4, 2), dtype)
    array[row, column] = value
    return array


ROWS = np.zeros((4, 2))
UNUSABLE = [
    (np.zeros((0, 2)), np.zeros((0, 1)), "features.shape: is 0 rows of 2 features"),
    (np.zeros((4, 0)), np.zeros((4, 1)), "features.shape: is 4 rows of 0 features"),
    (ROWS, np.zeros((4, 0)), "targets.shape: is 4 rows of 0 targets"),
    (np.zeros(4), np.zeros((4, 1)), "features.shape: has 1 dimensions; it has to be (rows, features)"),
    (np.zeros(()), np.zeros((4, 1)), "features.shape: has 0 dimensions"),
    (ROWS, np.zeros(()), "targets.shape: has 0 dimensions; it has to be (rows, targets)"),
    (ROWS, np.zeros((3, 1)), "targets.shape: has 3 rows, but the features have 4"),
    (with_value(np.nan, 2, 1), ROWS, "features.data: holds nan at row 3, column 2; only finite"),
    (with_value(np.inf, 0, 0, "float32"), ROWS, "features.data: holds inf at row 1, column 1"),
    (ROWS, with_value(-np.inf, 3, 1), "targets.data: holds -inf at row 4, column 2"),
]


@pytest.mark.parametrize(("features", "targets", "text"), UNUSABLE, ids=[case[2] for case in UNUSABLE])
def test_unusable_data_are_refused(features: FloatArray, targets: FloatArray, text: str) -> None:
    """A user would see a curve of NaN, or a crash, instead of the cell that is wrong."""
    assert f"spec.inline_data.{text}" in refusal(data=InlineData(features, targets))


def test_numbers_too_large_for_the_dtype_asked_for() -> None:
    """A user's large value would turn into infinity without a word."""
    data = InlineData(with_value(1e300, 1, 0), ROWS)
    assert resolve_all(data=data).dtype == "float64"
    text = refusal(data=data, dtype="float32")
    assert "features.data: holds 1e+300 at row 2, column 1, too large for float32; use dtype float64" in text


def test_more_data_than_may_travel() -> None:
    """One user could fill the server's memory."""
    rows = LIMITS.max_data_bytes // 16
    assert resolve_all(data=InlineData(np.zeros((rows, 1)), np.zeros((rows, 1)))).data.rows == rows
    text = refusal(data=InlineData(np.zeros((rows + 1, 1)), np.zeros((rows + 1, 1))))
    assert text == "spec.inline_data: is 4112 bytes; at most 4096 may travel with a spec"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("a",), "has 1 names for 2 features; give one each, or none"),
        (("a", "a"), "has an empty name or one that stands twice"),
        (("a", ""), "has an empty name or one that stands twice"),
    ],
)
def test_names_that_do_not_fit(names: tuple[str, ...], text: str) -> None:
    """A user would read a parameter under the wrong name."""
    data = InlineData(ROWS, ROWS, feature_names=names)
    assert f"spec.inline_data.feature_names: {text}" in refusal(data=data)
    data = InlineData(ROWS, ROWS, target_names=names)
    assert f"spec.inline_data.target_names: {text.replace('features', 'targets')}" in refusal(data=data)


def test_one_value_fills_a_parameter() -> None:
    """A user would have to spell out every weight to start from zero."""
    given = {"weight": np.array(0.5), "bias": np.float32([1, 2])}
    initial = resolve_all(data=table(features=3, targets=2), initial_parameters=given).initial_parameters
    assert initial["weight"].tolist() == [[0.5] * 3] * 2
    assert initial["bias"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"w": np.array(0.0)}, "[0].name: is 'w'; this model has weight, bias"),
        ({"weight": np.zeros(2)}, "[0].value.shape: is [2]; weight has to be [1, 2], or [] for one value"),
        (
            {"weight": np.array(0.0), "bias": np.zeros((1, 1))},
            "[1].value.shape: is [1, 1]; bias has to be [1]",
        ),
        ({"bias": np.array([np.nan])}, "[0].value.data: holds nan at row 1"),
        ({"weight": np.array(np.inf)}, "[0].value.data: holds inf; only finite numbers can be used"),
    ],
)
def test_initial_parameters_that_do_not_fit(parameters: dict[str, FloatArray], text: str) -> None:
    """A user would start from something else than asked."""
    assert f"spec.initial_parameters{text}" in refusal(data=table(), initial_parameters=parameters)


def test_a_model_without_an_intercept_has_no_bias() -> None:
    """A user would think that the bias given was used."""
    text = refusal(intercept=False, initial_parameters={"bias": np.array(0.0)})
    assert text == "spec.initial_parameters[0].name: is 'bias'; this model has weight"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (np.zeros((2, 3)), "predict_rows.shape: is [2, 3]; it has to be [rows, 2]"),
        (np.zeros(2), "predict_rows.shape: is [2]; it has to be [rows, 2]"),
        (with_value(np.nan, 0, 1), "predict_rows.data: holds nan at row 1, column 2"),
        (np.zeros((65, 2)), "predict_rows: is 1040 bytes; at most 1024 may be asked for"),
    ],
)
def test_rows_to_predict_that_do_not_fit(rows: FloatArray, text: str) -> None:
    """A user would learn after the training that its only question could not be answered."""
    assert re.match(re.escape(f"spec.{text}"), refusal(data=table(), predict_rows=rows))


def test_a_model_too_large_to_be_sent() -> None:
    """A request of kilobytes would cost the server gigabytes, and its answer no client could receive."""
    data = InlineData(np.zeros((1, 400)), np.zeros((1, 400)))
    with pytest.raises(InvalidSpec) as raised:
        resolve(SpecRequest("module", data=data), ("cpu",), TRAINERS, Limits())
    expected = "makes a model of 160400 numbers (400 targets times 400 features and a bias); at most 100000"
    assert str(raised.value) == f"spec.inline_data: {expected}"


def test_predictions_too_large_to_be_sent() -> None:
    """Rows of one feature are small, what is predicted for them need not be."""
    data = InlineData(np.zeros((1, 1)), np.zeros((1, 100)))
    text = refusal(data=data, predict_rows=np.zeros((2, 1)))
    assert text == "spec.predict_rows: asks for predictions of 1600 bytes; at most 1024 may be asked for"
