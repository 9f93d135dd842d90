"""Models are asked over the Open Inference Protocol, from plain stubs."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from tests.integration.server.calls import TIMEOUT_S, Calls, inline, refusal

from gradstream.v1 import model_service_pb2
from gradstream_server.inference import open_inference_pb2 as pb
from gradstream_server.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub

X = np.linspace(-1, 1, 40).reshape(20, 2)
Y = X @ [[3.0], [-1.0]] + 0.5


class Inference:
    """What a client of the protocol does."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = GRPCInferenceServiceStub(channel)

    def infer(self, model: str, rows: Any = X, version: str = "", **asked: Any) -> pb.ModelInferResponse:
        return self.stub.ModelInfer(self.request(model, rows, version, **asked), timeout=TIMEOUT_S)

    def request(self, model: str, rows: Any = X, version: str = "", **asked: Any) -> pb.ModelInferRequest:
        rows = np.asarray(rows, "<f8")
        made = pb.ModelInferRequest(
            model_name=model, model_version=version, raw_input_contents=[rows.tobytes()], **asked
        )
        made.inputs.add(name="features", datatype="FP64", shape=rows.shape)
        return made

    def predict(self, model: str, rows: Any = X, version: str = "") -> np.ndarray:
        answer = self.infer(model, rows, version)
        return np.frombuffer(answer.raw_output_contents[0], "<f8").reshape(answer.outputs[0].shape)

    def states(self, name: str, **asked: Any) -> dict[str, str]:
        models = self.stub.RepositoryIndex(pb.RepositoryIndexRequest(**asked), timeout=TIMEOUT_S).models
        return {model.version: model.state for model in models if model.name == name}

    def is_server_live(self) -> bool:
        return self.stub.ServerLive(pb.ServerLiveRequest(), timeout=TIMEOUT_S).live

    def is_server_ready(self) -> bool:
        return self.stub.ServerReady(pb.ServerReadyRequest(), timeout=TIMEOUT_S).ready

    def is_ready(self, name: str, version: str = "") -> bool:
        return self.stub.ModelReady(pb.ModelReadyRequest(name=name, version=version), timeout=TIMEOUT_S).ready

    def load(self, name: str) -> None:
        self.stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=TIMEOUT_S)

    def unload(self, name: str) -> None:
        self.stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=name), timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def inference(calls: Calls) -> Inference:
    return Inference(calls.channel)


def train(calls: Calls, name: str, **fields: Any) -> np.ndarray:
    """Train a model; what it predicts for X."""
    spec = inline(X, Y, epochs=5, learning_rate=0.1, standardize=True, predict_rows=None, **fields)
    end = calls.train_model(name, spec)
    own = {each.name: np.frombuffer(each.value.data) for each in end.unscaled_parameters}
    return X @ own["weight"].reshape(1, 2).T + own["bias"]


def test_a_model_predicts(calls: Calls, inference: Inference) -> None:
    expected = train(calls, "asked")
    answer = inference.infer("asked", id="7")
    assert (answer.model_name, answer.model_version, answer.id) == ("asked", "1", "7")
    np.testing.assert_allclose(inference.predict("asked"), expected, rtol=1e-12)
    # So many rows that a thread predicts them.
    many = np.tile(X, (10_000, 1))
    np.testing.assert_allclose(inference.predict("asked", many), np.tile(expected, (10_000, 1)), rtol=1e-12)


def test_many_ask_at_once_for_a_model_that_is_not_loaded_yet(calls: Calls, inference: Inference) -> None:
    """The first requests of a busy morning would fail, or each load the model again."""
    expected = train(calls, "morning")
    with ThreadPoolExecutor(16) as threads:
        for predictions in threads.map(inference.predict, ["morning"] * 32):
            np.testing.assert_allclose(predictions, expected, rtol=1e-12)


def test_a_new_version_is_served_at_once_and_an_old_one_still(calls: Calls, inference: Inference) -> None:
    """A user would have to restart the server, or be given the old model for the new one."""
    first = train(calls, "versions")
    assert inference.infer("versions").model_version == "1"
    second = train(calls, "versions", seed=1, l2=0.5)
    assert inference.infer("versions").model_version == "2"
    np.testing.assert_allclose(inference.predict("versions", version="1"), first, rtol=1e-12)
    np.testing.assert_allclose(inference.predict("versions", version="latest"), second, rtol=1e-12)
    calls.models.DeleteModel(model_service_pb2.DeleteModelRequest(name="versions", version=2))
    assert inference.infer("versions").model_version == "1"
    gone = refusal(lambda: inference.infer("versions", version="2"))
    assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert inference.states("versions") == {"1": "READY"}


