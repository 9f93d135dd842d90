"""Metrics are those of scikit-learn, and where they are not defined it is said why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as judge

from gradstream_server.trainers.metrics import METRICS

SEEDS = st.integers(0, 2**32)
KINDS = ("a", "b", "c", "d")


@given(seed=SEEDS, rows=st.integers(2, 30), targets=st.integers(1, 3), dtype=st.sampled_from(["f4", "f8"]))
def test_of_numbers(seed: int, rows: int, targets: int, dtype: str) -> None:
    """A user who compares with another library would find other numbers."""
    random = np.random.default_rng(seed)
    y, predictions = random.normal(3, 2, size=(2, rows, targets)).astype(dtype)
    assert METRICS["r2"].undefined(y, ()) == ""
    for name, function in (
        ("mae", judge.mean_absolute_error),
        ("rmse", judge.root_mean_squared_error),
        ("r2", judge.r2_score),
    ):
        expected = function(y.astype("f8"), predictions.astype("f8"))
        np.testing.assert_allclose(METRICS[name].compute(predictions, y), expected, rtol=1e-9)


@given(seed=SEEDS, rows=st.integers(4, 40), classes=st.integers(2, 4), ties=st.booleans())
def test_of_classes(seed: int, rows: int, classes: int, ties: bool) -> None:
    """A user who compares with another library would find other numbers."""
    random = np.random.default_rng(seed)
    labels = random.permutation([*range(classes), *random.integers(0, classes, rows - classes)])
    y, names = labels[:, None].astype("f8"), KINDS[:classes]
    predictions = random.dirichlet(np.ones(classes), rows)
    if ties:
        predictions = np.round(predictions * 2 + 0.1) + 1
        predictions /= predictions.sum(axis=1, keepdims=True)
    expected = {
        "accuracy": judge.accuracy_score(labels, predictions.argmax(axis=1)),
        "log_loss": judge.log_loss(labels, predictions),
        "auc": judge.roc_auc_score(
            labels, predictions[:, 1] if classes == 2 else predictions, multi_class="ovr"
        ),
    }
    for name, value in expected.items():
        assert METRICS[name].undefined(y, names) == ""
        np.testing.assert_allclose(METRICS[name].compute(predictions, y), value, rtol=1e-9, err_msg=name)
    if classes == 2:  # As the logistic model tells them: of the second class alone.
        for name, value in expected.items():
            np.testing.assert_allclose(METRICS[name].compute(predictions[:, 1:], y), value, rtol=1e-9)


def test_a_probability_of_0_is_no_infinite_loss() -> None:
    """One sure mistake would take the curve away."""
    for dtype in ("f4", "f8"):
        loss = METRICS["log_loss"].compute(np.array([[1.0], [0]], dtype), np.array([[0.0], [1]], dtype))
        assert loss == pytest.approx(-np.log(np.finfo(dtype).eps))


def test_what_is_not_defined_says_why() -> None:
    """A user would be shown a number that means nothing."""
    one, constant = np.array([[2.0]]), np.array([[1.0, 3], [2, 3]])
    assert METRICS["r2"].undefined(one, ()) == "there is one row only, and it needs two"
    assert METRICS["r2"].undefined(constant, ()) == "a target is the same in all of them"
    same, some = np.array([[1.0], [1]]), np.array([[0.0], [2]])
    assert METRICS["auc"].undefined(same, KINDS[:2]) == "they hold one class only, 'b'"
    assert METRICS["auc"].undefined(some, KINDS[:3]) == "none of them is of class 'b'"


@pytest.mark.parametrize("name", METRICS)
def test_predictions_that_are_no_numbers_give_none(name: str) -> None:
    """A model past all numbers would pass for a good one."""
    y = np.array([[0.0], [1]])
    with np.errstate(all="ignore"):
        assert not np.isfinite(METRICS[name].compute(np.array([[np.nan], [np.nan]]), y))
