"""Bundles predict what the trainers predict: else a model taken away would be another one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.models.trained import HOUSES, mlp, train_numbers, train_table

from gradstream.bundle import Bundle
from gradstream.bundle.architecture import ACTIVATIONS, LOSSES
from gradstream.errors import BundleError
from gradstream_server.jobs.events import Completed
from gradstream_server.models.bundling import bundle_of
from gradstream_server.trainers import catalogue
from gradstream_server.trainers.part import Choice

DRAWN = np.random.default_rng(7)
X = DRAWN.normal(3, 20, size=(40, 3))
Y = (X @ [[2.0], [-1.0], [0.5]] + 4).astype(np.float64)
TWO, THREE = (Y.mean() < Y).astype(np.float64), np.digitize(Y, [-10, 20]).astype(np.float64)
TOLERANCE = {"float32": {"rtol": 2e-6, "atol": 2e-6}, "float64": {"rtol": 1e-12, "atol": 1e-13}}


def assert_agree(bundle: Bundle, result: Completed, rows: Any) -> None:
    predictions = bundle.predict(rows)
    assert result.predictions is not None
    assert predictions.dtype == result.predictions.dtype == bundle.dtype
    np.testing.assert_allclose(predictions, result.predictions, **TOLERANCE[bundle.dtype])
    own = result.unscaled_parameters or result.parameters
    assert bundle.parameters_in_own_units.keys() == own.keys()
    for name, value in bundle.parameters_in_own_units.items():
        np.testing.assert_array_equal(value, own[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
@pytest.mark.parametrize("intercept", [True, False])
def test_linear_models(trainer: str, standardize: bool, intercept: bool, dtype: Any) -> None:
    rate = 0.1 if standardize else 1e-4
    features = X.astype(dtype)
    bundle, result = train_numbers(
        features, np.hstack([Y, -Y]).astype(dtype), trainer, standardize=standardize, intercept=intercept,
        learning_rate=rate,
    )  # fmt: skip
    assert_agree(bundle, result, features)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str, normalization: str, dtype: Any) -> None:
    features = X.astype(dtype)
    chosen = mlp(activation=activation, normalization=normalization, dropout=0.25)
    bundle, result = train_numbers(
        features, Y.astype(dtype), standardize=True, learning_rate=1e-4, parts=chosen
    )
    assert_agree(bundle, result, features)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("trainer", ["manual", "module"])
def test_two_classes(trainer: str, dtype: Any) -> None:
    parts: Any = {"model": Choice("logistic")}
    features = X.astype(dtype)
    bundle, result = train_numbers(
        features, TWO.astype(dtype), trainer, parts=parts, epochs=20, learning_rate=0.01
    )
    assert_agree(bundle, result, features)
    assert bundle.classes == (0, 1)
    likely = bundle.predict(features)[:, 0] > 0.5
    assert bundle.classify(features).tolist() == likely.astype(int).tolist()
    assert set(bundle.classify(features)) == {0, 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", ["softmax", "mlp"])
def test_several_classes(model: str, dtype: Any) -> None:
    parts: Any = mlp() if model == "mlp" else {"model": Choice("softmax")}
    parts |= {"loss": Choice("cross_entropy")}
    features = X.astype(dtype)
    bundle, result = train_numbers(features, THREE.astype(dtype), parts=parts, standardize=True, epochs=20)
    assert_agree(bundle, result, features)
    assert bundle.predict(features).shape == (40, 3)
    assert bundle.classify(features).tolist() == bundle.predict(features).argmax(axis=1).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("standardize", [True, False])
def test_tables(tmp_path: Path, dtype: Any, standardize: bool) -> None:
    """Columns that are encoded, or filled, in another way than for training would give other predictions."""
    rate = 0.1 if standardize else 1e-5
    bundle, result, features = train_table(tmp_path, standardize=standardize, dtype=dtype, learning_rate=rate)
    assert_agree(bundle, result, features)
    assert_agree(bundle, result, HOUSES)
    assert_agree(
        bundle, result, {name: HOUSES[name].to_pylist() for name in ("area", "rooms", "city", "sold")}
    )
    assert [column.name for column in bundle.columns] == ["sold", "city", "area", "rooms"]
    assert bundle.columns[1].categories == ("Bonn", "Oslo", "Rome")
    assert bundle.columns[3].categories == (1, 2, 3, 4, 5)
    assert bundle.columns[2].mean == pytest.approx(np.nanmean(features[:, 4]))


@pytest.mark.parametrize(
    ("target", "classes"),
    [("sold", (False, True)), ("kind", ("flat", "house")), ("year", (1999, 2001))],
)
def test_classes_are_values_of_the_column(tmp_path: Path, target: str, classes: tuple[Any, ...]) -> None:
    """A program would look in vain for 2001 among texts."""
    table = HOUSES.append_column("kind", [["house", "flat"] * 4]).append_column("year", [[2001, 1999] * 4])
    choices = {"targets": (target,), "features": ("area",), "one_hot": ()}
    bundle, _, _ = train_table(tmp_path, table, choices=choices, parts={"model": Choice("logistic")})
    assert bundle.classes == classes
    assert set(bundle.classify(table).tolist()) <= set(classes)


def test_the_reference_experiment() -> None:
    from tests.unit.executors.driving import small_spec, train

    completed = train("manual", predict_rows=None)[-1]
    assert isinstance(completed, Completed)
    bundle = bundle_of(small_spec("manual", predict_rows=None), completed, job="job")
    assert (bundle.features, bundle.targets) == (("x",), ("y",))
    assert_agree(bundle, completed, 5)


def test_a_model_whose_scaling_was_not_kept() -> None:
    """It would predict nonsense."""
    from tests.unit.executors.driving import small_spec, train

    spec = small_spec("manual", standardize=True)
    completed = train("manual", standardize=True)[-1]
    assert isinstance(completed, Completed)
    with pytest.raises(BundleError, match="train it again"):
        bundle_of(spec, replace(completed, scaling=None), job="job")


def test_models_of_the_catalogue() -> None:
    """A model or an activation that only one of the two sides knows could not be asked."""
    assert {name: tuple(part.losses) for name, part in catalogue.MODELS.items()} == LOSSES
    assert ACTIVATIONS == catalogue.ACTIVATIONS
