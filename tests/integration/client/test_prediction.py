"""Models on the server are asked from Python as those at home are."""

import asyncio
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.server import RunningServer

from gradstream import (
    AsyncClient,
    Bundle,
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    Model,
    ModelVersion,
    NotFoundError,
)

TABLE = {
    "size": [1.0, 2.0, 3.0, 4.0],
    "color": ["blue", "red", "blue", "red"],
    "kind": ["a", "a", "b", "b"],
    "price": [3.0, 1.0, 5.0, 3.0],
}


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    return Client(server.address)


@pytest.fixture(scope="module")
def houses(client: Client) -> Model:
    """A model of numbers and text."""
    run = client.train(
        dataset=client.upload(TABLE, name="houses"), feature_columns=["size", "color"], one_hot=["color"],
        target_columns="price", epochs=20, standardize=True, nulls="mean", model_name="asked-houses",
    )  # fmt: skip
    assert run.result().model
    return client.model("asked-houses")


@pytest.fixture(scope="module")
def bundle(houses: Model) -> Bundle:
    return houses.load()


@pytest.mark.parametrize(
    "rows",
    [
        TABLE,
        pd.DataFrame(TABLE),
        pl.DataFrame(TABLE),
        pa.table(TABLE),
        [{"color": "red", "size": 2}, {"color": "blue", "size": None}],
        {"color": "red", "size": 2},
        {"color": ["red", None], "size": np.array([1, 2], np.int8)},
        {"color": [None], "size": [2.0]},
        [[2, "red"], [3, "blue"]],
        [2, "red"],
        np.array([[1.0, 0.0, 1.0]]),
        [[1, 1, 0], [2, 0, 1]],
        pd.DataFrame({"color": pd.Categorical(["red"]), "size": pd.array([None], "Int64")}),
        {"color": np.array([], str), "size": []},
    ],
)
def test_rows_of_every_kind_give_what_the_bundle_gives(houses: Model, bundle: Bundle, rows: Any) -> None:
    """A user would be told something else by the server than at home."""
    predictions = houses.predict(rows)
    np.testing.assert_array_equal(predictions, bundle.predict(rows), strict=True)


def test_a_result_is_asked_at_once(client: Client) -> None:
    """A user would have to look for the model that he has just trained."""
    model = client.train([[0.0], [1.0]], [1.0, 3.0], epochs=2000, learning_rate=0.5).result().model
    assert model
    predictions = model.predict([2.0, 3.0])
    assert (predictions.shape, predictions.round(6).tolist()) == ((2, 1), [[5.0], [7.0]])
    assert client.model(model).predict(2.0).round(6).tolist() == [[5.0]]
    assert model == ModelVersion(model.name, 1) == pickle.loads(pickle.dumps(model))
    with pytest.raises(FailedPreconditionError, match=r"without a connection to it: ask client.model"):
        ModelVersion(model.name, 1).predict([2.0])


def test_many_rows_travel_in_pieces(client: Client, houses: Model, bundle: Bundle) -> None:
    """A request would be larger than the server takes, and memory would run out."""
    count = 100_000
    size = np.random.default_rng(0).normal(size=count)
    rows = {"size": size, "color": np.where(size > 0, "red", "blue")}
    np.testing.assert_allclose(houses.predict(rows), bundle.predict(rows), rtol=1e-6)
    rows["color"][70_000] = "grey"
    with pytest.raises(
        InvalidArgumentError, match=r"row \d+ holds 'grey' in 'color', .*; counted from row \d+"
    ) as refused:
        houses.predict(rows)
    row, first = (int(word) for word in str(refused.value).replace(",", "").split() if word.isdecimal())
    assert row + first - 1 == 70_001
    one = client.train([[0.0], [1.0]], [0.0, 2.0], epochs=2000, learning_rate=0.5).result().model
    assert one
    np.testing.assert_allclose(one.predict(size.repeat(3))[:, 0], 2 * size.repeat(3), atol=1e-6)


def test_classes(client: Client) -> None:
    x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    table = {"x": x[:, 0], "kind": ["ash", "ash", "birch", "birch"]}
    client.train(
        dataset=client.upload(table, name="trees"), target_columns=["kind"], model="logistic", epochs=50,
        learning_rate=1.0, model_name="asked-trees",
    ).result()  # fmt: skip
    model = client.model("asked-trees")
    local = model.load()
    assert model.classify(x).tolist() == local.classify(x).tolist() == ["ash", "ash", "birch", "birch"]
    np.testing.assert_array_equal(model.predict(x), local.predict(x))
    assert model.classify(np.empty((0, 1))).dtype.kind == "U"


def test_numbers_are_not_classified(houses: Model) -> None:
    with pytest.raises(InvalidArgumentError, match="rows: cannot be classified: the model predicts numbers"):
        houses.classify([[1.0, 0, 1]])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"size": [1.0]}, "rows: lack 'color'; it takes each of 'size', 'color'"),
        ({"size": ["a"], "color": ["red"]}, "rows: is BYTES, text; 'size' has to be numbers"),
        ({"size": [1.0], "color": [1.0]}, "rows: is FP64; 'color' holds text, as BYTES: 'blue', 'red'"),
        ({"size": [np.inf], "color": ["red"]}, "rows: row 1 holds inf in 'size'"),
        ({"size": [1.0], "color": ["red", "red"]}, "rows: column 'color' has 2 rows, and 'size' 1"),
        (
            {"size": ["a", 1], "color": ["red", "red"]},
            "rows: row 2 holds 1 in 'size', where others hold text",
        ),
        ({"size": np.array(["2026-01-01"], "M8[D]"), "color": ["red"]}, "rows: column 'size' is datetime64"),
        ([[1, "red", 2]], r"rows: have shape \(1, 3\), not all of numbers; the model has 2 columns: 'size'"),
        ([[1.0, 2.0]], r"rows: is \[1, 2\]; it has to be \[rows, 3\], of features that are encoded already"),
        ([[1.0, 2.0j, 3.0]], "rows: are complex128; a matrix has to be numbers"),
        (np.array([["2026-01-01"]], "M8[D]"), r"rows: are datetime64\[D\]; a matrix has to be numbers"),
        ([[10**400, 1, 1]], "rows: hold a number that is too large"),
        ({"size": [1.0], "color": ["\ud800"]}, r"rows: hold '\\ud800', which is no text"),
        ([[1.0], [1.0, 2.0]], "rows: have to be a matrix with rows of one length"),
    ],
)
def test_rows_that_are_refused(houses: Model, rows: Any, told: str) -> None:
    """A user would not know what is wrong with his rows."""
    with pytest.raises(InvalidArgumentError, match=told):
        houses.predict(rows)


def test_a_model_that_is_gone(client: Client) -> None:
    client.train(model_name="asked-gone").result()
    model = client.model("asked-gone")
    assert model.predict([5.0]).round(3).tolist() == [[10.0]]
    model.delete()
    with pytest.raises(NotFoundError, match="there is no model 'asked-gone'"):
        model.predict([5.0])


async def ask(address: str, name: str, rows: Any) -> tuple[Any, Any]:
    async with AsyncClient(address) as client:
        model = await client.model(name)
        return await model.predict(rows), model._repr_html_()


def test_asyncio(server: RunningServer, houses: Model, bundle: Bundle) -> None:
    predictions, html = asyncio.run(ask(server.address, houses.name, TABLE))
    np.testing.assert_array_equal(predictions, bundle.predict(TABLE))
    assert html == houses._repr_html_()
    assert "model asked-houses:1" in html
    assert "size, color=blue, color=red" in html
