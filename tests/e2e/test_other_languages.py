"""Clients of other languages, and our own, through what goes wrong on the way."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import GRADSTREAM, environment, gradstream
from tests.proxy import cutting_proxy, random_limits
from tests.server import RunningServer

from gradstream.conformance.cases import CASES
from gradstream.conformance.recording import Recording

ROOT = Path(__file__).parents[2]
NODE = ("node", str(ROOT / "examples/node/train.mjs"))
PYTHON = (GRADSTREAM, "train", "--format", "json")
EPOCHS = 5_000
# On a machine that others use, too, the clients of all cases take a while to start.
LONG_S = 300


@pytest.mark.timeout(LONG_S)
@pytest.mark.parametrize("client", [PYTHON, (*NODE, "--json")], ids=["python", "node"])
def test_a_client_passes_each_case(client: tuple[str, ...]) -> None:
    done = gradstream("conformance", "run", "--", *client, timeout_s=LONG_S)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == f"{len(CASES)} of {len(CASES)} passed"


def test_node_trains_over_a_connection_that_is_cut(server: RunningServer) -> None:
    """Neither gap nor repetition, with a real server behind a network that breaks."""
    with cutting_proxy(server.address, random_limits(1, 4, 100_000)) as proxy:
        done = node("--epochs", str(EPOCHS), "--json", server=proxy.address)
        assert done.returncode == 0, done.stderr
        assert proxy.cuts >= 3
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["epoch"] for each in events if each["event"] == "epoch_update"] == [*range(1, EPOCHS + 1)]
    assert events[-1]["event"] == "completed"


def test_node_shows_what_was_learnt(server: RunningServer) -> None:
    done = node(server=server.address)
    assert (done.returncode, done.stderr) == (0, "")
    *learnt, asked = done.stdout.splitlines()[-3:]
    assert learnt == ["weight = 2", "f(5) = 10.000"]
    assert re.fullmatch(r"version 1 of model \w+: f\(6\), f\(7\) = 12.000, 14.000", asked)
    refused = node("--trainer", "magic", server=server.address)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: spec.trainer: is 'magic'")


def test_buf_alone_trains(server: RunningServer) -> None:
    path = f"{ROOT}/node_modules/.bin:{os.environ['PATH']}"
    done = subprocess.run(
        [str(ROOT / "examples/curl.sh"), server.address],
        capture_output=True, text=True, timeout=100, env=environment(PATH=path), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    whole, behind, job = done.stdout.split("# The ")[1:]
    assert whole.count('"sequence"') == behind.count('"sequence"') + 3
    assert '"completed"' in behind
    assert '"JOB_STATE_SUCCEEDED"' in job


def node(*args: str, server: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NODE, *args], capture_output=True, text=True, timeout=100, env=environment(server), check=False
    )


BAD = """
import json, os, sys, uuid
import grpc
from gradstream.v1.event_pb2 import TrainingEvent
from gradstream.v1.spec_pb2 import Spec
from gradstream.v1.training_service_pb2 import TrainRequest, WatchJobRequest

channel = grpc.insecure_channel(os.environ["GRADSTREAM_SERVER"])
bad, job, after = sys.argv[1], "", 0

def open():
    if job:
        request, method = WatchJobRequest(job=job, after_sequence=after), "WatchJob"
    else:
        request, method = TrainRequest(spec=Spec(trainer="manual"), request_id=str(uuid.uuid4())), "Train"
    path = "/gradstream.v1.TrainingService/" + method
    return channel.unary_stream(path, type(request).SerializeToString, TrainingEvent.FromString)(request)

while True:
    try:
        for event in open():
            job, after = event.job, event.sequence
            for epoch, loss in zip(event.epoch_updates.epochs, event.epoch_updates.losses):
                print(json.dumps({"event": "epoch_update", "epoch": epoch, "loss": loss}))
            if event.HasField("completed"):
                print(json.dumps({"event": "completed"}))
                sys.exit()
        if bad == "believes":
            sys.exit()
    except grpc.RpcError:
        if bad == "gives up":
            raise
"""
"""A client that does not check sequences, and makes a request id for each try; and worse."""


@pytest.mark.parametrize(
    ("case", "bad", "told"),
    [
        ("plain", "", ""),
        ("cut", "gives up", "it has told nothing as the end of the job, which is SUCCEEDED; on stderr: "),
        ("end", "believes", "it has told nothing as the end of the job"),
        ("cut-at-once", "", "several request ids, so there would be several jobs"),
        ("gap", "", "where 41 comes"),
        ("repeat", "", "told epoch 1 behind epoch 1, where 41 comes"),
    ],
)
def test_a_client_that_is_wrong_is_told(case: str, bad: str, told: str) -> None:
    args = ["--case", case, "--", sys.executable, "-c", BAD, bad]
    done = gradstream("conformance", "run", *args)
    assert told in done.stdout
    assert done.returncode == bool(told)


def test_a_client_that_never_ends_is_told() -> None:
    endless = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    done = gradstream("conformance", "run", "--case", "plain", "--timeout", "0.5", "--", *endless)
    assert (done.returncode, "it has not ended within 0.5 s" in done.stdout) == (1, True)


def test_mistakes_are_explained() -> None:
    unknown = gradstream("conformance", "run", "--case", "x", "--", "true")
    assert (unknown.returncode, "there is no case 'x'; there are plain, cut" in unknown.stderr) == (2, True)
    missing = gradstream("conformance", "run", "--", "./not-there")
    assert (missing.returncode, "./not-there cannot be run: No such file" in missing.stderr) == (2, True)
    assert gradstream("conformance", "list").stdout.count("\n") == len(CASES)


def test_a_log_is_recorded(server: RunningServer, tmp_path: Path) -> None:
    job = gradstream("train", "--detach", server=server.address).stdout.strip()
    done = gradstream("conformance", "record", job, str(tmp_path / "a.events"), server=server.address)
    assert (done.returncode, "SUCCEEDED" in done.stdout) == (0, True)
    recording = Recording.read(tmp_path / "a.events")
    assert (recording.job, list(recording.losses)) == (job, list(range(1, 21)))
    unknown = gradstream("conformance", "record", "nope", str(tmp_path / "b"), server=server.address)
    assert unknown.returncode != 0
    assert "there is no job 'nope'" in unknown.stderr
    assert not (tmp_path / "b").exists()
