"""Bundles: they come back as they were, and rows that a model cannot be asked are refused in a sentence."""

import math
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.unit.client.bundles import BIAS, WEIGHT, bundle, with_means

import gradstream
from gradstream import BundleError, FailedPreconditionError, InvalidArgumentError
from gradstream.bundle.functions import erf


def test_a_bundle_comes_back(tmp_path: Path) -> None:
    made = bundle()
    made.save(tmp_path / "a.zip")
    assert made.to_bytes() == (tmp_path / "a.zip").read_bytes() == bundle().to_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "folder")
    with (tmp_path / "a.zip").open("rb") as file:
        for loaded in map(gradstream.load, (tmp_path / "a.zip", str(tmp_path / "folder"), file)):
            assert loaded.to_bytes() == made.to_bytes()
            assert loaded.predict([{"area": 2, "color": "red"}]).tolist() == [[2.5]]
            assert (loaded.origin, loaded.spec) == (made.origin, made.spec)


@pytest.mark.parametrize(
    "rows",
    [
        [{"area": 2, "color": "red"}, {"area": 3, "color": "blue"}],
        {"area": [2, 3], "color": ["red", "blue"], "other": [None, "x"]},
        {"area": np.array([2, 3], np.int8), "color": np.array(["red", "blue"])},
        pd.DataFrame({"color": ["red", "blue"], "area": [2, 3]}, index=[7, 8]),
        pd.DataFrame({"color": pd.Categorical(["red", "blue"]), "area": pd.array([2, 3], "Int64")}),
        pl.DataFrame({"color": ["red", "blue"], "area": [2, 3]}),
        pa.table({"color": ["red", "blue"], "area": [2, 3]}),
        np.array([(2.0, "red"), (3.0, "blue")], [("area", "f8"), ("color", "U4")]),
        [[2, "red"], [3, "blue"]],
        np.array([[2, 0, 1], [3, 1, 0]]),
        [[2.0, 0, 1], [3.0, 1, 0]],
    ],
)
def test_rows_of_every_kind(rows: Any) -> None:
    assert bundle().predict(rows).tolist() == [[2.5], [7.0]]


@pytest.mark.parametrize("rows", [{"area": 2, "color": "red"}, [2, "red"], [2.0, 0, 1]])
def test_one_row(rows: Any) -> None:
    assert bundle().predict(rows).tolist() == [[2.5]]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"area": 2, "colour": "red"}], "column 'color' is missing; did you mean 'colour'?"),
        ({"area": [2], "x": [1]}, "column 'color' is missing; there are 'area', 'x'"),
        ([{"area": 2, "color": "rad"}], "row 1 holds 'rad' in 'color', .* did you mean 'red'?"),
        ([{"area": 2, "color": 5}], "row 1 holds 5 in 'color', .*categories: 'blue', 'red'"),
        ([{"area": 2, "color": []}], r"row 1 holds \[\] in 'color'"),
        ([{"area": 2, "color": None}], "row 1 has no value in 'color', .*nulls \"error\""),
        ([{"area": 1, "color": "red"}, {"color": "red"}], "row 2 has no value in 'area'"),
        ([[np.nan, 0, 1]], "row 1 has no value in 'area'"),
        ([[1, 0, np.inf]], "row 1 holds inf in 'color=red'; only finite"),
        ([[1e39, 0, 1]], r"row 1 holds 1e\+39 in 'area', too large for float32"),
        ([[1, 2, 3, 4]], "have 4 columns; the model has 3 features, encoded from 2 columns: 'area', 'color'"),
        ([{"area": "2", "color": "red"}], "row 1 holds '2' in 'area', which is no number"),
        ([{"area": 1j, "color": "red"}], "column 'area' is complex128"),
        ({"area": [1, 2], "color": ["red"]}, "'color' has 1 rows, and 'area' 2"),
        ({"area": [[1]], "color": ["red"]}, "'area' has 2 dimensions"),
        ([{"area": 1, "color": "red"}, 5], "row 2 is a int"),
        ([[1, 2, 3], [1]], "have to be a matrix with rows of one length"),
        (np.zeros((1, 1, 1)), "have 3 dimensions"),
        ({}, "column 'area' is missing; there are none"),
        (np.ma.array([[1.0, 0, 1]], mask=[[True, False, False]]), "row 1 has no value in 'area'"),
    ],
)
def test_rows_that_cannot_be_predicted(rows: Any, told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told) as raised:
        bundle().predict(rows)
    assert raised.value.reason == "INVALID_ROWS"
    assert raised.value.violations[0].field.startswith("rows")


def test_missing_values_as_in_training() -> None:
    made = with_means()
    for rows in (
        [{"area": None, "color": None}],
        [[np.nan, np.nan, 0]],
        pd.DataFrame({"area": pd.array([None], "Int64"), "color": [None]}),
        pl.DataFrame({"area": [None], "color": [None]}, {"area": pl.Float64, "color": pl.String}),
        {"area": np.ma.array([7], mask=[True]), "color": np.ma.array(["red"], mask=[True])},
        pa.table({"area": pa.array([None], pa.int64()), "color": pa.array([None], pa.string())}),
    ):
        assert made.predict(rows).tolist() == [[15.5]]
    with pytest.raises(InvalidArgumentError, match="none of its categories"):
        made.predict([{"area": 1, "color": "green"}])
    with pytest.raises(InvalidArgumentError, match="only finite"):
        made.predict([[np.inf, 0, 1]])


def test_precision() -> None:
    made = bundle()
    assert made.predict([2, "red"]).dtype == np.float32
    assert made.predict([2, "red"], dtype=np.float64).dtype == np.float64
    with pytest.raises(InvalidArgumentError, match="has to be float32 or float64"):
        made.predict([2, "red"], dtype="float16")


def test_numbers_are_not_classified() -> None:
    with pytest.raises(InvalidArgumentError, match="the model predicts numbers; use predict"):
        bundle().classify([2, "red"])


def test_installed_modules_are_kept_but_not_asked(tmp_path: Path) -> None:
    parameters = {"scale": np.array(2.0), "net.0.weight": np.ones((2, 3))}
    model = gradstream.Part("fourier", {"waves": 3})
    made = bundle(model=model, parameters=parameters, dtype="float64")
    made.save(tmp_path / "a.zip")
    loaded = gradstream.load(tmp_path / "a.zip")
    assert loaded.model == model
    assert list(loaded.parameters) == ["scale", "net.0.weight"]
    assert loaded.parameters["scale"].shape == ()
    with pytest.raises(FailedPreconditionError, match="'fourier', an installed module"):
        loaded.predict([2, "red"])


def test_the_error_function() -> None:
    x = np.concatenate([np.linspace(-7, 7, 10_001), [0.0, -0.0, 1e-300, 1e300, -np.inf]])
    np.testing.assert_allclose(erf(x), [math.erf(each) for each in x], rtol=1e-15)


def test_bundles_are_checked_when_they_are_made() -> None:
    """One that cannot be read would be noticed when the job is long gone."""
    with pytest.raises(BundleError, match="weight holds numbers that are not finite"):
        bundle(parameters={"weight": WEIGHT * np.float32(np.nan), "bias": BIAS})
    with pytest.raises(BundleError, match="mean"):
        replace(bundle(), nulls="mean")
