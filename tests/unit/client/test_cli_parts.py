"""Parts of the command line: charts, fields, exit codes, numbers for people."""

from datetime import UTC, datetime

import click
import grpc
import numpy as np
import pytest

from gradstream.cli.chart import draw, labelled
from gradstream.cli.failures import exit_code, explanation
from gradstream.cli.fields import option_of_field
from gradstream.cli.report import aligned, duration, epoch_line, fixed, prediction_lines
from gradstream.cli.train import train
from gradstream.cli.values import memory_size
from gradstream.errors import (
    ERROR_OF_STATUS,
    Fault,
    GradstreamError,
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    ResourceExhaustedError,
    Violation,
)
from gradstream.events import Completed, Receipt


def test_a_falling_line_falls() -> None:
    chart = draw(np.linspace(4, 3, 8), width=4, height=2)
    assert chart.lines == ["⠑⢄⠀⠀", "⠀⠀⠑⢄"]
    assert (chart.highest, chart.lowest, chart.logarithmic) == (4, 3, False)


def test_a_large_range_is_drawn_on_a_logarithmic_scale() -> None:
    assert draw(np.geomspace(1, 1e-8, 8), 4, 2).lines == draw(np.linspace(4, 3, 8), 4, 2).lines
    assert draw(np.array([1.0, 0.0]), 4, 2).logarithmic


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [np.inf, np.nan], [np.inf, 1.0], [0.0, 0.0]])
def test_odd_curves_are_drawn(values: list[float]) -> None:
    chart = draw(np.array(values), 5, 3)
    assert [len(line) for line in chart.lines] == [5, 5, 5]


def test_a_peak_between_two_columns_is_seen() -> None:
    losses = np.ones(10_000)
    losses[5000] = 10.0
    assert draw(losses, 10, 2).lines[0].strip("⠀")


def test_the_lower_edge_of_a_logarithmic_scale_is_not_zero() -> None:
    assert draw(np.array([100.0, 0.0]), 4, 2).edges == ("100", "≤1e-14")


def test_labels() -> None:
    lines = labelled(draw(np.linspace(4, 3, 8), 30, 3), 1, 1234)
    assert lines[0].startswith("4 ┤")
    assert lines[2].startswith("3 ┤")
    assert lines[3] == "   1                  epoch 1,234"


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("spec.learning_rate", "--learning-rate"),
        ("spec.l2", "--l2"),
        ("spec.trainer", "--trainer"),
        ("spec.inline_data.features.shape", "--data"),
        ("spec.inline_data.targets", "--target"),
        ("spec.inline_data.target_names[0]", "--target"),
        ("spec.initial_parameters[1].value", "--init"),
        ("spec.predict_rows", "--predict"),
        ("request_id", "--request-id"),
        ("spec.max_memory_bytes", "--max-memory"),
        ("spec.max_seconds", "--max-seconds"),
        ("spec.optimizer.name", "--optimizer"),
        ("spec.optimizer.options.betas[0]", "--set optimizer.betas[0]"),
        ("priority", "--priority"),
        ("group", "--group"),
        ("job", "JOB"),
    ],
)
def test_fields_are_named_as_the_options_that_set_them(field: str, option: str) -> None:
    assert option_of_field(field) == option


def test_every_status_has_an_exit_code() -> None:
    codes = {name: exit_code(kind("", code=name)) for name, kind in ERROR_OF_STATUS.items()}
    assert codes.keys() == {code.name for code in grpc.StatusCode} - {"OK"}
    assert codes["INVALID_ARGUMENT"] == codes["FAILED_PRECONDITION"] == codes["ALREADY_EXISTS"] == 2
    assert codes["UNAVAILABLE"] == codes["DEADLINE_EXCEEDED"] == 3
    assert (codes["NOT_FOUND"], codes["RESOURCE_EXHAUSTED"], codes["INTERNAL"]) == (4, 5, 6)


def test_a_job_without_a_result_has_exit_code_1() -> None:
    assert exit_code(JobFailedError("j", Fault("INTERNAL", "WORKER_DIED", "died"))) == 1
    assert exit_code(JobCancelledError("j")) == 1


def reached(epochs: int) -> Completed:
    receipt = Receipt("d", "p", "cpu", 1, {})
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Completed("j", 9, 1, now, epochs, 0.5, None, {"weight": np.ones((1, 1))}, None, receipt, 1.0)


def test_explanations() -> None:
    one = Violation("spec.epochs", "is 0; it has to be at least 1")
    other = Violation("spec.device", "'tpu' is no device")
    assert explanation(GradstreamError("so it is")) == "Error: so it is"
    assert (
        explanation(InvalidArgumentError("", violations=[one]))
        == "Error: --epochs is 0; it has to be at least 1"
    )
    assert explanation(InvalidArgumentError("", violations=[one, other])).splitlines() == [
        "Error: this cannot be trained:",
        "  --epochs is 0; it has to be at least 1",
        "  --device: 'tpu' is no device",
    ]
    ended = JobCancelledError("j", "", reached(7))
    assert explanation(ended).splitlines() == [
        "Error: job j was cancelled",
        "What it had reached after 7 epochs is kept: `gradstream show j`",
    ]
    full = explanation(ResourceExhaustedError("the queue is full", retry_after=2.0))
    assert full == "Error: the queue is full\nTry again in 2 s."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123, "1.23 ms"), (0.85, "850 ms"), (12.34, "12.3 s"), (245, "4:05"), (3723, "1:02:03")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_zero_has_no_sign() -> None:
    assert fixed(-0.0001, 3) == "0.000"


def test_large_numbers_have_an_exponent() -> None:
    assert fixed(1.5e300, 3) == "1.5e+300"
    assert epoch_line(2, 1e200, None) == "epoch 2: loss = 1e+200"
    assert fixed(9_999_999.0, 3) == "9999999.000"


def test_texts_of_the_server_name_options() -> None:
    text = "job x failed: use a smaller learning_rate, or standardize"
    assert explanation(GradstreamError(text)).endswith("use a smaller --learning-rate, or standardize")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("67108864", 2**26), ("64M", 2**26), ("64MiB", 2**26), ("64mb", 2**26), ("1.5G", 3 * 2**29),
        ("2 GiB", 2**31), ("1K", 1024), ("0.25t", 2**38), ("0", 0), (str(2**63 - 1), 2**63 - 1),
        ("5B", 5),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert memory_size(click.Context(train), train.params[0], text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1e9", "64X", "64 M iB", "inf"])
def test_what_is_no_size(text: str) -> None:
    """Taken for some number, it would fail the job, or bound nothing."""
    with pytest.raises(click.BadParameter, match="such as 512M"):
        memory_size(click.Context(train), train.params[0], text)


def test_lines_of_epochs() -> None:
    assert epoch_line(1, 30.0, {"weight": np.array([[1.2]])}) == "epoch 1: w = 1.200, loss = 30.00000000"
    assert epoch_line(1, 30.0, {"weight": np.ones((1, 2))}) == "epoch 1: loss = 30.00000000"
    assert epoch_line(1, 30.0, None) == "epoch 1: loss = 30.00000000"


def test_lines_of_predictions() -> None:
    rows, predictions = np.array([[1.0, 2.5]]), np.array([[1.0, 2.0]])
    assert prediction_lines("after", rows, predictions) == [
        "prediction after training: f(1, 2.5) = (1.000, 2.000)"
    ]
    assert prediction_lines("after", None, None) == []


def test_columns_are_aligned() -> None:
    assert aligned([["a", "1"], ["bb", "22"]], indent="") == ["a    1", "bb  22"]
