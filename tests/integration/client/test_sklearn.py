"""Estimators of scikit-learn that train on a real server."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pandas
import polars
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.server import RunningServer, environment

from gradstream import Client, JobFailedError, JobState, ServerUnreachableError
from gradstream.sklearn import GradstreamClassifier, GradstreamRegressor

X, Y = make_regression(80, 3, noise=1.0, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def server_of_the_environment(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that train in parallel inherit it, too."""
    monkeypatch.setenv("GRADSTREAM_SERVER", server.address)


# Fewer epochs than by default: a hundred fits and more, which need not be good to the last digit.
@parametrize_with_checks([GradstreamRegressor(epochs=100), GradstreamClassifier(epochs=100)])  # type: ignore[untyped-decorator]
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    """What is built on scikit-learn's conventions would fail with these estimators."""
    try:
        check(estimator)
    except SkipTest as skipped:
        pytest.fail(f"left out: {skipped}")


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_regression_comes_to_what_scikit_learn_solves(trainer: str) -> None:
    ours, theirs = GradstreamRegressor(trainer=trainer).fit(X, Y), LinearRegression().fit(X, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X), X @ ours.coef_ + ours.intercept_, rtol=1e-10)
    assert (ours.n_iter_, len(ours.loss_curve_)) == (500, 500)
    assert len(ours.validation_loss_curve_) == 0


def test_several_targets() -> None:
    targets = np.stack([Y, -2 * Y + 1], axis=1)
    both = GradstreamRegressor().fit(X, targets)
    assert both.predict(X).shape == (80, 2)
    assert (both.coef_.shape, both.intercept_.shape) == ((2, 3), (2,))  # type: ignore[union-attr]
    assert both.score(X, targets) > 0.999
    without = GradstreamRegressor(intercept=False).fit(X, targets[:, :1])
    assert without.predict(X).shape == (80, 1)
    assert without.intercept_ == np.zeros(1)


def test_two_classes_are_logistic_and_more_are_softmax() -> None:
    several = GradstreamClassifier().fit(IRIS, NAMES[SPECIES])
    assert several.bundle_.model.name == "softmax"
    assert several.score(IRIS, NAMES[SPECIES]) > 0.94
    assert several.classes_.tolist() == NAMES.tolist()
    assert (several.coef_.shape, several.intercept_.shape) == ((3, 4), (3,))
    np.testing.assert_allclose(several.predict_proba(IRIS).sum(axis=1), 1)
    two = GradstreamClassifier(trainer="manual").fit(IRIS[:100], SPECIES[:100] == 1)
    assert two.bundle_.model.name == "logistic"
    assert two.predict(IRIS[:100]).tolist() == (SPECIES[:100] == 1).tolist()
    assert (two.coef_.shape, two.intercept_.shape) == ((1, 4), (1,))
    odds = two.predict_proba(IRIS)
    np.testing.assert_allclose(np.log(odds[:, 1] / odds[:, 0]), two.decision_function(IRIS), rtol=1e-6)
    asked = GradstreamClassifier(model="softmax").fit(IRIS[:100], SPECIES[:100])
    assert asked.predict(IRIS[:100]).tolist() == SPECIES[:100].tolist()
    assert asked.decision_function(IRIS).shape == (150,)


def test_class_weights() -> None:
    """A rare class would never be predicted."""
    rare = np.concatenate([np.flatnonzero(SPECIES == 1), np.flatnonzero(SPECIES == 2)[:8]])
    features, labels = IRIS[rare][:, :2], SPECIES[rare]
    found = [
        int((GradstreamClassifier(class_weight=weight).fit(features, labels).predict(features) == 2).sum())
        for weight in (None, "balanced", {2: 1000})
    ]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("trainer", ["manual", "module"])
def test_a_seed_is_that_of_the_job(trainer: str) -> None:
    """A run could not be repeated from the command line."""
    one, other, again = (GradstreamRegressor(trainer=trainer, epochs=2, batch_size=8) for _ in range(3))
    one.set_params(random_state=7).fit(X, Y)
    again.set_params(random_state=7).fit(X, Y)
    other.set_params(random_state=8).fit(X, Y)
    assert one.loss_curve_.tolist() == again.loss_curve_.tolist() != other.loss_curve_.tolist()
    with Client() as client:
        assert client.get(one.job_).spec.seed == 7
    drawn = {float(one.set_params(random_state=None).fit(X, Y).loss_curve_[0]) for _ in range(3)}
    assert len(drawn) > 1


def test_a_perceptron_that_ends_early() -> None:
    y = np.sin(X[:, 0])
    model = GradstreamRegressor(
        model=("mlp", {"hidden": [16, 16], "activation": "tanh"}),
        loss=("huber", {"delta": 0.5}),
        optimizer="adam",
        schedule="cosine",
        learning_rate=0.05,
        batch_size=16,
        validation_fraction=0.25,
        patience=5,
        min_delta=1e-3,
        random_state=0,
    ).fit(X, y)
    assert model.n_iter_ < 500
    assert len(model.validation_loss_curve_) == model.n_iter_
    assert model.bundle_.metrics["validation_loss"] <= model.validation_loss_curve_.min() + 1e-3
    assert model.score(X, y) > 0.8
    assert not hasattr(model, "coef_")
    assert not hasattr(GradstreamRegressor(), "coef_")
    copy = pickle.loads(pickle.dumps(model))  # with activations, which are functions
    assert copy.predict(X).tolist() == model.predict(X).tolist()


def test_a_warm_start_goes_on() -> None:
    model = GradstreamRegressor(epochs=5, warm_start=True)
    first = model.fit(X, Y).loss_curve_
    second = model.fit(X, Y).loss_curve_
    assert second[0] < first[-1]
    assert GradstreamRegressor(epochs=5).fit(X, Y).fit(X, Y).loss_curve_[0] > first[-1]


