"""Several curves in one chart, as text and as an image."""

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime

import click
import numpy as np
import pytest

from gradstream.cli.history import History, curves, labels
from gradstream.cli.image import draw_image, require_matplotlib
from gradstream.cli.overlay import overlay
from gradstream.convert import spec_of
from gradstream.job import Job, JobState
from gradstream.v1 import spec_pb2

BEGINNINGS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}


def curve(first: int, last: int, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(first, last + 1), np.linspace(start, end, last - first + 1)


def history(
    job: str = "j",
    losses: tuple[float, ...] = (4.0, 2.0, 1.0),
    validation: tuple[float, ...] = (),
    **spec: object,
) -> History:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    resolved = replace(spec_of(spec_pb2.Spec(trainer="manual", epochs=3)), **spec)
    return History(
        Job(
            id=job, state=JobState.SUCCEEDED, spec=resolved, request_id="", create_time=now, start_time=None,
            end_time=None, attempt=1, last_sequence=9, epochs_done=3, last_loss=None, jobs_ahead=None,
            fault=None, priority=0, cancel_on_disconnect=False, restarts=0, checkpoint_epoch=0, group="",
        ),
        np.arange(1, len(losses) + 1), np.array(losses), np.array(validation),
    )  # fmt: skip


def test_curves_share_their_axes() -> None:
    """Curves that are each drawn over the whole width could not be compared."""
    chart = overlay([curve(1, 9, 8, 0), curve(1, 5, 8, 8)], 20, 6, logarithmic=False, marks="ab")
    assert chart.lines[0].startswith("8 ┤")
    assert chart.lines[5].startswith("0 ┤")
    assert "b" in chart.lines[0]
    assert "a" in chart.lines[5]
    columns = [i for line in chart.lines[:6] for i, mark in enumerate(line[3:]) if mark == "b"]
    assert max(columns) <= 8, "the shorter one ends in the middle"
    assert chart.lines[6] == "   1         epoch 9"
    assert max(len(line) for line in chart.lines) == 20


def test_curves_that_coincide_are_both_seen() -> None:
    """One of two jobs that agree would seem to be missing."""
    same = curve(1, 50, 3, 1)
    chart = overlay([same, same, same], 40, 6, marks="abc")
    assert all(mark in "".join(chart.lines) for mark in "abc")
    assert set(np.unique(chart.owners)) == {-1, 0, 1, 2}


def test_epochs_are_where_they_belong() -> None:
    """A job that reports every tenth epoch would be drawn ten times as fast as another."""
    each, every_tenth = curve(1, 101, 10, 0), (np.arange(1, 102, 10), np.linspace(10, 0, 11))
    drawn = [overlay([one], 40, 6, False).owners for one in (each, every_tenth)]
    assert (drawn[0] != drawn[1]).mean() < 0.02, "but for what is rounded"


@pytest.mark.parametrize(
    "losses", [[1.0], [2.0, 2.0], [0.0, 0.0], [np.inf, 1.0, np.nan], [3.0, 0.0], [1e300, 1]]
)
@pytest.mark.parametrize("logarithmic", [None, True, False])
@pytest.mark.parametrize("width", [1, 30])
def test_odd_curves_are_drawn(losses: list[float], logarithmic: bool | None, width: int) -> None:
    job = history(losses=tuple(losses))
    assert (overlay([job.drawn], width, 6, logarithmic).owners >= 0).any()


@pytest.mark.parametrize("losses", [[1.0], [0.0, 0.0], [np.inf, 1.0, np.nan], [1e300, 1]])
def test_images_of_odd_curves(losses: list[float]) -> None:
    assert draw_image([history(losses=tuple(losses))], "png", None).startswith(BEGINNINGS["png"])


def test_scales() -> None:
    wide = [(np.arange(1, 10), np.geomspace(1, 1e-6, 9))]
    assert overlay(wide, 40, 6).lines[-1].endswith("log scale")
    assert not overlay(wide, 40, 6, logarithmic=False).lines[-1].endswith("log scale")
    assert overlay([curve(1, 9, 2, 1)], 40, 6, logarithmic=True).lines[-1].endswith("log scale")
    zero = overlay([(np.arange(1, 3), np.array([100.0, 0.0]))], 40, 6)
    assert zero.lines[5].startswith("≤1e-14 ┤")
    diverging = overlay([(np.arange(1, 9), np.geomspace(30, 1e36, 8))], 40, 6)
    assert diverging.lines[5].lstrip().startswith("30 ┤"), "it begins where it begins"


def test_a_legend_says_in_what_jobs_differ() -> None:
    """The runs of a sweep would be nothing but names."""
    jobs = [history("j", learning_rate=0.1, seed=1), history("k", learning_rate=0.02, seed=1)]
    assert labels(jobs) == ["j, manual, learning rate 0.1", "k, manual, learning rate 0.02"]
    assert labels(jobs[:1]) == ["j, manual"]
    scaled = [history("j", standardize=True, shuffle=False), history("k", standardize=False, shuffle=True)]
    assert labels(scaled) == ["j, manual, no shuffle, standardize", "k, manual, shuffle, no standardize"]
    unlike = history("k", device="cuda", learning_rate=0.1, seed=2, l2=1.0, dtype="float32")
    assert labels([jobs[0], unlike])[1].count(",") == 4, "a line has to fit"
    assert jobs[0].outcome == "loss 1 after 3 epochs"
    assert len(history(losses=(np.inf, 1.0, 1e300, np.nan)).drawn[1]) == 1


@pytest.mark.parametrize("format_", BEGINNINGS)
def test_images(format_: str) -> None:
    jobs = [history("first"), history("second", (3.0, 1.0), seed=7)]
    image = draw_image(jobs, format_, None)
    assert image.startswith(BEGINNINGS[format_])
    if format_ == "svg":
        told = re.findall(r"<!-- (.*) -->", image.decode())
        assert {"epoch", "loss", "Loss of each epoch"} <= set(told)
        assert "second, manual, seed 7: loss 1 after 2 epochs" in told


def test_validation_is_a_curve_of_its_own() -> None:
    """A user would not see from which epoch on his model gets worse."""
    jobs = [history("j", validation=(5.0, np.nan, 6.0)), history("k", validation=(np.nan,) * 3)]
    drawn = curves(jobs)
    assert [(curve.job, curve.of_validation, len(curve.losses)) for curve in drawn] == [
        (0, False, 3),
        (0, True, 2),
        (1, False, 3),
    ]
    assert drawn[1].legend == "j: validation loss, 5 at best, in epoch 1"
    told = re.findall(r"<!-- (.*) -->", draw_image(jobs, "svg", None).decode())
    assert drawn[1].legend in told


def test_many_jobs_do_not_hide_their_curves() -> None:
    """A legend of many lines would cover the picture."""
    few, many = (draw_image([history(str(i)) for i in range(count)], "svg", None) for count in (5, 30))
    heights = [int(re.search(rb'height="(\d+)', image)[1]) for image in (few, many)]  # type: ignore[index]
    assert heights[1] > heights[0] * 2


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(click.ClickException, match=re.escape("pip install 'gradstream[plot]'")):
        require_matplotlib()
