"""A model that is asked over the Open Inference Protocol answers as its bundle, or says what is wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.client.bundles import bundle, with_means

import gradstream
from gradstream import Bundle
from gradstream_server.jobs.errors import InvalidRequest
from gradstream_server.models.served import ServedModel
from gradstream_server.models.tensor import Tensor, TensorInfo

MAX_BYTES = 1 << 20
COLOR = np.array(["red", "blue"], object)


def numbers(**fields: Any) -> Bundle:
    """y = x1 + 10 x2."""
    known: dict[str, Any] = {
        "features": ("x1", "x2"),
        "targets": ("y",),
        "columns": (gradstream.InputColumn("x1"), gradstream.InputColumn("x2")),
        "parameters": {"weight": np.array([[1.0, 10.0]])},
        "intercept": False,
        "dtype": "float64",
    }
    return bundle(**known | fields)


def classes(**fields: Any) -> Bundle:
    """Of three kinds the one whose feature is largest."""
    known: dict[str, Any] = {
        "model": gradstream.Part("softmax", {}),
        "loss": gradstream.Part("cross_entropy", {}),
        "parameters": {"weight": np.eye(3)},
        "features": ("a", "b", "c"),
        "columns": tuple(map(gradstream.InputColumn, "abc")),
        "classes": ("ash", "birch", "cedar"),
    }
    return numbers(**known | fields)


def ask(model: Bundle, *wanted: str, **inputs: Any) -> dict[str, Any]:
    tensors = [Tensor(name, np.array(values)) for name, values in inputs.items()]
    outputs = ServedModel(model, MAX_BYTES).infer(tensors, wanted)
    return {output.name: output.values.tolist() for output in outputs}


@pytest.mark.parametrize(
    "inputs",
    [
        {"features": [[1.0, 2.0], [3.0, 4.0]]},
        {"features": np.array([[1, 2], [3, 4]], np.uint8)},
        {"features": np.array([[1, 2], [3, 4]], np.float16)},
        {"x1": [1.0, 3.0], "x2": [2.0, 4.0]},
        {"x2": [[2], [4]], "x1": np.array([1, 3], np.float32)},
    ],
)
def test_numbers_come_as_a_matrix_or_by_name(inputs: dict[str, Any]) -> None:
    assert ask(numbers(), **inputs) == {"predictions": [[21.0], [43.0]]}


def test_few_rows_come_flat() -> None:
    assert ask(numbers(), features=[1.0, 2.0]) == {"predictions": [[21.0]]}
    assert ask(numbers(), features=np.empty((0, 2))) == {"predictions": []}
    one = numbers(
        features=("features",),
        columns=(gradstream.InputColumn("features"),),
        parameters={"weight": np.array([[2.0]])},
    )
    assert ask(one, features=[1.0, 2.0]) == {"predictions": [[2.0], [4.0]]}


def test_text_comes_by_name() -> None:
    assert ask(bundle(), color=COLOR, area=[2, 3]) == {"predictions": [[2.5], [7.0]]}
    assert ask(bundle(), features=[[2.0, 0, 1]]) == {"predictions": [[2.5]]}
    whole = bundle(
        columns=(gradstream.InputColumn("area"), gradstream.InputColumn("color", (3, 4))),
        features=("area", "color=3", "color=4"),
    )
    for given in (np.array([4, 3]), np.array(["4", "3"], object)):
        assert ask(whole, color=given, area=[2, 3]) == {"predictions": [[2.5], [7.0]]}
    assert ServedModel(whole, MAX_BYTES).signature.inputs[1] == TensorInfo("color", "INT64", (-1, 1))


def test_missing_values_are_what_they_were_in_training() -> None:
    """A prediction would be made of something that nobody has decided on."""
    missing = {"area": [np.nan], "color": np.array([""], object)}
    assert ask(with_means(), **missing) == {"predictions": [[15.5]]}
    for told, inputs in (
        ("row 1 has no value in 'color', and the model was trained with nulls \"error\"", missing),
        ("row 1 has no value in 'area'", missing | {"color": COLOR[:1]}),
        ("row 1 holds inf in 'area'", {"area": [np.inf], "color": np.array(["red"], object)}),
    ):
        with pytest.raises(InvalidRequest, match=f"inputs: {told}"):
            ask(bundle(), **inputs)
    with pytest.raises(InvalidRequest, match="row 2 has no value in 'x1'"):
        ask(numbers(), features=[[1.0, 2.0], [np.nan, 1.0]])


def test_classes_have_names() -> None:
    given = {"features": [[9.0, 0, 0], [0, 0, 9]]}
    answer = ask(classes(), **given)
    assert answer["classes"] == [["ash"], ["cedar"]]
    assert np.argmax(answer["predictions"], axis=1).tolist() == [0, 2]
    assert list(ask(classes(), "classes", **given)) == ["classes"]
    assert ask(classes(classes=(7, 8, 9)), "classes", **given) == {"classes": [[7], [9]]}
    outputs = ServedModel(classes(), MAX_BYTES).signature.outputs
    assert outputs[1] == TensorInfo("classes", "BYTES", (-1, 1))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"features": [[1.0]]}, r"inputs\[0\].shape: is \[1, 1\]; it has to be \[rows, 2\]: 'x1', 'x2'"),
        ({"features": [[[1.0, 2.0]]]}, r"is \[1, 1, 2\]; it has to be \[rows, 2\]"),
        (
            {"features": np.array([["1", "2"]], object)},
            r"inputs\[0\].datatype: is BYTES, text; a matrix has to be",
        ),
        (
            {"predict": [[1.0, 2.0]]},
            r"is 'predict', which is no input .* takes 'features' as \[rows, 2\], or",
        ),
        ({"x1": [1.0], "X2": [1.0]}, r"inputs\[1\].name: is 'X2', which is no input .*; did you mean 'x2'"),
        ({"x1": [1.0]}, "inputs: lack 'x2'; it takes 'features'"),
        (
            {"features": [[1.0, 2.0]], "x1": [1.0]},
            "is 'features', which is all columns in one, and comes alone",
        ),
        ({}, "inputs: lack 'x1', 'x2'"),
        ({"x1": [1.0], "x2": [1.0, 2.0]}, r"inputs\[1\].shape: has 2 rows, and 'x1' 1"),
        (
            {"x1": [[1.0, 2.0]], "x2": [1.0]},
            r"\[0\].shape: is \[1, 2\]; a column, here 'x1', has to be \[rows\]",
        ),
        (
            {"x1": np.array(["1"], object), "x2": [1.0]},
            r"\[0\].datatype: is BYTES, text; 'x1' has to be numbers",
        ),
    ],
)
def test_inputs_that_are_refused(inputs: dict[str, Any], told: str) -> None:
    """A user would not know what to send instead."""
    with pytest.raises(InvalidRequest, match=told):
        ask(numbers(), **inputs)


def test_text_that_is_refused() -> None:
    with pytest.raises(
        InvalidRequest, match=r"\[1\].datatype: is FP64; 'color' holds text, as BYTES: 'blue'"
    ):
        ask(bundle(), area=[1.0], color=[1.0])
    with pytest.raises(
        InvalidRequest, match="row 1 holds 'green' in 'color', which is none of its categories"
    ):
        ask(bundle(), area=[1.0], color=np.array(["green"], object))
    with pytest.raises(InvalidRequest, match=r"of features that are encoded already; or give each column"):
        ask(bundle(), features=[[1.0, 2.0]])


def test_what_else_is_refused() -> None:
    twice = [Tensor("x1", np.ones(1)), Tensor("x1", np.ones(1)), Tensor("x2", np.ones(1))]
    with pytest.raises(InvalidRequest, match=r"inputs\[1\].name: is 'x1' for the second time"):
        ServedModel(numbers(), MAX_BYTES).infer(twice)
    with pytest.raises(
        InvalidRequest, match=r"outputs\[0\].name: is 'y', which is no output .* 'predictions'"
    ):
        ask(numbers(), "y", features=[1.0, 2.0])
    with pytest.raises(InvalidRequest, match=r"outputs\[1\].name: is 'predictions' for the second time"):
        ask(numbers(), "predictions", "predictions", features=[1.0, 2.0])


def test_what_would_become_too_large_is_refused() -> None:
    """A small request could take all memory of the server."""
    with pytest.raises(InvalidRequest, match=r"are 3 rows, .* 24 bytes; .* send at most 2 rows at once"):
        ServedModel(numbers(), 16).infer([Tensor("features", np.ones((3, 2)))])
    kinds = tuple("c" * i for i in range(1, 4))
    model = ServedModel(classes(classes=kinds), 300)
    rows = [Tensor("features", np.ones((10, 3)))]
    assert len(model.infer(rows, ["predictions"])) == 1
    with pytest.raises(InvalidRequest, match=r"are 10 rows, whose predictions have 350 bytes"):
        model.infer(rows)
    colors = tuple(f"{i}" for i in range(100))
    encoded = numbers(
        columns=(gradstream.InputColumn("color", colors),),
        features=tuple(f"color={each}" for each in colors),
        parameters={"weight": np.ones((1, 100))},
    )
    with pytest.raises(
        InvalidRequest, match=r"are 3 rows, whose features have 2400 bytes; .* at most 2 rows"
    ):
        ServedModel(encoded, 1000).infer([Tensor("color", np.array(["1", "2", "3"], object))])


def test_scaled_features_are_asked_for_in_float64() -> None:
    """A client that does as it is told would lose digits before they are scaled."""
    scaled = replace(bundle(), scaling=gradstream.Scaling(np.zeros(3), np.ones(3)))
    assert [info.datatype for info in ServedModel(scaled, 1).signature.inputs] == ["FP64", "BYTES"]
    assert [info.datatype for info in ServedModel(bundle(), 1).signature.inputs] == ["FP32", "BYTES"]
    assert ServedModel(scaled, 1).signature.outputs == (TensorInfo("predictions", "FP32", (-1, 1)),)
