"""Validation and stopping through a real server: what is measured, when it ends, and again."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.processes import descendants, parent, wait_until
from tests.server import RunningServer, running_server

from gradstream import (
    AsyncClient,
    Checkpoint,
    Client,
    Completed,
    EpochUpdate,
    FailedPreconditionError,
    InvalidArgumentError,
    JobState,
    JobWarning,
)

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(120, 4))
Y = X @ [1, -2, 3, 0] + RANDOM.normal(size=120)
PATIENT: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.02, "patience": 5}


@pytest.fixture
def client(server: RunningServer) -> Any:
    with Client(server.address) as client:
        yield client


@pytest.mark.parametrize("trainer", ["manual", "autograd", "module"])
def test_it_is_measured_and_ends(client: Client, trainer: str) -> None:
    """A user would not see that his model learns nothing any more, or not be given the best one."""
    run = client.train(X, Y, trainer=trainer, validation=0.25, epochs=1000, **PATIENT)
    updates = [event for event in run if isinstance(event, EpochUpdate)]
    result = run.result()
    assert run.started is not None
    assert (run.started.rows, run.started.validation_rows) == (90, 30)
    assert run.started.spec.validation_fraction == 0.25
    assert (result.end, result.restored) == ("NO_IMPROVEMENT", True)
    assert result.best_epoch is not None
    assert result.epochs == result.best_epoch + 5 == len(updates)
    best = updates[result.best_epoch - 1]
    assert run.validation_losses.tolist() == [update.validation_loss for update in updates]
    assert result.validation_loss == best.validation_loss == run.validation_losses.min()
    assert (result.final_loss, result.metrics) == (best.loss, best.metrics)
    assert set(result.metrics) == {"mae", "rmse", "r2"}
    assert run.metric("mae")[result.best_epoch - 1] == result.metrics["mae"]
    assert best.parameters is not None
    np.testing.assert_array_equal(result.parameters["weight"], best.parameters["weight"])
    job = client.get(run.job)
    assert (job.state, job.last_validation_loss) == (JobState.SUCCEEDED, updates[-1].validation_loss)
    assert client.replay(run.job).result().same


def test_rows_of_ones_own(client: Client) -> None:
    """A user could not measure on rows that he has chosen, or they would be learnt."""
    result = client.train(X[:90], Y[:90], validation=(X[90:], Y[90:]), epochs=20).result()
    plain = client.train(X[:90], Y[:90], epochs=20).result()
    last = client.train(X, Y, validation=30, epochs=20).result()
    assert result.receipt.parameter_digest == plain.receipt.parameter_digest == last.receipt.parameter_digest
    predictions = X[90:] @ plain.parameters["weight"][0] + plain.parameters["bias"]
    assert result.validation_loss == pytest.approx(((predictions - Y[90:]) ** 2).mean())
    assert result.metrics["mae"] == pytest.approx(np.abs(predictions - Y[90:]).mean())


def test_data_sets(client: Client) -> None:
    """A table that was uploaded could not be measured on, or would be deleted under a job."""
    learnt = client.upload({"a": X[:90, 0], "b": X[:90, 1], "y": Y[:90]})
    other = client.upload({"y": Y[90:], "b": X[90:, 1], "a": X[90:, 0]})
    fields: dict[str, Any] = {"dataset": learnt, "target_columns": "y", "validation": other}
    run = client.train(**fields, standardize=True, epochs=30)
    inline = client.train(X[:90, :2], Y[:90], validation=(X[90:, :2], Y[90:]), standardize=True, epochs=30)
    assert run.result().validation_loss == inline.result().validation_loss
    assert run.result().receipt.parameter_digest == inline.result().receipt.parameter_digest
    assert client.get(run.job).spec.validation_dataset == other.digest
    assert client.replay(run.job).result().same
    share = client.train(dataset=learnt, target_columns="y", validation=0.2, epochs=3).result()
    assert share.validation_loss is not None
    held = client.train(**fields, epochs=10_000_000, report_every=1_000_000)
    with pytest.raises(FailedPreconditionError, match="jobs that have not ended train on data set"):
        client.delete_dataset(other.digest)
    held.cancel()
    wait_until(lambda: client.get(held.job).state.final, "its end")
    client.delete_dataset(other.digest)
    unlike = client.upload({"a": X[:5, 0], "y": Y[:5]})
    with pytest.raises(InvalidArgumentError, match="validation: has no column 'b'"):
        client.train(**{**fields, "validation": unlike})


def test_time_ends_it_and_it_can_be_trained_again(client: Client) -> None:
    """A user could not prove what his model was made of, for no clock goes twice the same."""
    run = client.train(X, Y, epochs=10_000_000, stop_after_seconds=0.2, report_every=1000)
    result = run.result()
    assert result.end == "TIME"
    assert 0 < result.epochs < 10_000_000
    assert result.epochs == run.epochs[-1]
    assert client.replay(run.job).result().same


def test_what_is_not_defined_is_left_out_with_a_warning(client: Client) -> None:
    """A user would be shown a number that means nothing, or lose his job for it."""
    y = (Y > 0).astype(float)
    order = np.argsort(y, kind="stable")
    run = client.train(X[order], y[order], model="logistic", validation=20, epochs=2)
    warnings = [event for event in run if isinstance(event, JobWarning)]
    assert [warning.reason for warning in warnings] == ["METRIC_LEFT_OUT"]
    assert "auc is left out" in warnings[0].message
    assert set(run.result().metrics) == {"accuracy", "log_loss"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation": 1.5}, "validation: is 1.5; it has to be above 0 and below 1"),
        ({"validation": True}, "validation: must be a share such as 0.2"),
        (
            {"validation": (X[:, :2], Y)},
            "validation: has 2 features a row, but the rows to learn",
        ),
        ({"validation": (X[:3], Y[:2])}, "validation: has 3 rows of features, but 2 of targets"),
        ({"validation": (X[:1] * np.nan, Y[:1])}, "validation: holds features in row 1 that are no finite"),
        ({"metrics": ["mae"]}, "validation: says nothing of which rows"),
        ({"patience": 0}, "patience: is 0; it has to be at least 1"),
        ({"stop_after_seconds": -1.0}, "stop_after_seconds: is -1;"),
    ],
)
def test_what_cannot_be_is_told_by_its_argument(client: Client, options: dict[str, Any], said: str) -> None:
    """A user would not know which of his words was wrong."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.train(X, Y, **options)
    assert str(caught.value).startswith(said)


