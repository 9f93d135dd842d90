"""Models through the Python client."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from tests.proxy import cutting_proxy
from tests.server import RunningServer

import gradstream
from gradstream import (
    AsyncClient,
    Client,
    Completed,
    InvalidArgumentError,
    ModelVersion,
    NotFoundError,
)

X = np.linspace(-1, 1, 40).reshape(20, 2)
Y = X @ [3.0, -1.0] + 0.5


@pytest.fixture
def client(server: RunningServer) -> Client:
    return Client(server.address)


def train(client: Client, name: str, seed: int = 0) -> Completed:
    run = client.train(
        X, Y, epochs=50, learning_rate=0.1, standardize=True, seed=seed, model_name=name, predict_rows=X
    )
    return run.result()


def test_a_result_names_its_model(client: Client) -> None:
    """A program would have to look for what it has just trained."""
    result = train(client, "py-names")
    assert result.model == ModelVersion("py-names", 1)
    assert str(result.model) == "py-names:1"
    model = client.model(result.model)
    assert (model.name, model.version, model.job) == ("py-names", 1, result.job)
    assert model.create_time == result.time
    assert (model.epochs, model.metrics) == (50, {"final_loss": result.final_loss})
    assert model.receipt.parameter_digest == result.receipt.parameter_digest
    assert model.spec.feature_names == ("x1", "x2")
    job = client.get(result.job)
    assert (job.model, job.model_name) == (result.model, "py-names")
    unnamed = client.train().result()
    assert unnamed.model == ModelVersion(unnamed.job, 1)


def test_a_cancelled_run_names_what_it_has_left(client: Client) -> None:
    run = client.train(trainer="autograd", epochs=10_000_000, report_every=1000, model_name="py-left")
    next(event for event in run.events() if isinstance(event, gradstream.EpochUpdates))
    run.cancel()
    with pytest.raises(gradstream.JobCancelledError) as ended:
        run.result()
    assert ended.value.result_so_far
    assert ended.value.result_so_far.model == ModelVersion(run.job, 1)
    assert client.model(run.job).epochs == ended.value.result_so_far.epochs


def test_models_are_found_by_name_and_version(client: Client) -> None:
    """A program would predict with another model than the one it means."""
    for seed in range(3):
        train(client, "py-found", seed)
    assert [model.version for model in client.models("py-found")] == [3, 2, 1]
    assert client.model("py-found").version == 3
    assert client.model("py-found", 2).version == 2
    assert client.model(ModelVersion("py-found", 1)).version == 1
    assert [model.version for model in client.models()][:3] == [3, 2, 1]
    with pytest.raises(NotFoundError, match="did you mean 'py-found'") as missing:
        client.model("py-fund")
    assert missing.value.reason == "MODEL_NOT_FOUND"
    for version in (0, -1, 2**40, 1.5, True, "1"):
        with pytest.raises(InvalidArgumentError, match="version"):
            client.model("py-found", version)  # type: ignore[arg-type]
    for name in (7, "\ud800"):
        with pytest.raises(InvalidArgumentError, match="name"):
            client.model(name)  # type: ignore[arg-type]


def test_download(client: Client, tmp_path: Path) -> None:
    """What is on a user's disk would not be what he trained."""
    result = train(client, "py-download")
    model = client.model("py-download")
    path = model.download(tmp_path)
    assert path == tmp_path / "py-download-1.zip"
    bundle = gradstream.load(path)
    assert result.predictions is not None
    np.testing.assert_allclose(bundle.predict(X), result.predictions, rtol=1e-12)
    np.testing.assert_allclose(model.load().predict(X), result.predictions, rtol=1e-12)
    state = safetensors.numpy.load_file(model.download(tmp_path / "state.SafeTensors"))
    assert {name: value.tolist() for name, value in state.items()} == {
        name: value.tolist() for name, value in result.parameters.items()
    }
    onnx.checker.check_model(onnx.load(model.download(str(tmp_path / "model.onnx"))))
    strange = model.download(tmp_path / "strange.dat", "bundle")
    assert strange.read_bytes() == path.read_bytes()
    with pytest.raises(InvalidArgumentError, match=r"'model\.pkl', whose ending says no format"):
        model.download(tmp_path / "model.pkl")
    with pytest.raises(InvalidArgumentError, match="format"):
        model.download(tmp_path / "model.zip", "pickle")  # type: ignore[arg-type]
    with pytest.raises(OSError, match="No such file"):
        model.download(tmp_path / "nowhere" / "model.zip")
    assert {each.name for each in tmp_path.iterdir()} == {
        "py-download-1.zip",
        "state.SafeTensors",
        "model.onnx",
        "strange.dat",
    }


def test_a_warm_start_from_a_model(client: Client) -> None:
    """Scaled parameters would be taken for those of unscaled features."""
    result = train(client, "py-warm")
    own = client.model("py-warm").load().parameters_in_own_units
    for name, value in result.parameters_in_own_units.items():
        np.testing.assert_allclose(own[name], value, rtol=1e-12)
    again = client.train(X, Y, epochs=1, standardize=True, initial_parameters=dict(own)).result()
    assert again.final_loss == pytest.approx(
        float(np.mean((result.predictions - Y[:, None]) ** 2)),
        rel=1e-9,  # type: ignore[operator]
    )


def test_deleting(client: Client) -> None:
    for seed in range(3):
        train(client, "py-delete", seed)
    model = client.model("py-delete", 2)
    model.delete()
    for gone in (model.delete, model.load, lambda: client.model("py-delete", 2)):
        with pytest.raises(NotFoundError, match="no version 2; there are 1, 3"):
            gone()
    assert client.get(model.job).model == ModelVersion("py-delete", 2)
    with pytest.raises(InvalidArgumentError):
        client.delete_model("py-delete")
    assert client.delete_model("py-delete", all_versions=True) == [1, 3]
    assert list(client.models("py-delete")) == []


async def test_the_same_for_asyncio(server: RunningServer, tmp_path: Path) -> None:
    async with AsyncClient(server.address) as client:
        run = await client.train(X, Y, epochs=5, model_name="py-async")
        result = await run.result()
        assert result.model
        model = await client.model(result.model)
        assert [each.version async for each in client.models("py-async")] == [1]
        assert gradstream.load(await model.download(tmp_path / "m.zip")).origin.version == 1
        assert (await model.load()).origin.name == "py-async"
        await model.delete()
        with pytest.raises(NotFoundError):
            await client.delete_model("py-async", 1)


def test_a_download_goes_through_a_connection_that_breaks(server: RunningServer, tmp_path: Path) -> None:
    """A user on a bad line would have to try again by hand."""
    with Client(server.address) as direct:
        direct.train(np.ones((1, 90_000)), [1.0], epochs=1, learning_rate=1e-9, model_name="py-cut").result()
        whole = direct.model("py-cut").download(tmp_path / "whole.safetensors").read_bytes()
    with (
        cutting_proxy(server.address, limits=[100_000, 300_000]) as proxy,
        Client(proxy.address) as client,
    ):
        client.health()  # once it has reached the server, it makes no connection to see whether TLS is wanted
        cut = client.model("py-cut").download(tmp_path / "cut.safetensors")
        assert cut.read_bytes() == whole
        assert proxy.cuts == 2