def test_the_model_on_the_server_predicts_the_same() -> None:
    """Who asks the server would be told something else."""
    model = GradstreamRegressor(epochs=5, model_name="sklearn-served", dtype="float32").fit(X, Y)
    with Client() as client:
        served = client.model("sklearn-served")
        assert served.job == model.job_
        np.testing.assert_allclose(served.load().predict(X)[:, 0], model.predict(X), rtol=1e-4)
        job = client.get(model.job_)
        assert job.spec.dtype == "float32"
        assert job.cancel_on_disconnect  # a search that is killed would leave the server busy for nobody


def test_pipeline_and_search_in_parallel() -> None:
    """A search trains in processes of their own, whose estimators come back to this one."""
    pipeline = make_pipeline(PolynomialFeatures(2, include_bias=False), GradstreamRegressor(epochs=50))
    grid = {"gradstreamregressor__l2": [0.0, 10.0], "gradstreamregressor__trainer": ["manual", "autograd"]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, Y)
    assert search.best_params_["gradstreamregressor__l2"] == 0.0
    assert search.score(X, Y) > 0.99
    scores = cross_val_score(GradstreamClassifier(random_state=0), IRIS, NAMES[SPECIES], cv=3)
    assert scores.min() > 0.9


def test_a_clone_is_not_fitted_and_trains_the_same() -> None:
    model = GradstreamClassifier(epochs=5, random_state=1, class_weight={0: 2.0}).fit(IRIS, SPECIES)
    copy = clone(model)
    assert not hasattr(copy, "bundle_")
    assert copy.get_params() == model.get_params()
    assert copy.fit(IRIS, SPECIES).loss_curve_.tolist() == model.loss_curve_.tolist()


def test_a_pickle_predicts_without_a_server_in_another_process(tmp_path: Path) -> None:
    """A model would be worth nothing where it is used."""
    model = GradstreamClassifier(epochs=20).fit(IRIS, NAMES[SPECIES])
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "rows.npy", IRIS)
    program = """
import pickle, sys, numpy
with open("model.pickle", "rb") as file:
    model = pickle.load(file)
print(*model.predict(numpy.load("rows.npy")))
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment(GRADSTREAM_SERVER=NOBODY),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == model.predict(IRIS).tolist()


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_frames_bring_names_along(frame: Callable[[dict[str, NDArray[Any]]], Any]) -> None:
    columns = {"size": X[:, 0], "age": X[:, 1], "rooms": X[:, 2]}
    model = GradstreamRegressor(epochs=50).fit(frame(columns), frame({"price": Y})["price"])
    assert model.feature_names_in_.tolist() == ["size", "age", "rooms"]
    assert (model.bundle_.features, model.bundle_.targets) == (("size", "age", "rooms"), ("price",))
    kinds = GradstreamClassifier(epochs=5).fit(IRIS, pandas.Series(NAMES[SPECIES], name="species"))
    assert kinds.bundle_.targets == ("species",)
    assert model.predict(frame(columns)).shape == (80,)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame(dict(reversed(columns.items()))))


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    GradstreamRegressor(epochs=30).fit(X, Y)
    assert capsys.readouterr().out == ""
    GradstreamRegressor(epochs=30, progress=True).fit(X, Y)
    shown = capsys.readouterr().out
    for line in ("n_samples: 80, n_features: 3", "epoch 1: loss = ", "epoch 21: loss = ", "after 30 epochs"):
        assert line in shown


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        (GradstreamRegressor(learning_rate=-1), "learning_rate: is -1"),
        (GradstreamRegressor(random_state=-1), "random_state: is -1"),
        (GradstreamRegressor(trainer="magic"), "trainer: is 'magic'; this server has manual"),
        (GradstreamRegressor(validation_fraction=2.0), "validation_fraction: is 2"),
        (GradstreamRegressor(trainer="manual", optimizer="adam"), "optimizer: "),
        (GradstreamRegressor(optimizer=("sgd", {"momentum": 2})), "optimizer.momentum: is 2"),
        (GradstreamRegressor(epochs=0.5), "epochs: must be a whole number, not 0.5"),  # type: ignore[arg-type]
        (GradstreamRegressor(model="logistic"), "model: is 'logistic'; it has to be one of linear, mlp"),
        (GradstreamRegressor(loss="log_loss"), "loss: is 'log_loss'; it has to be one of mse, l1, huber"),
        (GradstreamClassifier(class_weight={1: 0}), "class_weight: is 0.0; it has to be a number above 0"),
        (GradstreamClassifier(model="logistic"), "y: holds 3 classes"),
        (GradstreamClassifier(model=5), "model: is 5; it has to be one of logistic"),  # type: ignore[arg-type]
        (GradstreamRegressor(server="nowhere:x"), "'nowhere:x' is not a server's address"),
    ],
)
def test_what_is_refused_is_told_by_parameter(estimator: Any, told: str) -> None:
    """A user would look for fields of a contract in his program."""
    with pytest.raises(ValueError, match=f"^{told}"):
        estimator.fit(IRIS, SPECIES)
    assert not hasattr(estimator, "bundle_")


def test_no_server_and_no_result() -> None:
    with pytest.raises(ServerUnreachableError, match=f"no gradstream server at {NOBODY}"):
        GradstreamRegressor(server=NOBODY).fit(X, Y)
    with pytest.raises(JobFailedError, match="learning_rate") as failed:
        GradstreamRegressor(learning_rate=1e6).fit(X, Y)
    assert failed.value.reason == "DIVERGED"
    with Client() as client:
        assert client.get(failed.value.job).state is JobState.FAILED