def test_a_worker_that_is_killed_changes_nothing(tmp_path: Path) -> None:
    """A crash would make training end elsewhere, with another model."""
    # It goes on improving by little, for long.
    options: dict[str, Any] = {
        "trainer": "module",
        "epochs": 100_000,
        "learning_rate": 2e-4,
        "batch_size": 16,
        "standardize": True,
        "validation": 0.3,
        "patience": 3,
        "min_delta": 1e-5,
    }
    with (
        running_server(tmp_path / "data", "--checkpoint-interval", "0.05") as server,
        Client(server.address) as client,
    ):
        undisturbed = client.train(X, Y, **options)
        expected = undisturbed.result()
        assert expected.end == "NO_IMPROVEMENT"
        run, seen, killed = client.train(X, Y, **options), [], False
        for event in run:
            if isinstance(event, EpochUpdate):
                seen.append((event.epoch, event.loss, event.validation_loss))
            if isinstance(event, Checkpoint) and not killed:
                killed = True
                for pid in descendants(server.process.pid):
                    if parent(pid) != server.process.pid:  # the children of the fork server
                        os.kill(pid, signal.SIGKILL)
        result = run.result()
        assert client.get(run.job).restarts == 1
        losses = zip(undisturbed.losses, undisturbed.validation_losses, strict=True)
        assert seen == [(i, loss, measured) for i, (loss, measured) in enumerate(losses, 1)]
        for name in ("epochs", "best_epoch", "restored", "end", "final_loss", "validation_loss", "metrics"):
            assert getattr(result, name) == getattr(expected, name), name
        assert result.receipt.parameter_digest == expected.receipt.parameter_digest


async def test_asyncio(server: RunningServer) -> None:
    """Programs that use asyncio would have to do without."""
    async with AsyncClient(server.address) as client:
        run = await client.train(X, Y, validation=0.25, epochs=100, **PATIENT)
        async for event in run:
            assert not isinstance(event, EpochUpdate) or event.validation_loss is not None
        result = await run.result()
        assert isinstance(result, Completed)
        assert result.validation_loss == run.validation_losses.min()
