"""Models from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

from gradstream import Client

WEATHER = str(Path(__file__).parents[2] / "examples/data/seattle-weather.csv")
TRAIN = ("train", "--data", WEATHER, "--target", "temp_max", "--standardize", "--learning-rate", "0.1")


def run(*args: str, server: RunningServer, code: int = 0) -> str:
    """What a command prints, on stdout when it succeeds."""
    done = gradstream(*args, server=server.address)
    assert done.returncode == code, done
    return done.stderr if code else done.stdout


def test_from_training_to_a_file_and_back(server: RunningServer, tmp_path: Path) -> None:
    """A person could not get hold of what was trained."""
    first = json.loads(run(*TRAIN, "--name", "weather", "--format", "json", server=server).splitlines()[-1])
    assert first["model"] == {"name": "weather", "version": 1}
    run(*TRAIN, "--name", "weather", "--epochs", "3", server=server)

    table = run("models", "--name", "weather", server=server).splitlines()
    assert table[0].split() == ["NAME", "VERSION", "MODEL", "TRAINER", "EPOCHS", "LOSS", "CREATED", "JOB"]
    assert [line.split()[:5] for line in table[1:]] == [
        ["weather", "latest", "2", "linear", "manual"],
        ["weather", "1", "linear", "manual", "100/100"],
    ]
    listed = [json.loads(line) for line in run("models", "--format", "json", server=server).splitlines()]
    assert [(each["name"], each["version"]) for each in listed][:2] == [("weather", 2), ("weather", 1)]

    shown = dict(
        line.split(None, 1) for line in run("model", "show", "weather:1", server=server).splitlines()
    )
    assert (shown["name"], shown["version"], shown["job"]) == ("weather", "1", first["job"])
    assert (shown["trainer"], shown["final"].split()[0]) == ("manual", "loss")
    found = json.loads(run("model", "show", "weather:latest", "--format", "json", server=server))
    assert (found["version"], found["epochs"]) == (2, 3)
    assert found["receipt"]["parameter_digest"] != first["receipt"]["parameter_digest"]

    assert run("predict", "weather:1", "0,10,2", "-1,10,2", server=server).split() == ["19.49", "19.6538"]
    by_name = "wind=2,precipitation=0,temp_min=10"
    told = json.loads(run("predict", "weather:1", by_name, "--format", "json", server=server))
    assert told == {"predictions": [pytest.approx(19.49, abs=1e-3)]}
    table = tmp_path / "days.csv"
    table.write_text("date,wind,temp_min,precipitation\n2016-01-01,2,10,0\n2016-01-02,2,10,-1\n")
    assert run("predict", "weather:1", "--data", str(table), server=server).split() == ["19.49", "19.6538"]
    refused = run("predict", "weather", "0,10", server=server, code=2)
    told = "ROW '0,10' has 2 values; a row of this model is one word: precipitation,temp_min,wind"
    assert told in refused
    assert "there is no option --predict" in run("predict", "weather", "--predict", server=server, code=2)

    file = tmp_path / "model.zip"
    assert run("model", "get", "weather:1", "-o", str(file), server=server) == f"{file}\n"
    program = """
import sys, gradstream
rows = [{"precipitation": 0, "temp_min": 10, "wind": 2}]
print(gradstream.load(sys.argv[1]).predict(rows)[0, 0], {"grpc", "torch", "pyarrow"} & set(sys.modules))
"""
    asked = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, file], capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    prediction, needed = asked.stdout.split(None, 1)
    assert float(prediction) == pytest.approx(19.49, abs=0.01)
    assert needed == "set()\n"  # where it predicts there may be neither a server nor torch
    onnx = run("model", "get", "weather:1", "-o", str(tmp_path), "--format", "onnx", server=server)
    assert onnx == f"{tmp_path / 'weather-1.onnx'}\n"

    text = run("show", first["job"], server=server)
    assert "kept as             weather, version 1" in text


def test_training_goes_on_from_a_model(server: RunningServer) -> None:
    """A person who trains a model again each night would begin anew each time."""
    events = [
        json.loads(line)
        for line in run(*TRAIN, "--name", "nightly", "--format", "json", server=server).splitlines()
    ]
    with Client(server.address) as client:
        client.delete(events[-1]["job"])  # its model is kept
    for source in ("nightly", "nightly:1", "nightly:latest"):
        again = run(*TRAIN, "--from", source, "--epochs", "1", "--format", "json", server=server)
        loss = next(each["loss"] for each in map(json.loads, again.splitlines()) if "loss" in each)
        assert loss == pytest.approx(events[-1]["final_loss"], rel=1e-6)
    refused = run(*TRAIN, "--from", "nightli", server=server, code=4)
    assert refused == "Error: there is no job or model 'nightli'; did you mean 'nightly'?\n"
    assert "no version 7; there is 1" in run(*TRAIN, "--from", "nightly:7", server=server, code=4)
    refused = run("train", "--intercept", "--from", "nightly", server=server, code=2)
    assert "--from: nightly does not fit: weight is [1, 3]" in refused


def test_deleting(server: RunningServer) -> None:
    """A slip of the finger would delete every version there is."""
    for epochs in ("1", "2", "3", "4"):
        run("train", "--name", "rm", "--epochs", epochs, server=server)
    refused = run("model", "rm", "rm", server=server, code=2)
    assert refused == "Error: model rm has 4 versions: name one, such as rm:4, or give --all-versions\n"
    done = gradstream("model", "rm", "rm:9", "rm:2", "nope:1", server=server.address)
    assert (done.returncode, done.stdout) == (4, "model rm:2 is deleted\n")
    assert "no version 9; there are 1, 2, 3, 4" in done.stderr
    assert "there is no model 'nope'" in done.stderr
    assert run("model", "rm", "rm:4", "--format", "json", server=server) == (
        json.dumps({"deleted": "rm", "version": 4}) + "\n"
    )
    deleted = run("model", "rm", "rm", "--all-versions", server=server).splitlines()
    assert deleted == ["model rm:1 is deleted", "model rm:3 is deleted"]
    run("train", "--name", "rm", server=server)
    assert run("model", "rm", "rm", server=server) == "model rm:5 is deleted\n"
    done = gradstream("models", "--name", "rm", server=server.address)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no models named rm\n")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (
            ("model", "show", "nosuch"),
            4,
            "there is no model 'nosuch'; `gradstream models` lists those there are",
        ),
        (("model", "show", "a:0"), 2, "'a:0' names no model"),
        (("model", "get", "a:b"), 2, "NAME:VERSION with a whole number from 1"),
        (
            ("train", "--name", "a b"),
            2,
            "--name is 'a b'; it has to be at most 64 letters, digits, -, _ and .",
        ),
        (("models", "--name", "a:1"), 2, "is 'a:1'"),
    ],
)
def test_what_is_refused(server: RunningServer, args: tuple[str, ...], code: int, says: str) -> None:
    assert says in run(*args, server=server, code=code)


def test_files_that_cannot_be_written(server: RunningServer, tmp_path: Path) -> None:
    run("train", "--name", "unwritten", server=server)
    where = str(tmp_path / "nowhere" / "a.zip")
    refused = run("model", "get", "unwritten", "-o", where, server=server, code=2)
    assert f"cannot write {where}: No such file or directory" in refused
    refused = run("model", "get", "unwritten", "-o", str(tmp_path / "model.pkl"), server=server, code=2)
    assert "--output is 'model.pkl', whose ending says no format: there are .zip for bundle" in refused
    assert list(tmp_path.iterdir()) == []
