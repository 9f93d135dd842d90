"""The model service: what jobs leave, through deletions, deaths of the server and full disks."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import safetensors.numpy
from tests.disk import fill, small_disk
from tests.integration.server.calls import TIMEOUT_S, Calls, calls_to, endless, inline, reference, refusal
from tests.processes import wait_until
from tests.server import running_server

import gradstream
from gradstream.v1 import event_pb2, model_pb2, model_service_pb2, training_service_pb2

X = np.linspace(-1, 1, 40).reshape(20, 2)
Y = X @ [[3.0], [-1.0]] + 0.5


def get(calls: Calls, name: str, version: int = 0) -> model_pb2.Model:
    request = model_service_pb2.GetModelRequest(name=name, version=version)
    return calls.models.GetModel(request, timeout=TIMEOUT_S)


def names(calls: Calls, **asked: Any) -> list[tuple[str, int]]:
    page = calls.models.ListModels(model_service_pb2.ListModelsRequest(**asked), timeout=TIMEOUT_S)
    return [(model.name, model.version) for model in page.models]


def delete(calls: Calls, name: str, **asked: Any) -> list[int]:
    request = model_service_pb2.DeleteModelRequest(name=name, **asked)
    return list(calls.models.DeleteModel(request, timeout=TIMEOUT_S).versions)


def spec(**fields: Any) -> Any:
    return inline(X, Y, epochs=50, learning_rate=0.1, standardize=True, **fields)


def predicts_as(completed: event_pb2.Completed, content: bytes) -> None:
    """The bundle computes what the job's own parameters give."""
    own = {
        parameter.name: np.frombuffer(parameter.value.data).reshape(parameter.value.shape)
        for parameter in completed.unscaled_parameters
    }
    predictions = gradstream.load(io.BytesIO(content)).predict(X)
    np.testing.assert_allclose(predictions, X @ own["weight"].T + own["bias"], rtol=1e-12)


def test_a_job_leaves_a_model(calls: Calls) -> None:
    """A user could not find what he has trained, or not know what it is."""
    end = calls.train_model("leaves", spec())
    assert (end.model.name, end.model.version) == ("leaves", 1)
    model = get(calls, "leaves")
    job = calls.get(model.job)
    assert (job.model_name, job.model) == ("leaves", end.model)
    assert (model.name, model.version, model.spec) == ("leaves", 1, job.spec)
    assert model.create_time == job.end_time
    assert (model.result.receipt, model.result.final_loss) == (end.receipt, end.final_loss)
    assert model.result.scaling == end.scaling
    assert not model.result.parameters
    again = calls.train_model("leaves", spec(seed=7))
    assert (again.model.version, get(calls, "leaves").version) == (2, 2)
    assert get(calls, "leaves", 1) == model
    assert names(calls, name="leaves") == [("leaves", 2), ("leaves", 1)]


def test_files(calls: Calls) -> None:
    """What a user takes away would be another model than the one that was trained, or unreadable."""
    end = calls.train_model("files", spec())
    content = calls.download("files")
    predicts_as(end, content)
    origin = gradstream.load(io.BytesIO(content)).origin
    assert (origin.name, origin.version) == ("files", 1)
    assert calls.download("files", 1, format=model_pb2.MODEL_FORMAT_BUNDLE) == content
    state = safetensors.numpy.load(calls.download("files", format=model_pb2.MODEL_FORMAT_STATE_DICT))
    assert {name: value.tobytes() for name, value in state.items()} == {
        parameter.name: parameter.value.data for parameter in end.parameters
    }
    graph = calls.download("files", format=model_pb2.MODEL_FORMAT_ONNX)
    onnx.checker.check_model(onnx.load_from_string(graph))


def test_a_large_model_comes_in_chunks(tmp_path: Path) -> None:
    """It would not fit into a message."""
    with (
        running_server(tmp_path / "data", "--max-parameters=1000000") as server,
        calls_to(server.address) as calls,
    ):
        features = np.ones((1, 300_000))
        job = calls.train_model("large", inline(features, [[1.0]], epochs=1, learning_rate=1e-9))
        content = calls.download("large", format=model_pb2.MODEL_FORMAT_STATE_DICT)
        assert len(content) > 2 << 20
        assert job.parameters[0].value.data in content


