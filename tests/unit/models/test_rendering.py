"""A model in other formats predicts the same, by other people's code."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from tests.unit.models.test_bundling import THREE, TOLERANCE, TWO, X, Y
from tests.unit.models.trained import HOUSES, mlp, train_numbers, train_table
from torch import nn

import gradstream
from gradstream.bundle import Bundle
from gradstream.bundle.architecture import ACTIVATIONS
from gradstream_server.models.errors import CannotRender
from gradstream_server.models.rendering import FORMATS, render
from gradstream_server.trainers.part import Choice

CITIES = {"": 0, "Bonn": 1, "Oslo": 2, "Rome": 3}


def run(bundle: Bundle, inputs: dict[str, Any]) -> np.ndarray:
    """What ONNX Runtime makes of the graph."""
    session = onnxruntime.InferenceSession(render(bundle, "onnx"), providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_inputs()} == set(inputs)
    (predictions,) = session.run(["predictions"], inputs)
    return np.asarray(predictions)


def assert_agree(bundle: Bundle, features: Any, inputs: dict[str, Any] | None = None) -> None:
    wide = features.astype(np.float64 if bundle.scaling else bundle.dtype)
    predictions = run(bundle, inputs or {"features": wide})
    assert predictions.dtype == bundle.dtype
    np.testing.assert_allclose(predictions, bundle.predict(features), **TOLERANCE[bundle.dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_graphs_of_perceptrons(activation: str, normalization: str, dtype: Any) -> None:
    features = X.astype(dtype)
    chosen = mlp(activation=activation, normalization=normalization, dropout=0.25)
    bundle, _ = train_numbers(features, Y.astype(dtype), standardize=True, learning_rate=1e-4, parts=chosen)
    assert_agree(bundle, features)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    ("model", "targets"), [("linear", np.hstack([Y, -Y])), ("logistic", TWO), ("softmax", THREE)]
)
def test_graphs_of_single_layers(model: str, targets: Any, intercept: bool, dtype: Any) -> None:
    features = X.astype(dtype)
    bundle, _ = train_numbers(
        features,
        targets.astype(dtype),
        parts={"model": Choice(model)},
        intercept=intercept,
        learning_rate=1e-4,
    )
    assert_agree(bundle, features)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_graph_takes_the_columns_of_the_table(tmp_path: Path, dtype: Any, standardize: bool) -> None:
    """Encoding would be left to whoever has the file, who does not know it."""
    bundle, _, features = train_table(tmp_path, dtype=dtype, standardize=standardize, learning_rate=1e-5)
    numbers = "float64" if standardize else dtype
    area = HOUSES["area"].to_numpy().astype(numbers)
    inputs = {
        "sold": np.array(HOUSES["sold"].to_pylist(), numbers)[:, None],
        "city": np.array([city or "" for city in HOUSES["city"].to_pylist()], object)[:, None],
        "area": area[:, None],
        "rooms": HOUSES["rooms"].to_numpy().astype(np.int64)[:, None],
    }
    assert np.isnan(area).any()
    assert_agree(bundle, features, inputs)
    unknown = inputs | {"city": np.array([["Paris"], *[["Rome"]] * 7], object)}
    assert np.isnan(run(bundle, unknown)[:, 0]).tolist() == [True] + [False] * 7


def test_means_stand_in_for_numbers_in_a_matrix(tmp_path: Path) -> None:
    choices = {"features": ("area",), "one_hot": ()}
    bundle, _, _ = train_table(tmp_path, choices=choices, learning_rate=1e-5)
    assert_agree(bundle, np.array([[np.nan], [50]], bundle.dtype))


def test_a_graph_is_the_same_each_time_and_stands_alone() -> None:
    """A file beside it would be lost on the way."""
    import onnx

    bundle, _ = train_numbers(X, Y, learning_rate=1e-4)
    content = render(bundle, "onnx")
    assert content == render(bundle, "onnx")
    model = onnx.load_from_string(content)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 19)]
    assert not any(onnx.external_data_helper.uses_external_data(each) for each in model.graph.initializer)


def test_graphs_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, _ = train_numbers(X, Y, learning_rate=1e-4)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CannotRender, match=r"pip install 'gradstream\[onnx\]'"):
        render(bundle, "onnx")


def test_a_state_dict_fits_the_module(tmp_path: Path) -> None:
    bundle, _ = train_numbers(X, Y, parts=mlp(activation="gelu", normalization="layer", dropout=0.5))
    (tmp_path / "state.safetensors").write_bytes(render(bundle, "state_dict"))
    module = nn.Sequential(
        nn.Linear(3, 5), nn.LayerNorm(5), nn.GELU(), nn.Dropout(),
        nn.Linear(5, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(),
        nn.Linear(4, 1),
    ).double().eval()  # fmt: skip
    module.load_state_dict(safetensors.torch.load_file(tmp_path / "state.safetensors"))
    with torch.no_grad():
        predictions = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(predictions, bundle.predict(X), rtol=1e-12)


def test_a_bundle() -> None:
    bundle, _ = train_numbers(X, Y)
    loaded = gradstream.load(io.BytesIO(render(bundle, "bundle")))
    np.testing.assert_array_equal(loaded.predict(X), bundle.predict(X))


def test_unknown_formats() -> None:
    assert list(FORMATS) == ["bundle", "onnx", "state_dict"]
    with pytest.raises(KeyError):
        render(train_numbers(X, Y)[0], "pickle")
