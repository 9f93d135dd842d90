"""What a user of tritonclient does, a program of its own: a process has room for one set of these messages.

    python triton_session.py ADDRESS

It works with the models that test_tritonclient.py has trained there, and prints what it has seen as JSON.
"""

import json
import sys

import numpy as np
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException


def main(address: str) -> None:
    client = triton.InferenceServerClient(address)
    seen: dict[str, object] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "server": client.get_server_metadata(as_json=True)["name"],
        "model ready": client.is_model_ready("triton"),
        "version ready": client.is_model_ready("triton", "7"),
        "nothing ready": client.is_model_ready("nothing"),
        "metadata": client.get_model_metadata("triton", as_json=True),
    }
    seen["matrix"] = infer(client, "triton", [tensor("features", np.array([[1.0, 2.0], [3.0, 4.0]]))])
    seen["old"] = infer(client, "triton", [tensor("features", np.array([[1.0, 2.0]]))], "1")
    columns = [tensor("x2", np.array([2, 4], np.int32)), tensor("x1", np.array([1, 3], np.float32))]
    seen["columns"] = infer(client, "triton", columns)
    text = np.array([b"blue", b"red"], object)
    seen["text"] = infer(client, "triton-text", [tensor("size", np.array([1.0, 2.0])), tensor("color", text)])
    seen["typed"] = typed(client)
    try:
        infer(client, "triton", [tensor("features", np.ones((1, 3)))])
    except InferenceServerException as error:
        seen["refused"] = [error.status(), error.message()]
    client.unload_model("triton:1")
    seen["without old"] = states(client, "triton")
    client.unload_model("triton")
    seen["unloaded"] = states(client, "triton"), client.is_model_ready("triton")
    try:
        infer(client, "triton", [tensor("features", np.ones((1, 2)))])
    except InferenceServerException as error:
        seen["refused when unloaded"] = [error.status(), error.message()]
    client.load_model("triton")
    seen["loaded"] = states(client, "triton"), client.is_model_ready("triton")
    try:
        client.load_model("nothing")
    except InferenceServerException as error:
        seen["refused to load"] = [error.status(), error.message()]
    print(json.dumps(seen))


def tensor(name: str, values: np.ndarray) -> triton.InferInput:
    datatype = triton.np_to_triton_dtype(values.dtype)
    made = triton.InferInput(name, values.shape, datatype)
    made.set_data_from_numpy(values)
    return made


def infer(client: triton.InferenceServerClient, model: str, inputs: list, version: str = "") -> list:
    outputs = [triton.InferRequestedOutput("predictions")]
    result = client.infer(model, inputs, version, outputs, request_id="mine")
    response = result.get_response()
    assert response.id == "mine"
    return [response.model_version, result.as_numpy("predictions").tolist()]


def typed(client: triton.InferenceServerClient) -> list:
    """As clients that are generated from the protocol send values."""
    request = service_pb2.ModelInferRequest(model_name="triton")
    made = request.inputs.add(name="features", datatype="FP32", shape=[1, 2])
    made.contents.fp32_contents.extend([1, 2])
    return triton.InferResult(client._client_stub.ModelInfer(request)).as_numpy("predictions").tolist()


def states(client: triton.InferenceServerClient, name: str) -> list:
    models = client.get_model_repository_index().models
    return [[model.version, model.state, model.reason] for model in models if model.name == name]


main(*sys.argv[1:])