def test_a_deleted_job_keeps_its_model(tmp_path: Path) -> None:
    """Who tidies up his jobs, or lets the server do it, would lose his models."""
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        end = calls.train_model("a", spec())
        content, model = calls.download("a"), get(calls, "a")
        calls.delete(model.job)
        assert calls.download("a") == content
        assert get(calls, "a") == model
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        assert calls.download("a") == content
        predicts_as(end, content)
        assert calls.jobs() == []
        kept = list((tmp_path / "data" / "models").iterdir())
        assert len(kept) == 1
        assert delete(calls, "a", version=1) == [1]
        assert list((tmp_path / "data" / "models").iterdir()) == []


def test_models_of_jobs_that_ended_long_ago(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "data", "--keep-ended=0.1") as server,
        calls_to(server.address) as calls,
    ):
        end = calls.train_model("a", spec())
        wait_until(lambda: not calls.jobs(), "the end of its job's time")
        predicts_as(end, calls.download("a"))


def test_a_model_outlives_the_death_of_its_server(tmp_path: Path) -> None:
    """A model that a user was told of would be gone."""
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        ends = [calls.train_model("a", spec(seed=i)) for i in range(3)]
        server.process.kill()
        server.process.wait()
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        assert names(calls) == [("a", 3), ("a", 2), ("a", 1)]
        predicts_as(ends[1], calls.download("a", 2))
        calls.delete(get(calls, "a", 1).job)
        server.process.kill()
        server.process.wait()
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        predicts_as(ends[0], calls.download("a", 1))
        assert calls.train_model("a", spec()).model.version == 4


def test_what_a_server_that_died_has_left_of_deleted_models_goes(tmp_path: Path) -> None:
    """Each would take room for ever."""
    stray = tmp_path / "data" / "models" / "nojob.result"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    with running_server(tmp_path / "data"):
        assert not stray.exists()


def test_a_lost_or_damaged_file_is_told(tmp_path: Path) -> None:
    """A user would be given other numbers than those that were trained."""
    with running_server(tmp_path / "data") as server, calls_to(server.address) as calls:
        calls.train_model("a", spec())
        calls.delete(get(calls, "a").job)
        (file,) = (tmp_path / "data" / "models").iterdir()
        content = file.read_bytes()
        weight = content.index(b"weight")
        flipped = bytearray(content)
        flipped[weight + 25] ^= 1
        for damaged in (bytes(flipped), content[:-20], b"", b"\xff" * 100):
            file.write_bytes(damaged)
            answer = refusal(lambda: calls.download("a"))
            assert (answer.code, answer.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "MODEL_UNUSABLE",
            ), answer
        file.unlink()
        answer = refusal(lambda: calls.download("a"))
        assert "are lost" in answer.message
        assert "a fault of the server" not in server.log.read_text()
        assert delete(calls, "a", version=1) == [1]


def test_a_cancelled_job_leaves_a_model_of_its_own(calls: Calls) -> None:
    """What was trained until then would be lost, or be taken for the latest of its name."""
    request = training_service_pb2.CreateJobRequest(spec=endless(), model_name="given-up")
    job = calls.training.CreateJob(request).id
    list(calls.events_until(job, "epoch_updates"))
    calls.cancel(job)
    end = calls.end(job).state_change.result_so_far
    assert (end.model.name, end.model.version) == (job, 1)
    assert get(calls, job).result.epochs == end.epochs < 10_000_000
    assert calls.get(job).model == end.model
    assert gradstream.load(io.BytesIO(calls.download(job))).origin.job == job
    assert refusal(lambda: get(calls, "given-up")).reason == "MODEL_NOT_FOUND"


