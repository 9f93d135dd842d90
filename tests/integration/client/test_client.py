"""The client against a real server: what a program can rely on."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from tests.server import RunningServer, running_server

from gradstream import (
    AlreadyExistsError,
    Client,
    Completed,
    EpochUpdate,
    EpochUpdates,
    FailedPreconditionError,
    Health,
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    JobState,
    NotFoundError,
    OutOfRangeError,
    Started,
    StateChange,
)

LONG = 10_000_000
"""Epochs that no test waits for the end of."""


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def test_the_events_of_a_run_come_in_order(client: Client) -> None:
    events = list(client.train(trainer="manual"))
    kinds = [type(event) for event in events if not isinstance(event, StateChange)]
    assert kinds == [Started, *[EpochUpdate] * 20, Completed]
    assert [event.epoch for event in events if isinstance(event, EpochUpdate)] == list(range(1, 21))
    sequences = [event.sequence for event in events]
    assert sequences == sorted(sequences)
    assert {event.job for event in events} == {events[0].job}


def test_a_result_holds_all_there_is(client: Client) -> None:
    features = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, -1.0], [3.0, 0.0]])
    targets = features @ [1.0, -2.0] + 3.0
    run = client.train(
        features, targets, epochs=2000, learning_rate=0.1, standardize=True, predict_rows=[[1.0, 1.0]],
        feature_names=["a", "b"],
    )  # fmt: skip
    result = run.result()
    assert result.unscaled_parameters is not None
    np.testing.assert_allclose(result.unscaled_parameters["weight"], [[1.0, -2.0]], atol=1e-6)
    np.testing.assert_allclose(result.unscaled_parameters["bias"], [3.0], atol=1e-6)
    assert result.predictions is not None
    np.testing.assert_allclose(result.predictions, [[2.0]], atol=1e-6)
    assert result.parameters["weight"].shape == (1, 2)
    assert result.epochs == 2000
    assert run.losses.shape == (2000,)
    assert run.losses[-1] == result.final_loss
    assert run.started is not None
    assert run.started.spec.feature_names == ("a", "b")
    assert run.started.scaling is not None
    np.testing.assert_allclose(run.started.scaling.mean, features.mean(0))
    assert len(result.receipt.parameter_digest) == 64


def test_dtype_of_the_data_is_kept(client: Client) -> None:
    result = client.train(
        np.array([1, 2], np.float32), np.array([1, 2], np.float32), predict_rows=[3]
    ).result()
    assert result.parameters["weight"].dtype == np.float32
    assert result.predictions is not None
    assert result.predictions.dtype == np.float32


def test_a_run_left_early_goes_on_where_it_was_left(client: Client) -> None:
    run = client.train(trainer="manual", epochs=50)
    seen = []
    for event in run:
        if isinstance(event, EpochUpdate):
            seen.append(event.epoch)
            if event.epoch == 7:
                break
    assert run.result().epochs == 50
    seen += [event.epoch for event in run if isinstance(event, EpochUpdate)]
    assert seen == list(range(1, 51))
    assert list(run) == []
    assert run.result().epochs == 50


def test_epochs_as_columns(client: Client) -> None:
    run = client.train(trainer="manual", epochs=1000)
    for event in run:
        if isinstance(event, EpochUpdate) and event.epoch == 3:
            break
    updates = [event for event in run.events() if isinstance(event, EpochUpdates)]
    assert np.concatenate([each.epochs for each in updates]).tolist() == list(range(4, 1001))
    assert run.losses.shape == run.epochs.shape == (1000,)


def test_report_every(client: Client) -> None:
    run = client.train(epochs=10, report_every=4)
    run.result()
    assert run.epochs.tolist() == [1, 5, 9, 10]


def test_a_refusal_is_raised_by_train_and_names_the_fields(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        client.train(epochs=0, learning_rate=-1.0)
    assert caught.value.reason == "INVALID_SPEC"
    assert {each.field for each in caught.value.violations} == {"spec.epochs", "spec.learning_rate"}


def test_a_device_that_is_not_there(client: Client) -> None:
    with pytest.raises(FailedPreconditionError, match="cpu") as caught:
        client.train(device="cuda:9")
    assert caught.value.reason == "DEVICE_NOT_AVAILABLE"


def test_a_job_that_diverges(client: Client) -> None:
    run = client.train(learning_rate=10.0, epochs=1000)
    with pytest.raises(JobFailedError) as caught:
        run.result()
    assert (caught.value.job, caught.value.reason) == (run.job, "DIVERGED")
    assert len(run.losses) > 1, "the curve until then is kept"
    last = list(run)[-1]
    assert isinstance(last, StateChange)
    assert last.fault == caught.value.fault
    assert client.get(run.job).fault == caught.value.fault


def test_the_same_request_id_is_the_same_job(client: Client) -> None:
    request_id = uuid4()
    first = client.train(epochs=5, request_id=request_id)
    assert first.result().epochs == 5
    assert client.train(epochs=5, request_id=request_id).job == first.job
    assert client.create(epochs=5, request_id=str(request_id)).id == first.job
    with pytest.raises(AlreadyExistsError) as caught:
        client.train(epochs=6, request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_watching_again(client: Client) -> None:
    run = client.train(epochs=30)
    result = run.result()
    again = client.watch(run.job)
    assert [event.sequence for event in again.events()] == list(range(1, run.sequence + 1))
    np.testing.assert_array_equal(again.losses, run.losses)
    later = client.watch(run.job, after_sequence=2)
    assert next(iter(later.events())).sequence == 3
    at_the_end = client.watch(run.job, after_sequence=run.sequence)
    assert list(at_the_end) == []
    assert at_the_end.result().final_loss == result.final_loss
    assert list(at_the_end) == []


def test_watching_what_is_not_there(client: Client) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.watch("nosuchjob")
    assert caught.value.reason == "JOB_NOT_FOUND"
    with pytest.raises(NotFoundError):
        client.watch("nosuchjob", after_sequence=1)
    run = client.train()
    run.result()
    with pytest.raises(OutOfRangeError):
        list(client.watch(run.job, after_sequence=1000))


def test_cancelling(client: Client) -> None:
    run = client.train(trainer="autograd", epochs=LONG, report_every=1000)
    next(event for event in run if isinstance(event, EpochUpdate))
    assert run.cancel().state in (JobState.CANCELLING, JobState.CANCELLED)
    with pytest.raises(JobCancelledError):
        run.result()
    assert run.state is JobState.CANCELLED
    assert client.cancel(run.job).state is JobState.CANCELLED


def test_a_job_that_has_ended_cannot_be_cancelled(client: Client) -> None:
    run = client.train()
    run.result()
    with pytest.raises(FailedPreconditionError) as caught:
        run.cancel()
    assert caught.value.reason == "JOB_ALREADY_ENDED"


def test_a_watcher_that_leaves_does_not_disturb(client: Client) -> None:
    run = client.train(trainer="autograd", epochs=3000)
    for event in run:
        if isinstance(event, EpochUpdate):
            break
    run.close()
    assert client.watch(run.job).result().epochs == 3000


def test_a_run_can_be_cancelled_from_another_thread(client: Client) -> None:
    run = client.train(trainer="autograd", epochs=LONG, report_every=1000)
    timer = threading.Timer(0.2, run.cancel)
    timer.start()
    last = list(run.events())[-1]
    timer.join()
    assert isinstance(last, StateChange)
    assert last.state is JobState.CANCELLED


def test_validating_keeps_nothing(client: Client) -> None:
    before = [job.id for job in client.jobs()]
    found = client.validate([[1.0], [2.0]], [1.0, 2.0], trainer="module")
    assert (found.spec.trainer, found.spec.epochs, found.spec.dtype) == ("module", 100, "float64")
    assert found.spec.feature_names == ("x1",)
    assert found.estimated_memory_bytes > 0
    assert found.estimated_seconds > 0
    assert [job.id for job in client.jobs()] == before


def test_server_info_and_health(client: Client) -> None:
    info = client.server_info()
    assert "cpu" in {device.name for device in info.devices}
    assert {trainer.name for trainer in info.trainers} == {"manual", "autograd", "module"}
    assert info.limits.max_epochs > 0
    assert client.health() is Health.SERVING


def test_a_run_is_put_together_from_parts(client: Client) -> None:
    """A user would get another optimizer than the one that was asked for, and not see it."""
    parts = {part.field: part.name for part in client.server_info().parts if part.is_default}
    assert parts["optimizer"] == "sgd"
    adam = next(part for part in client.server_info().parts if part.name == "adam")
    assert adam.trainers == ("module",)
    assert adam.options_schema["properties"]["eps"]["default"] == 1e-8

    x = np.random.default_rng(0).normal(size=(200, 2))
    run = client.train(
        x,
        x @ [1.0, 2],
        trainer="module",
        optimizer=("adam", {"betas": (0.8, 0.99)}),
        schedule="cosine",
        learning_rate=0.1,
        batch_size=50,
        epochs=200,
    )
    assert run.result().final_loss < 1e-3
    spec = client.get(run.job).spec
    assert spec.parts["optimizer"].options == {
        "amsgrad": False,
        "betas": [0.8, 0.99],
        "eps": 1e-8,
        "weight_decay": 0,
    }
    assert spec.parts["schedule"].options == {"T_max": 200, "eta_min": 0}
    assert client.replay(run.job).result().same
    with pytest.raises(InvalidArgumentError, match="the module trainer does") as raised:
        client.train(x, x, trainer="manual", optimizer="adam")
    assert [violation.field for violation in raised.value.violations] == ["spec.optimizer.name"]


def test_a_perceptron_from_its_sizes_to_its_parameters(client: Client) -> None:
    """A user could not take the model away."""
    x = np.random.default_rng(0).normal(size=(300, 2)) * 5 + 3
    model = ("mlp", {"hidden": [8, 4], "activation": "tanh", "dropout": 0.1})
    run = client.train(x, x[:, 0] * x[:, 1], trainer="module", model=model, standardize=True, batch_size=64)
    result = run.result()
    shapes = {name: value.shape for name, value in result.parameters.items()}
    assert shapes == {
        "0.weight": (8, 2),
        "0.bias": (8,),
        "3.weight": (4, 8),
        "3.bias": (4,),
        "6.weight": (1, 4),
        "6.bias": (1,),
    }
    assert result.unscaled_parameters
    assert list(result.unscaled_parameters) == list(shapes)
    assert client.replay(run.job).result().same
    with pytest.raises(InvalidArgumentError, match=r"hidden: is missing; it has to be a list"):
        client.train(x, x, trainer="module", model="mlp")
    with pytest.raises(InvalidArgumentError, match="the module trainer does"):
        client.train(x, x, trainer="manual", model=model)


def test_many_threads_share_a_client(client: Client) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(client.train(epochs=n).result().epochs))
        for n in range(1, 17)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 17))


def test_jobs_are_listed_newest_first_over_many_pages(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, Client(server.address) as client:
        made = [client.create(epochs=1, group="even" if i % 2 == 0 else "").id for i in range(230)]
        client.watch(made[-1]).result()
        assert [job.id for job in client.jobs()] == made[::-1]
        assert [job.id for job in client.jobs(group="even")] == made[-2::-2]
        with pytest.raises(JobFailedError):
            client.train(learning_rate=1e9, epochs=1000).result()
        assert [job.state for job in client.jobs(["failed"])] == [JobState.FAILED]
        with pytest.raises(InvalidArgumentError):
            list(client.jobs(["lost"]))
