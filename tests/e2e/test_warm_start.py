"""A job that goes on from what another has learnt."""

import json
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

from gradstream import Client, EpochUpdates, JobCancelledError

WEATHER = str(Path(__file__).parents[2] / "examples/data/seattle-weather.csv")


def trained(*args: str, server: RunningServer) -> list[dict[str, object]]:
    done = gradstream("train", *args, "--format", "json", server=server.address)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def losses(events: list[dict[str, object]]) -> list[object]:
    return [event["loss"] for event in events if event["event"] == "epoch_update"]


def test_a_job_goes_on_where_another_has_ended(server: RunningServer) -> None:
    """A person who finds that a run was too short would have to pay for it twice."""
    at_once = trained("--trainer", "autograd", "--epochs", "30", server=server)
    first = trained("--trainer", "autograd", "--epochs", "10", server=server)
    rest = trained("--trainer", "autograd", "--epochs", "20", "--from", str(first[0]["job"]), server=server)
    assert losses(first) + losses(rest) == losses(at_once)
    assert rest[-1]["parameters"] == at_once[-1]["parameters"]


def test_scaled_features_start_in_the_units_of_the_data(server: RunningServer) -> None:
    """Parameters as trained would be taken for those of unscaled features, and the loss would leap."""
    table = ("--data", WEATHER, "--target", "temp_max", "--standardize", "--learning-rate", "0.1")
    first = trained(*table, "--epochs", "100", server=server)
    rest = trained(*table, "--epochs", "2", "--from", str(first[0]["job"]), server=server)
    assert losses(rest)[0] == pytest.approx(losses(first)[-1], rel=1e-6)


def test_a_cancelled_job_gives_what_it_had_reached(server: RunningServer) -> None:
    """Hours of training would be lost to whoever had to stop it."""
    with Client(server.address) as client:
        run = client.train(trainer="autograd", epochs=10_000_000, report_every=1000)
        next(event for event in run.events() if isinstance(event, EpochUpdates))
        run.cancel()
        with pytest.raises(JobCancelledError) as ended:
            run.result()
    reached = ended.value.result_so_far
    assert reached is not None
    started = trained("--trainer", "autograd", "--epochs", "1", "--from", run.job, server=server)
    assert next(each["parameters"] for each in started if each["event"] == "started") == {
        name: value.tolist() for name, value in reached.parameters.items()
    }


def test_init_goes_over_it(server: RunningServer) -> None:
    (first, *_) = trained(server=server)
    started = trained("--from", str(first["job"]), "--init", "weight=7", server=server)[1:]
    assert next(each["parameters"] for each in started if each["event"] == "started") == {"weight": [[7.0]]}


def test_python_goes_on_from_a_result(server: RunningServer) -> None:
    """A program would have to know which of two dictionaries holds the parameters it may give back."""
    features, targets = [[1.0], [2.0], [4.0]], [1.0, 3.0, 9.0]
    with Client(server.address) as client:
        first = client.train(features, targets, epochs=50, learning_rate=0.1, standardize=True).result()
        start = first.parameters_in_own_units
        again = client.train(features, targets, epochs=1, standardize=True, initial_parameters=start)
        assert again.result().final_loss < first.final_loss
        assert client.train().result().parameters_in_own_units["weight"].shape == (1, 1)


def test_what_does_not_fit_is_said_of_from(server: RunningServer) -> None:
    """The advice would be about --init, which was not given."""
    weather = str(
        trained("--data", WEATHER, "--target", "temp_max", "--standardize", server=server)[0]["job"]
    )
    refused = gradstream("train", "--intercept", "--from", weather, server=server.address)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"Error: --from: {weather} does not fit: weight is [1, 3]; weight has to be [1, 1], "
        "or [] for one value\n"
    )
    refused = gradstream("train", "--from", weather, "--init", "weight=0", server=server.address)
    assert (
        f"--from: {weather} does not fit: a parameter of it is 'bias'; this model has weight"
        in refused.stderr
    )
    refused = gradstream(
        "train", "--from", weather, "--init", "bias=0", "--init", "slope=1", server=server.address
    )
    assert "  --init is 'slope'; this model has weight" in refused.stderr
    assert "  --from: " in refused.stderr


def test_a_job_that_gives_nothing_to_start_from(server: RunningServer) -> None:
    with Client(server.address) as client:
        running = client.create(trainer="autograd", epochs=10_000_000, report_every=1000)
        refused = gradstream("train", "--from", running.id, server=server.address)
        assert refused.returncode == 2
        assert f"gradstream cancel {running.id}" in refused.stderr
        client.cancel(running.id)
        diverged = client.create(learning_rate=100.0, epochs=1000)
        list(client.watch(diverged.id).events())
    refused = gradstream("train", "--from", diverged.id, server=server.address)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"--from: job {diverged.id} has failed, and left nothing to start from" in refused.stderr
    assert gradstream("train", "--from", "nosuchjob", server=server.address).returncode == 4
