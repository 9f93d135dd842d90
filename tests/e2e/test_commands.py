"""The installed commands, as a person or a script uses them."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from tests.command import environment, gradstream
from tests.server import RunningServer

WEATHER = str(Path(__file__).parents[2] / "examples/data/seattle-weather.csv")


def lines(*args: str, server: RunningServer) -> list[dict[str, object]]:
    done = gradstream(*args, "--format", "json", server=server.address)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_json_is_an_object_an_event(server: RunningServer) -> None:
    events = lines("train", server=server)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "state_change"
    assert kinds.count("epoch_update") == 20
    assert [event["epoch"] for event in events if event["event"] == "epoch_update"] == list(range(1, 21))
    assert kinds[-1] == "completed"
    assert events[-1]["predictions"] == [[10.0]]
    assert events[-1]["parameters"] == {"weight": [[2.0]]}


def test_a_table_of_ones_own(server: RunningServer) -> None:
    done = gradstream(
        "train", "--data", WEATHER, "--target", "temp_max", "--standardize", "--learning-rate", "0.1",
        "--predict", "1,2,3", server=server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] == "n_samples: 1461, n_features: 3"
    assert "prediction after training: f(1, 2, 3) = 8.981" in printed
    assert "parameters in the data's own units:" in printed
    values = {words[0]: float(words[1]) for words in map(str.split, printed[-4:])}
    assert values == pytest.approx(
        {"precipitation": -0.1638, "temp_min": 1.2598, "wind": -0.2666, "bias": 7.4249}, abs=1e-4
    )


def test_a_table_from_stdin(server: RunningServer) -> None:
    table = "x,y\n1,2\n2,4\n3,6\n"
    done = gradstream(
        "train", "--data", "-", "--target", "y", "--epochs", "1", server=server.address, stdin=table
    )
    assert done.stdout.startswith("n_samples: 3, n_features: 1\n")


def test_the_life_of_a_job(server: RunningServer) -> None:
    request_id = str(uuid4())
    job = gradstream("train", "--detach", "--request-id", request_id, server=server.address).stdout.strip()
    assert gradstream("watch", job, server=server.address).returncode == 0
    assert (
        gradstream("train", "--detach", "--request-id", request_id, server=server.address).stdout.strip()
        == job
    )
    shown = gradstream("show", job, server=server.address).stdout
    assert "succeeded" in shown
    assert "prediction after training: f(5) = 10.000" in shown
    (as_json,) = lines("show", job, server=server)
    assert as_json["id"] == job
    assert as_json["result"]["predictions"] == [[10.0]]  # type: ignore[index]  # it is the result's object
    listed = gradstream("jobs", "--state", "succeeded", "--limit", "1000", server=server.address).stdout
    assert [line for line in listed.splitlines() if line.startswith(job)]
    assert job in [each["id"] for each in lines("jobs", server=server)]


def test_cancel(server: RunningServer) -> None:
    endless = ["train", "--trainer", "autograd", "--epochs", "10000000", "--report-every", "1000"]
    job = gradstream(*endless, "--detach", server=server.address).stdout.strip()
    assert job in gradstream("cancel", job, server=server.address).stdout
    watched = gradstream("watch", job, server=server.address)
    assert watched.returncode == 1
    assert watched.stderr.startswith(f"Error: job {job} was cancelled")
    shown = gradstream("show", job, server=server.address)
    assert "cancelled" in shown.stdout


def test_info_and_health(server: RunningServer) -> None:
    info = gradstream("info", server=server.address).stdout
    assert server.address in info
    assert "autograd" in info
    (as_json,) = lines("info", server=server)
    assert as_json["server"] == server.address
    healthy = gradstream("health", "--server", server.address)
    assert (healthy.returncode, healthy.stdout) == (0, "SERVING\n")


def test_compare(server: RunningServer) -> None:
    (found,) = lines(
        "compare", "--data", WEATHER, "--target", "temp_max", "--learning-rate", "0.001", server=server
    )
    gradients = found["gradients"]["parameters"]  # type: ignore[index]  # it is an object
    assert gradients.keys() == {"weight", "bias"}
    assert max(each["difference"] for each in gradients.values()) <= 1e-13
    assert found["parameter_difference"] <= 1e-12  # type: ignore[operator]  # so is this
    runs = found["runs"]
    assert isinstance(runs, list)
    assert [run["trainer"] for run in runs] == ["manual", "autograd", "module"]
    text = gradstream("compare", "--batch-size", "2", server=server.address)
    assert text.returncode == 0, text.stderr
    assert "gradients at the start, 2 rows" in text.stdout


def test_compare_leaves_out_who_does_not_do_the_model(server: RunningServer) -> None:
    args = ["compare", "--data", WEATHER, "--target", "temp_max", "--hidden", "4", "--standardize"]
    text = gradstream(*args, "--epochs", "5", server=server.address)
    assert (text.returncode, text.stderr) == (0, "")
    assert "left out: manual; " in text.stdout
    assert "Only module does it: there is no other to compare it with." in text.stdout


def test_compare_shows_parameters_and_predictions_of_each(server: RunningServer) -> None:
    text = gradstream("compare", "--predict", "5", server=server.address)
    assert (text.returncode, text.stderr) == (0, "")
    by_name = {line.split("  ")[0]: line.split()[-3:] for line in text.stdout.splitlines()}
    assert [round(float(value)) for value in by_name["f(5)"]] == [10, 10, 10]
    assert {"weight x1", "bias"} <= by_name.keys()


def test_compare_tells_its_own_defaults() -> None:
    text = gradstream("compare", "--help").stdout
    assert "reference experiment]" not in text
    assert "[default: float64]" in text


def test_a_job_that_diverges(server: RunningServer) -> None:
    done = gradstream("train", "--learning-rate", "10", "--epochs", "1000", server=server.address)
    assert done.returncode == 1
    assert "epoch 1: w = " in done.stdout, "the curve until then is shown"
    assert "diverged" in done.stderr
    assert "smaller --learning-rate" in done.stderr


def test_a_loss_that_grows_gives_a_hint(server: RunningServer) -> None:
    done = gradstream("train", "--learning-rate", "0.1", "--epochs", "10", server=server.address)
    assert done.returncode == 0
    assert "The loss has grown" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["train", "--epochs", "0"], 2, "Error: --epochs is 0"),
        (["train", "--learning-rate", "nan"], 2, "Error: --learning-rate is nan"),
        (["train", "--batch-size", "-1"], 2, "Error: --batch-size is -1"),
        (["train", "--trainer", "magic"], 2, "Error: --trainer is 'magic'"),
        (["train", "--device", "cuda:9"], 2, "Error: --device: 'cuda:9' is not here; this server has cpu"),
        (["train", "--predict", "1,2"], 2, "Error: --predict: 2 values given, 1 needed: x"),
        (["train", "--init", "weight=1,2"], 2, "Error: --init weight: 2 values given, 1 needed: x"),
        (["train", "--seed", str(2**70)], 2, f"is {2**70}; it has to be from 0 to {2**63 - 1}"),
        (["train", "--feature", "x"], 2, "--feature is about the table of --data, which is missing"),
        (["train", "--nulls", "drop"], 2, "--nulls is about the table of --data, which is missing"),
        (["train", "--data", WEATHER, "--target", "temp_max", "--predict", "1"], 2, "1 value given, "),
        (["train", "--init", "slope=1"], 2, "Error: --init is 'slope'"),
        (["train", "--request-id", "x"], 2, "Error: --request-id is 'x'"),
        (["train", "--epochs", "0", "--seed", "-1"], 2, "Error: this cannot be trained:\n  --"),
        (["train", "--epochs", "many"], 2, "'many' is not a valid integer"),
        (["train", "--init", "weight"], 2, "weight=0.5"),
        (["train", "--predict", "b"], 2, "'b' is no row"),
        (["train", "--predict", "1", "--predict", "1,2"], 2, "--predict: 2 values given, 1 needed: x"),
        (["train", "--target", "y"], 2, "--data, which is missing"),
        (["train", "--data", WEATHER, "--target", "temp_mx"], 2, "did you mean 'temp_max'?"),
        (["train", "--data", "/nosuch.csv", "--target", "y"], 2, "cannot read /nosuch.csv"),
        (["train", "--data", "/", "--target", "y"], 2, "cannot read /: it is a folder"),
        (["train", "--data", "abcdef", "--target", "y"], 4, "there is no data set 'abcdef'"),
        (["train", "--data", WEATHER], 2, "--target is missing; name the columns to predict, of "),
        (["train", "--data", WEATHER, "--target", "temp_max", "--ignore", "wnd"], 2, "did you mean 'wind'?"),
        (["train", "--data", WEATHER, "--target", "temp_max", "--one-hot", "wind"], 2, "--one-hot: column"),
        (["show", "nosuchjob"], 4, "there is no job 'nosuchjob'; `gradstream jobs` lists those there are"),
        (["watch", "nosuchjob"], 4, "there is no job"),
        (["cancel", "nosuchjob"], 4, "there is no job"),
        (["pause", "nosuchjob"], 4, "there is no job"),
        (["resume", "nosuchjob"], 4, "there is no job"),
        (["delete", "nosuchjob"], 4, "there is no job"),
        (["delete"], 2, "Missing argument 'JOB...'"),
        (["replay", "nosuchjob"], 4, "there is no job"),
        (["train", "--priority", "101"], 2, "Error: --priority is 101"),
        (["train", "--priority", str(2**40)], 2, f"Error: --priority is {2**40}"),
        (["train", "--max-memory", "5"], 2, "Error: --max-memory is 5"),
        (["train", "--max-seconds", "-1"], 2, "Error: --max-seconds is -1"),
        (["train", "--detach", "--cancel-on-disconnect"], 2, "--cancel-on-disconnect would cancel it then"),
        (["jobs", "--state", "lost"], 2, "'lost' is not one of"),
        (["trian"], 2, "Did you mean 'train'?"),
        (["info", "--server", "http://here"], 2, "give HOST:PORT"),
    ],
)
def test_what_is_wrong_is_said(server: RunningServer, args: list[str], code: int, says: str) -> None:
    done = gradstream(*args, server=server.address)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
        ["watch", "x"],
        ["jobs"],
        ["info"],
        ["health"],
        ["compare"],
        ["pause", "x"],
        ["resume", "x"],
        ["delete", "x", "y"],
        ["replay", "x"],
    ],
)
def test_no_server(command: list[str]) -> None:
    done = gradstream(*command, server="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "Error: no gradstream server at 127.0.0.1:1; start one with `gradstream serve` or name another with "
        "--server or GRADSTREAM_SERVER\n"
    )


def test_a_server_of_another_kind() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        address = f"127.0.0.1:{other.server_port}"
        done = gradstream("train", server=address)
        other.shutdown()
        thread.join()
    assert (done.returncode, done.stderr) == (
        3,
        f"Error: what answers at {address} is not a gradstream server\n",
    )


def test_help_tells_of_commands_and_exit_codes() -> None:
    done = gradstream("--help")
    for word in ("serve", "train", "watch", "compare", "Exit codes:", "130", "no server could be reached"):
        assert word in done.stdout
    assert gradstream("--version").stdout == "gradstream 0.1.0\n"


@pytest.mark.parametrize("statement", ["import gradstream", "from gradstream.cli.app import gradstream"])
def test_what_is_not_needed_is_not_imported(statement: str) -> None:
    heavy = {"grpc", "numpy", "rich", "torch", "google.protobuf", "gradstream_server"}
    code = f"{statement}; import sys; print(*sorted(set(sys.modules) & {heavy}))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["train", "--help"],
        ["replay", "--help"],
        ["delete", "--help"],
        ["compare", "--help"],
        ["--version"],
    ],
)
def test_help_imports_only_what_it_needs(command: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['gradstream', *{command}]\n"
        "from gradstream.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('IMPORTED', *sorted({'grpc', 'numpy', 'rich', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("IMPORTED\n")


def test_the_client_imports_neither_server_nor_torch() -> None:
    code = (
        "import gradstream, sys\n"
        "for name in gradstream.__all__: getattr(gradstream, name)\n"
        "print(*sorted(set(sys.modules) & {'torch', 'pandas', 'gradstream_server'}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


def test_serving_without_the_server_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['gradstream_server.cli'] = None; sys.argv = ['gradstream', 'serve']\n"
        "from gradstream.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert "pip install 'gradstream[server]'" in done.stderr
    assert "Traceback" not in done.stderr
