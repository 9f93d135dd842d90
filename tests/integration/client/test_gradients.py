"""`check_gradients` against a real server."""

from collections.abc import Iterator

import numpy as np
import pytest
from tests.server import RunningServer

from gradstream import AsyncClient, Client, FailedPreconditionError, InvalidArgumentError, NotFoundError

X = np.arange(12.0).reshape(6, 2)
Y = X @ [1.0, 2.0] + 3.0


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def test_all_trainers_on_ones_own_data(client: Client) -> None:
    jobs = len(list(client.jobs()))
    check = client.check_gradients(X, Y, initial_parameters={"weight": 0.5})
    assert (check.rows, check.trainers, check.left_out) == (6, ("manual", "autograd", "module"), {})
    assert {name: each.shape for name, each in check.parameters.items()} == {"weight": (1, 2), "bias": (1,)}
    assert check.difference < 1e-13
    assert check.finite_difference_error < 1e-7
    residual = X @ [0.5, 0.5] - Y
    weight = check.parameters["weight"]
    for values in weight.values.values():
        np.testing.assert_allclose(values, 2 * residual @ X / 6, rtol=1e-13)
    assert len(list(client.jobs())) == jobs, "it is no job"


def test_the_missing_1_n(client: Client) -> None:
    """What the manual reference run is about: four rows, four times the gradient."""
    total, mean = (
        client.check_gradients(trainer=each).parameters["weight"] for each in ("manual", "autograd")
    )
    assert total.values["manual"].tolist() == [-120.0]
    assert mean.values["manual"].tolist() == [-30.0]


def test_a_data_set(client: Client) -> None:
    dataset = client.upload({"a": X[:, 0], "b": X[:, 1], "y": Y})
    check = client.check_gradients(dataset=dataset, target_columns="y", standardize=True, batch_size=4)
    assert check.rows == 4
    assert check.difference < 1e-13


def test_trainers_that_do_not_do_the_model_are_named(client: Client) -> None:
    model = ("mlp", {"hidden": [4], "activation": "tanh"})
    check = client.check_gradients(X / 10, Y / 10, trainer="module", model=model)
    assert check.trainers == ("module",)
    assert check.left_out.keys() == {"manual", "autograd"}
    assert "'mlp', which the manual trainer does not do" in check.left_out["manual"]
    assert check.finite_difference_error < 1e-6


def test_what_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        client.check_gradients(X, Y, learning_rate=-1.0)
    assert [each.field for each in caught.value.violations] == ["spec.learning_rate"]
    with pytest.raises(FailedPreconditionError, match="is not here"):
        client.check_gradients(X, Y, device="cuda:9")
    with pytest.raises(NotFoundError, match="there is no data set"):
        client.check_gradients(dataset="0" * 64, target_columns="y")
    with pytest.raises(InvalidArgumentError, match="not finite at the start") as caught:
        client.check_gradients(np.full((2, 1), 1e30, np.float32), np.full((2, 1), 1e30, np.float32))
    assert caught.value.reason == "DIVERGED"


async def test_async(server: RunningServer) -> None:
    async with AsyncClient(server.address) as client:
        assert (await client.check_gradients(X, Y)).difference < 1e-13
