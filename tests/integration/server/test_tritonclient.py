"""The Open Inference Protocol as NVIDIA's client speaks it, unchanged."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server import RunningServer

from gradstream import Client

X = [[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.0, 0.0]]
Y = [3.0, 0.0, 4.0, 1.0]
LEARNT = {"weight": [[2.0, -1.0]], "bias": [1.0]}
TABLE = b"size,color,price\n1,blue,3\n2,red,1\n3,blue,5\n"
PROGRAM = Path(__file__).with_name("triton_session.py")


def test_tritonclient_works_unchanged(server: RunningServer) -> None:
    """A user could not ask our models with the client that he has."""
    with Client(server.address) as client:
        # Nothing is left to learn: these models are known exactly.
        for _ in range(2):
            client.train(
                X, Y, epochs=1, dtype="float64", initial_parameters=LEARNT, model_name="triton"
            ).result()
        table = client.upload(io.BytesIO(TABLE), name="triton.csv")
        client.train(
            dataset=table, target_columns=["price"], one_hot=["color"], learning_rate=1e-30, dtype="float64",
            model_name="triton-text",
            initial_parameters={"weight": [[1.0, 2.0, -1.0]], "bias": [0.5]},
        ).result()  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(PROGRAM), server.address],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert [seen[each] for each in ("live", "ready", "model ready")] == [True, True, True]
    assert [seen["version ready"], seen["nothing ready"], seen["server"]] == [False, False, "gradstream"]
    assert seen["metadata"] == {
        "name": "triton",
        "versions": ["1", "2"],
        "platform": "gradstream_numpy",
        "inputs": [{"name": "features", "datatype": "FP64", "shape": ["-1", "2"]}],
        "outputs": [{"name": "predictions", "datatype": "FP64", "shape": ["-1", "1"]}],
    }
    assert seen["matrix"] == ["2", [[1.0], [3.0]]]
    assert seen["old"] == ["1", [[1.0]]]
    assert seen["columns"] == ["2", [[1.0], [3.0]]]
    assert seen["text"] == ["1", [[3.5], [1.5]]]
    assert seen["typed"] == [[1.0]]
    assert seen["refused"] == [
        "StatusCode.INVALID_ARGUMENT",
        "inputs[0].shape: is [1, 3]; it has to be [rows, 2]: 'x1', 'x2'",
    ]
    assert seen["without old"] == [["1", "UNAVAILABLE", "it is unloaded"], ["2", "READY", ""]]
    unloaded = [["1", "UNAVAILABLE", "it is unloaded"], ["2", "UNAVAILABLE", "it is unloaded"]]
    assert seen["unloaded"] == [unloaded, False]
    assert seen["refused when unloaded"] == [
        "StatusCode.FAILED_PRECONDITION",
        "all versions of model 'triton' are unloaded; RepositoryModelLoad lets it be asked again",
    ]
    assert seen["loaded"] == [[["1", "READY", ""], ["2", "READY", ""]], True]
    assert seen["refused to load"][0] == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("imports", ["tritonclient.grpc, gradstream", "gradstream.client, tritonclient.grpc"])
def test_both_clients_live_in_one_process(server: RunningServer, imports: str) -> None:
    """A user of both would have to choose."""
    with Client(server.address) as client:
        model = client.train(X, Y, epochs=1, dtype="float64", initial_parameters=LEARNT).result().model
    assert model
    program = f"""
import {imports}
from tritonclient import grpc as triton
import gradstream, numpy, sys
rows = numpy.array([[1.0, 2.0]])
features = triton.InferInput("features", rows.shape, "FP64")
features.set_data_from_numpy(rows)
theirs = triton.InferenceServerClient(sys.argv[1]).infer(sys.argv[2], [features]).as_numpy("predictions")
print(theirs.item(), gradstream.Client(sys.argv[1]).model(sys.argv[2]).predict(rows).item())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, server.address, model.name],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("1.0 1.0\n", 0), done.stderr
