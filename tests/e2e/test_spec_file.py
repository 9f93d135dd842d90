"""A run that is written down, and repeated from what was written."""

import json
import tomllib
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

HOUSES = "rooms,city,year,price\n2,Rome,1990,3\n3,Oslo,,5\n4,Rome,2001,4.5\n1,Bonn,1980,2\n"


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    path = tmp_path / "houses.csv"
    path.write_text(HOUSES)
    return path


def result(*args: str | Path, server: RunningServer, stdin: str | None = None) -> dict[str, object]:
    done = gradstream("train", *map(str, args), "--format", "json", server=server.address, stdin=stdin)
    assert done.returncode == 0, done.stderr
    last: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return last


def digest(completed: dict[str, object]) -> str:
    found: str = completed["receipt"]["parameter_digest"]  # type: ignore[index]  # the receipt is an object
    return found


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--trainer", "autograd", "--init", "weight=0.123456789", "--learning-rate", "1e-05"],
        ["--trainer", "module", "--epochs", "7", "--seed", "9", "--predict", "5", "--dtype", "float64"],
    ],
)
def test_the_reference_experiments_again(server: RunningServer, tmp_path: Path, args: list[str]) -> None:
    path = tmp_path / "run.toml"
    first = result(*args, "--save-spec", path, server=server)
    again = result("--spec", path, server=server)
    assert digest(again) == digest(first)
    assert again["predictions"] == first["predictions"]


def test_a_table_again(server: RunningServer, tmp_path: Path, houses: Path) -> None:
    """A person would have to remember what he typed."""
    path = tmp_path / "run.toml"
    first = result(
        "--trainer", "module", "--data", houses, "--target", "price", "--one-hot", "city", "--nulls", "mean",
        "--standardize", "--batch-size", "2", "--shuffle", "--epochs", "9", "--predict", "3,2000,Rome",
        "--save-spec", path, server=server,
    )  # fmt: skip
    again = result("--spec", path, "--save-spec", tmp_path / "again.toml", server=server)
    assert digest(again) == digest(first)
    assert again["predictions"] == first["predictions"]
    saved, once_more = (tomllib.loads(each.read_text()) for each in (path, tmp_path / "again.toml"))
    assert saved == once_more
    assert saved["data"]["file"] == str(houses)
    assert (saved["batch_size"], saved["device"], saved["seed"]) == (2, "cpu", 0)


def test_parts_and_their_options_again(server: RunningServer, tmp_path: Path, houses: Path) -> None:
    """The file would train another model, with another optimizer, and nobody would be told."""
    path = tmp_path / "run.toml"
    first = result(
        "--trainer", "module", "--data", houses, "--target", "price", "--nulls", "drop", "--epochs", "4",
        "--hidden", "5,3", "--set", "model.activation=tanh", "--optimizer", "adam",
        "--set", "optimizer.betas=0.5,0.9", "--schedule", "cosine", "--loss", "huber",
        "--dtype", "float32", "--mixed-precision", "bfloat16",
        "--save-spec", path, server=server,
    )  # fmt: skip
    again = result("--spec", path, "--save-spec", tmp_path / "again.toml", server=server)
    assert digest(again) == digest(first)
    saved, once_more = (tomllib.loads(each.read_text()) for each in (path, tmp_path / "again.toml"))
    assert saved == once_more
    assert saved["set"]["model"] == {
        "hidden": [5, 3],
        "activation": "tanh",
        "dropout": 0,
        "normalization": "none",
    }
    # The command line adds to it, and what it names anew has options of its own.
    other = result(
        "--spec",
        path,
        "--optimizer",
        "sgd",
        "--hidden",
        "2",
        "--set",
        "schedule.eta_min=0.001",
        server=server,
    )
    shown = gradstream("show", str(other["job"]), "--format", "json", server=server.address)
    parts = json.loads(shown.stdout)["spec"]["parts"]
    assert parts["optimizer"]["name"] == "sgd"
    assert (parts["model"]["options"]["hidden"], parts["model"]["options"]["activation"]) == ([2], "tanh")
    assert parts["schedule"]["options"] == {"T_max": 4, "eta_min": 0.001}


def test_a_warm_start_again(server: RunningServer, tmp_path: Path, houses: Path) -> None:
    """The run could be repeated only while the job it started from is kept."""
    table = ("--data", houses, "--target", "price", "--one-hot", "city", "--nulls", "drop", "--standardize")
    start = result(*table, server=server)
    first = result(*table, "--from", str(start["job"]), "--save-spec", tmp_path / "w.toml", server=server)
    assert gradstream("delete", str(start["job"]), server=server.address).returncode == 0
    assert digest(result("--spec", tmp_path / "w.toml", server=server)) == digest(first)


