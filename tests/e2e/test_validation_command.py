"""Validation and early stopping on the command line: what is printed, saved, shown, compared and swept."""

import json
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

WEATHER = str(Path(__file__).parents[2] / "examples/data/seattle-weather.csv")
TRAIN = ("train", "--data", WEATHER, "--target", "temp_max", "--standardize", "--learning-rate", "0.1")
STOP = ("--validation-fraction", "0.2", "--patience", "5", "--min-delta", "0.01")


def test_a_run_that_ends_early(server: RunningServer, tmp_path: Path) -> None:
    """A user could not see when his model was best, nor train or show it again."""
    spec = str(tmp_path / "run.toml")
    done = gradstream(*TRAIN, *STOP, "--epochs", "500", "--save-spec", spec, server=server.address)
    assert done.returncode == 0, done.stderr
    first, *epochs, end, measured, why, _ = done.stdout.partition("parameters in")[0].split("\n")
    assert first == "n_samples: 1169, n_validation_samples: 292, n_features: 3"
    assert all(", validation loss = " in line for line in epochs)
    assert "the best of " in end
    assert [word.split(" ")[0] for word in measured.removeprefix("validation: ").split(", ")] == [
        "mae",
        "rmse",
        "r2",
    ]
    assert why == "ended early: the validation loss has not improved for 5 epochs"
    job = end.rpartition(" ")[2]
    again = gradstream("train", "--spec", spec, server=server.address)
    without_job = [line.partition(" in ")[0] for line in done.stdout.splitlines()]
    assert [line.partition(" in ")[0] for line in again.stdout.splitlines()] == without_job
    shown = gradstream("show", job, server=server.address).stdout
    for text in (
        "0.2 of the rows",
        "5 epochs",
        "validation loss, by more than 0.01",
        "the best epoch",
        measured,
    ):
        assert text in shown
    drawn = gradstream("plot", job, server=server.address).stdout.splitlines()
    assert drawn[-1].startswith(f"b {job}: validation loss, ")
    replayed = gradstream("replay", job, server=server.address).stdout
    assert "the parameters are the same as those of job" in replayed


def test_json_and_last_rows(server: RunningServer) -> None:
    """A program could not read what was measured."""
    done = gradstream(
        *TRAIN, "--validation-rows", "200", "--metric", "mae", "--epochs", "3", "--format", "json",
        server=server.address,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    updates = [event for event in events if event["event"] == "epoch_update"]
    assert all(update["validation_loss"] > 0 for update in updates)
    assert [set(update["metrics"]) for update in updates] == [{"mae"}] * 3
    assert events[-1]["validation_loss"] == updates[-1]["validation_loss"]
    assert (events[-1]["end"], events[-1]["best_epoch"]) == ("EPOCHS", None)


def test_a_sweep_looks_for_the_lowest_validation_loss(server: RunningServer) -> None:
    """The best run would be the one that has learnt its rows by heart."""
    done = gradstream(
        "sweep", *TRAIN[1:6], "--vary", "learning_rate=0.01,0.1", "--epochs", "20",
        "--validation-data", WEATHER, server=server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    best = next(line for line in done.stdout.splitlines() if line.startswith("best: "))
    assert "learning_rate=0.1: loss " in best
    assert ", validation loss " in best


def test_trainers_that_end_apart_can_be_compared(server: RunningServer) -> None:
    done = gradstream(
        "compare", "--epochs", "40", "--validation-fraction", "0.25", "--patience", "2", "--min-delta", "0.5",
        server=server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "largest difference between their losses" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--validation-fraction", "1.5"), "--validation-fraction is 1.5; it has to be above 0 and below 1"),
        (("--validation-rows", "4"), "--validation-rows is 4 of 4 rows, which leaves none to learn from"),
        (("--validation-fraction", "0.5", "--metric", "auc"), "--metric is 'auc', which is for classes"),
        (("--patience", "0"), "--patience is 0; it has to be at least 1"),
        (("--restore-best",), "--restore-best: asks for the best epoch, but nothing tells which that is"),
        (("--validation-data", "x.csv"), "--validation-data is about the table of --data, which is missing"),
        (("--validation-rows", "1", "--validation-fraction", "0.5"), "both say what to measure on"),
        (("--stop-after-seconds", "-1"), "--stop-after-seconds is -1; it has to be above 0"),
    ],
)
def test_what_cannot_be_is_told_by_its_option(
    server: RunningServer, options: tuple[str, ...], said: str
) -> None:
    done = gradstream("train", *options, server=server.address)
    assert done.returncode == 2
    assert said in done.stderr
