"""Scaling must not change what a model predicts, only how fast it is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradstream_server.trainers.scaling import Scaling

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(50, 3)) * [1, 1e4, 1e-3] + [0, 1e6, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_0_and_deviation_1(dtype: type[np.floating]) -> None:
    scaled = Scaling.learn(FEATURES.astype(dtype), intercept=True).apply(FEATURES.astype(dtype))
    assert scaled.dtype == np.float64
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-12)


def test_without_intercept_columns_are_only_divided() -> None:
    scaling = Scaling.learn(FEATURES, intercept=False)
    np.testing.assert_array_equal(scaling.mean, 0)
    np.testing.assert_allclose(scaling.scale, FEATURES.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("value", [0.1, 0.0, 1e300, -3e-310])
def test_a_constant_column_is_only_shifted(value: float) -> None:
    scaling = Scaling.learn(np.full((7, 1), value), intercept=True)
    assert scaling.scale == 1
    assert scaling.apply(np.array([[value], [value + 1]])).tolist() == [[0], [value + 1 - value]]


@pytest.mark.parametrize("intercept", [True, False])
def test_parameters_there_and_back(intercept: bool) -> None:
    scaling = Scaling.learn(FEATURES, intercept)
    own = {"weight": RNG.normal(size=(2, 3))} | ({"bias": RNG.normal(size=2)} if intercept else {})
    scaled = scaling.to_scaled(own)
    back = scaling.to_own_units(scaled)
    for name, value in own.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-9)
    np.testing.assert_allclose(
        scaling.apply(FEATURES) @ scaled["weight"].T + scaled.get("bias", 0),
        FEATURES @ own["weight"].T + own.get("bias", 0),
        rtol=1e-12,
        atol=1e-9,
    )


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.floats(-1e300, 1e300))
)
def test_any_finite_features_give_finite_scaled_ones(features: np.ndarray) -> None:
    scaling = Scaling.learn(features, intercept=True)
    assert (scaling.scale > 0).all()
    assert np.isfinite(scaling.apply(features)).all()
