"""The example of an installed module, as a person would install it and train it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer, environment, running_server

from gradstream import FailedPreconditionError, load

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server beside which the example is installed: built from its sources by pip."""
    packages = tmp_path_factory.mktemp("packages")
    pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", packages)
    # What make tells pip is about builds in isolation.
    inherited = {name: value for name, value in environment().items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [*pip, EXAMPLES / "fourier-features"], env=inherited, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with running_server(
        data_dir, "--workers=1", "--threads=1", env=environment(PYTHONPATH=str(packages))
    ) as server:
        yield server


def test_it_is_listed_with_its_options(server: RunningServer) -> None:
    shown = gradstream("info", "--parts", server=server.address).stdout
    assert "losses mse, l1, huber, log_loss, cross_entropy; of gradstream-fourier 0.1.0\n" in shown
    assert "  waves = 200  How many\n" in shown


def test_it_learns_what_a_line_cannot(server: RunningServer) -> None:
    """What docs/plugins.md shows would not work."""
    given = (
        "--data", str(EXAMPLES / "data/seattle-weather.csv"), "--target", "temp_max", "--feature", "temp_min",
        "--feature", "wind", "--standardize", "--trainer", "module", "--optimizer", "lbfgs", "--epochs", "10",
    )  # fmt: skip
    line = gradstream("train", *given, "--format", "json", server=server.address)
    waves = gradstream(
        "train", *given, "--model", "fourier", "--set", "model.waves=30", "--set", "model.length=2",
        "--predict", "5,3", "--format", "json", server=server.address,
    )  # fmt: skip
    assert waves.returncode == 0, waves.stderr
    first, second = (json.loads(done.stdout.splitlines()[-1]) for done in (line, waves))
    assert second["final_loss"] < 0.95 * first["final_loss"]
    assert list(second["parameters"]) == ["frequencies", "phases", "linear.weight", "linear.bias"]


def test_its_model_can_be_taken_away_but_not_asked_elsewhere(server: RunningServer, tmp_path: Path) -> None:
    """A person would get numbers that mean nothing, or an error that says nothing."""
    given = ("--trainer", "module", "--model", "fourier", "--epochs", "2", "--name", "waves")
    assert gradstream("train", *given, server=server.address).returncode == 0
    file = str(tmp_path / "waves.zip")
    assert gradstream("model", "get", "waves", "-o", file, server=server.address).stdout == f"{file}\n"
    bundle = load(file)
    assert list(bundle.parameters) == ["frequencies", "phases", "linear.weight", "linear.bias"]
    with pytest.raises(FailedPreconditionError, match=r"'fourier', an installed module, .* ask a server"):
        bundle.predict([[5.0]])
    refused = gradstream("model", "get", "waves", "-o", str(tmp_path / "waves.onnx"), server=server.address)
    assert refused.returncode != 0
    assert "fourier" in refused.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["waves.zip"]


def test_an_option_that_does_not_fit_is_told(server: RunningServer) -> None:
    refused = gradstream(
        "train", "--trainer", "module", "--model", "fourier", "--set", "model.wave=3", server=server.address
    )
    assert refused.returncode == 2
    assert "there are waves, length, dropout; did you mean 'waves'?" in refused.stderr
