"""A server with installed modules: good ones train, bad ones harm nobody."""

from collections.abc import Iterator

import numpy as np
import pytest
from tests.plugins import DECLARATION, NET, install
from tests.processes import maps
from tests.server import RunningServer, environment, running_server

from gradstream import Client, Completed, EpochUpdate, InvalidArgumentError, JobFailedError

LATE = """
    class Net(nn.Linear):
        def forward(self, x):
            if self.training:
                raise RuntimeError("no further")
            return super().forward(x)

    return Net(features, outputs)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("packages")
    install(folder, "own", DECLARATION + NET)
    install(folder, "late", DECLARATION + LATE)
    install(folder, "heavy", "import torch\n" + DECLARATION + NET)
    install(folder, "mlp", DECLARATION + NET)
    data_dir = tmp_path_factory.mktemp("server") / "data"
    options = ("--workers=1", "--threads=1", "--checkpoint-interval=0.01", "--max-parameters=100")
    with running_server(data_dir, *options, env=environment(PYTHONPATH=str(folder))) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def test_what_is_installed_is_told_and_costs_no_torch(server: RunningServer, client: Client) -> None:
    """The main process would be ten times as large, or the operator not know why a model is missing."""
    models = {part.name: part for part in client.server_info().parts if part.field == "model"}
    assert list(models) == ["linear", "logistic", "softmax", "mlp", "late", "own"]
    assert (models["own"].package, models["own"].losses) == (
        "test-own 1.0",
        ("mse", "log_loss", "cross_entropy"),
    )
    assert models["mlp"].package == ""
    assert not maps(server.process.pid, "libtorch")
    log = server.log.read_text()
    assert "test_heavy imports torch when it is imported" in log
    assert "'mlp' is the name of a model of gradstream's own" in log
    with pytest.raises(InvalidArgumentError, match="is 'heavy', which is installed but cannot be used"):
        client.create(trainer="module", model="heavy")
    with pytest.raises(InvalidArgumentError, match="there is nothing to compare it with"):
        client.check_gradients(trainer="module", model="own")


def test_it_goes_on_from_a_checkpoint_and_is_in_the_receipt(client: Client) -> None:
    """A job that was paused would come to another model, or nobody could tell which package has made it."""
    how = {"trainer": "module", "model": ("own", {"size": 6}), "optimizer": "adam", "epochs": 300}
    undisturbed = client.train(**how).result()
    assert undisturbed.receipt.versions["test-own"] == "1.0"
    run = client.train(**how)
    for event in run:
        if isinstance(event, EpochUpdate):
            client.pause(run.job)
            break
    client.resume(run.job)
    events = list(client.watch(run.job))
    again = events[-1]
    assert isinstance(again, Completed)
    assert again.receipt.parameter_digest == undisturbed.receipt.parameter_digest
    assert again.predictions.tolist() == undisturbed.predictions.tolist()


def test_it_is_asked_by_a_process_of_its_own(server: RunningServer, client: Client) -> None:
    """A user of a module of his own could train it here, and not use it."""
    rows = [[5.0], [6.0]]
    result = client.train(trainer="module", model="own", epochs=50, predict_rows=rows).result()
    assert result.model
    assert result.model.predict(rows).tolist() == result.predictions.tolist()
    assert not maps(server.process.pid, "libtorch")
    x, y = [[-1.0], [-2.0], [1.0], [2.0]], [0, 0, 1, 1]
    kinds = client.train(
        x, y, trainer="module", model="own", loss="log_loss", epochs=200, predict_rows=x, standardize=True
    ).result()
    model = client.model(kinds.model)
    np.testing.assert_allclose(model.predict(x), kinds.predictions, rtol=1e-6)
    assert model.classify(x).tolist() == [0, 0, 1, 1]
    with pytest.raises(InvalidArgumentError, match="row 1 has no value in 'x1'"):
        model.predict([[np.nan]])


def test_a_module_that_fails_harms_nobody(client: Client) -> None:
    """The next job of somebody else would pay for it."""
    with pytest.raises(JobFailedError, match="'late' has failed with RuntimeError: no further") as failed:
        client.train(trainer="module", model="late").result()
    assert failed.value.fault.reason == "MODULE_FAILED"
    with pytest.raises(JobFailedError, match=r"the model has \d+ numbers; at most 100") as failed:
        client.train(trainer="module", model=("own", {"size": 20})).result()
    assert failed.value.fault.reason == "CANNOT_TRAIN"
    assert client.train(trainer="module", model="own", epochs=2).result().epochs == 2