def test_deleting(calls: Calls) -> None:
    """A user would lose other models than the one he means, or one that he deletes would stay."""
    for i in range(4):
        calls.train_model("deleting", spec(seed=i))
    assert delete(calls, "deleting", version=4) == [4]
    assert refusal(lambda: delete(calls, "deleting", version=4)).message == (
        "model 'deleting' has no version 4; there are 1, 2, 3"
    )
    assert get(calls, "deleting").version == 3
    assert calls.train_model("deleting", spec()).model.version == 5
    assert delete(calls, "deleting", all_versions=True) == [1, 2, 3, 5]
    assert refusal(lambda: delete(calls, "deleting", all_versions=True)).reason == "MODEL_NOT_FOUND"
    assert refusal(lambda: calls.download("deleting")).reason == "MODEL_NOT_FOUND"
    assert calls.train_model("deleting", spec()).model.version == 6


def test_pages(calls: Calls) -> None:
    for i in range(5):
        calls.train_model("pages", spec(seed=i))
    seen: list[int] = []
    token = ""
    while True:
        request = model_service_pb2.ListModelsRequest(page_size=2, page_token=token, name="pages")
        page = calls.models.ListModels(request, timeout=TIMEOUT_S)
        seen += [model.version for model in page.models]
        assert not any(model.spec.inline_data.feature_names for model in page.models)
        token = page.next_page_token
        if not token:
            break
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("call", "fields", "says"),
    [
        (lambda calls: get(calls, ""), ["name"], "is missing"),
        (lambda calls: get(calls, "a", -1), ["version"], "is -1"),
        (lambda calls: delete(calls, "a"), ["version"], "is 0; it has to be at least 1"),
        (lambda calls: delete(calls, "a", version=1, all_versions=True), ["version"], "is 1"),
        (lambda calls: delete(calls, "a", version=-1), ["version"], "is -1"),
        (lambda calls: names(calls, name="a b"), ["name"], "is 'a b'"),
        (lambda calls: names(calls, page_size=-1), ["page_size"], "is -1"),
        (lambda calls: names(calls, page_token="x"), ["page_token"], "is 'x'"),
        (lambda calls: calls.download("a", format=99), ["format"], "MODEL_FORMAT_BUNDLE"),
        (lambda calls: calls.train_model("n" * 65, reference()), ["model_name"], "has 65 characters"),
    ],
)
def test_requests_out_of_range(
    calls: Calls, call: Callable[[Calls], Any], fields: list[str], says: str
) -> None:
    answer = refusal(lambda: call(calls))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert list(answer.fields) == fields
    assert says in answer.message


def test_names_that_are_not_there(calls: Calls) -> None:
    """Who mistypes a name would have to look for the right one."""
    calls.train_model("house-prices", reference())
    for ask in (lambda name: get(calls, name), lambda name: calls.download(name)):
        answer = refusal(lambda ask=ask: ask("house-price"))  # type: ignore[misc]
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
        assert "did you mean 'house-prices'" in answer.message
    assert "ListModels names those there are" in refusal(lambda: get(calls, "\0🙂" * 1000)).message


def test_a_full_disk(tmp_path: Path) -> None:
    """Who deletes jobs to make room would lose their models."""
    with small_disk(tmp_path, 24) as disk:
        features = np.ones((1, 90_000))
        with running_server(disk / "data", "--workers=1") as server, calls_to(server.address) as calls:
            ends = [
                calls.train_model("a", inline(features, [[1.0]], epochs=1, learning_rate=1e-9 * (i + 1)))
                for i in range(5)
            ]
            jobs = [get(calls, "a", version).job for version in range(1, 6)]
            fill(disk)
            refused = []
            for job in jobs:
                try:
                    calls.delete(job)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    refused.append(job)
            # As long as there is something in reserve, they go.
            assert refused != jobs
            for version, end in enumerate(ends, 1):
                content = calls.download("a", version, format=model_pb2.MODEL_FORMAT_STATE_DICT)
                assert end.parameters[0].value.data in content
            assert set(calls.jobs()) == set(refused)
            assert delete(calls, "a", version=5) == [5]
            assert "a fault of the server" not in server.log.read_text()