def test_what_is_unloaded_is_not_asked(calls: Calls, inference: Inference) -> None:
    """An operator could not take a model out of service without deleting it."""
    train(calls, "unloaded")
    train(calls, "unloaded")
    inference.unload("unloaded:2")
    # Back to the version before.
    assert inference.infer("unloaded").model_version == "1"
    assert (inference.is_ready("unloaded"), inference.is_ready("unloaded", "2")) == (True, False)
    assert inference.states("unloaded") == {"1": "READY", "2": "UNAVAILABLE"}
    assert inference.states("unloaded", ready=True) == {"1": "READY"}
    refused = refusal(lambda: inference.infer("unloaded", version="2"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNLOADED")
    inference.unload("unloaded")
    assert not inference.is_ready("unloaded")
    train(calls, "unloaded")
    assert inference.infer("unloaded").model_version == "3"
    inference.load("unloaded:2")
    assert inference.infer("unloaded", version="2").model_version == "2"
    assert inference.states("unloaded") == {"1": "UNAVAILABLE", "2": "READY", "3": "READY"}
    inference.load("unloaded")
    assert set(inference.states("unloaded").values()) == {"READY"}


@pytest.fixture(scope="module")
def asked(calls: Calls) -> str:
    train(calls, "refuses")
    return "refuses"


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"model_name": "refuse"}, "NOT_FOUND", "there is no model 'refuse'; did you mean 'refuses'?"),
        ({"model_name": ""}, "INVALID_ARGUMENT", "model_name: is missing; it has to be the name of a model"),
        ({"model_version": "9"}, "NOT_FOUND", "model 'refuses' has no version 9; there is 1"),
        ({"model_version": "v1"}, "INVALID_ARGUMENT", "model_version: is 'v1'; it has to be a whole number"),
        ({"model_version": "9" * 5000}, "INVALID_ARGUMENT", "model_version: is '999"),
        ({"model_version": "0" * 19 + "1" * 5000}, "INVALID_ARGUMENT", "model_version: is '000"),
        ({"model_version": "0"}, "INVALID_ARGUMENT", "model_version: is '0'; it has to be a whole number"),
        (
            {"raw_input_contents": [b"\0"]},
            "INVALID_ARGUMENT",
            "raw_input_contents[0]: has 1 byte; shape [20, 2]",
        ),
        ({"outputs": [{"name": "y"}]}, "INVALID_ARGUMENT", "outputs[0].name: is 'y', which is no output"),
        (
            {"parameters": {"sequence_id": pb.InferParameter(int64_param=1)}},
            "INVALID_ARGUMENT",
            "parameters.sequence_id: asks for a sequence of requests",
        ),
        (
            {"outputs": [{"name": "predictions", "parameters": {"classification": {"int64_param": 2}}}]},
            "INVALID_ARGUMENT",
            "outputs[0].parameters.classification: asks for classes",
        ),
    ],
)
def test_a_request_that_is_refused(
    inference: Inference, asked: str, change: dict[str, Any], code: str, told: str
) -> None:
    """A user would not know what is wrong, or take a prediction for what he has asked for."""
    request = inference.request(asked)
    for name in change:
        request.ClearField(name)  # type: ignore[arg-type]
    request.MergeFrom(pb.ModelInferRequest(**change))
    refused = refusal(lambda: inference.stub.ModelInfer(request, timeout=TIMEOUT_S))
    assert refused.code.name == code
    assert refused.message.startswith(told)
    assert (refused.reason == "MODEL_NOT_FOUND") == (code == "NOT_FOUND")


def test_values_that_are_refused(inference: Inference, asked: str) -> None:
    for value, told in (
        (np.nan, "inputs: row 2 has no value in 'x2', and the model was trained with nulls \"error\""),
        (np.inf, "inputs: row 2 holds inf in 'x2'; only finite numbers can be predicted"),
    ):
        refused = refusal(lambda value=value: inference.infer(asked, [[1, 2], [3, value]]))  # type: ignore[misc]
        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("inputs",))
        assert refused.message.startswith(told)


def test_other_calls_that_are_refused(inference: Inference, asked: str) -> None:
    stub = inference.stub
    metadata = refusal(lambda: stub.ModelMetadata(pb.ModelMetadataRequest(name="nope")))
    assert (metadata.code, metadata.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    index = refusal(lambda: stub.RepositoryIndex(pb.RepositoryIndexRequest(repository_name="a")))
    assert index.message.startswith("repository_name: is 'a'; there is one repository")
    request = pb.RepositoryModelLoadRequest(model_name=asked)
    request.parameters["config"].string_param = "{}"
    load = refusal(lambda: stub.RepositoryModelLoad(request))
    assert load.message == "parameters: has 'config'; there are none, for models are as they were trained"
    assert refusal(lambda: inference.unload("refuses:9")).code is grpc.StatusCode.NOT_FOUND
    assert refusal(lambda: inference.unload(":1")).message.startswith("model_name: is missing")
    assert refusal(lambda: inference.load("refuses:x")).code is grpc.StatusCode.INVALID_ARGUMENT