def test_the_command_line_goes_over_the_file(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('trainer = "module"\nepochs = 3\nshuffle = true\n[init]\nweight = 7\n')
    assert result("--spec", path, server=server)["epochs"] == 3
    more = result("--spec", path, "--epochs", "5", "--no-shuffle", "--init", "bias=1", server=server)
    shown = gradstream("show", str(more["job"]), "--format", "json", server=server.address)
    spec = json.loads(shown.stdout)["spec"]
    assert (spec["trainer"], spec["epochs"], spec["shuffle"]) == ("module", 5, False)
    assert spec["initial_parameters"] == {"bias": [1.0]}
    warm = result("--spec", path, "--from", str(more["job"]), "--epochs", "1", server=server)
    shown = gradstream("show", str(warm["job"]), "--format", "json", server=server.address)
    assert json.loads(shown.stdout)["spec"]["initial_parameters"] == more["parameters"]


def test_a_table_is_found_from_the_folder_of_the_file(
    server: RunningServer, tmp_path: Path, houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a table and its spec could not be given to somebody else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    common = ("--target", "price", "--feature", "rooms", "--save-spec", "runs/run.toml")
    first = result("--data", houses.name, *common, server=server)
    assert tomllib.loads((tmp_path / "runs/run.toml").read_text())["data"]["file"] == "../houses.csv"
    monkeypatch.chdir("/")
    assert digest(result("--spec", tmp_path / "runs/run.toml", server=server)) == digest(first)


def test_a_table_that_has_changed_is_not_taken_for_the_same(
    server: RunningServer, tmp_path: Path, houses: Path
) -> None:
    """The run would seem to be repeated, and come to something else."""
    path = tmp_path / "run.toml"
    common = ("--target", "price", "--feature", "rooms", "--save-spec", path)
    houses.write_text(HOUSES.replace("4.5", "4.7"))  # a table of its own, for it is deleted
    first = result("--data", houses, *common, server=server)
    houses.write_text(HOUSES.replace("4.5", "4.6"))
    refused = gradstream("train", "--spec", str(path), server=server.address)
    assert refused.returncode == 2
    assert f"{houses} is not the table of the spec file: its digest is " in refused.stderr
    assert digest(result("--spec", path, "--data", houses, server=server)) != digest(first)
    houses.unlink()
    assert digest(result("--spec", path, server=server)) == digest(first), "the server has it still"
    kept = tomllib.loads(path.read_text())["data"]["digest"]
    assert gradstream("data", "rm", kept, server=server.address).returncode == 0
    refused = gradstream("train", "--spec", str(path), server=server.address)
    assert refused.returncode == 2
    assert f"cannot read {houses}: there is no such file, and the server has no data set " in refused.stderr


def test_a_table_from_stdin_is_known_by_its_digest(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    common = ("--target", "price", "--feature", "rooms", "--save-spec", path)
    first = result("--data", "-", *common, server=server, stdin=HOUSES)
    assert "file" not in tomllib.loads(path.read_text())["data"]
    assert digest(result("--spec", path, server=server)) == digest(first)


def test_a_job_that_is_left_is_written_down_too(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    job = gradstream("train", "--detach", "--save-spec", str(path), server=server.address).stdout.strip()
    assert path.read_text().startswith(
        f"# What job {job} has trained. Again: gradstream train --spec run.toml\n"
    )
    assert tomllib.loads(path.read_text())["gradient_reduction"] == "sum"


def test_what_is_wrong_is_said_before_anything_begins(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("epoch = 3\n")
    refused = gradstream("train", "--spec", str(path), server="127.0.0.1:1")
    assert refused.returncode == 2
    assert f"{path}: 'epoch' is no key; did you mean 'epochs'?" in refused.stderr
    refused = gradstream("train", "--save-spec", str(tmp_path / "none/run.toml"), server="127.0.0.1:1")
    assert refused.returncode == 2
    assert "there is no folder" in refused.stderr
    path.write_text("epochs = 0\n")
    refused = gradstream(
        "train", "--spec", str(path), "--save-spec", str(tmp_path / "b"), server=server.address
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--epochs is 0" in refused.stderr
    assert not (tmp_path / "b").exists()
