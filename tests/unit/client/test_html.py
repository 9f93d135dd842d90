"""What notebooks show: readable whatever the numbers, and nothing of a stranger's text is taken for HTML."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from gradstream import Completed, Dataset, Fault, GradientCheck, Job, JobState, ParameterGradient, Receipt
from gradstream.dataset import Column, ColumnType
from gradstream.html import bar, card, line, table
from gradstream.html_chart import Curve, chart
from gradstream.spec import Part, Spec

HOSTILE = "<script>alert('x')</script>&\"<img src=x>"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def parsed(html: str) -> ElementTree.Element:
    """The HTML, which is well-formed, and holds no more than we put there."""
    root = ElementTree.fromstring(f"<root>{html}</root>")
    tags = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert tags <= {"root", "div", "table", "tr", "td", "th", "svg", "polyline", "text", "tspan"}
    return root


def text(html: str) -> str:
    return " ".join(parsed(html).itertext())


def spec(**fields: object) -> Spec:
    parts = {
        kind: Part("none", {}) for kind in ("loss", "initialization", "optimizer", "schedule", "clipping")
    }
    base = Spec.__dataclass_fields__.keys()
    values: dict[str, object] = dict.fromkeys(base, 0) | {"trainer": HOSTILE, "device": "cpu", "epochs": 10}
    values |= {"parts": {**parts, "model": Part(HOSTILE, {})}, "feature_names": (), "target_names": ()}
    return Spec(**{**values, **fields})  # type: ignore[arg-type]  # of the types that they have


JOB = Job(
    id="abc", state=JobState.FAILED, spec=spec(), request_id="", create_time=NOW, start_time=NOW,
    end_time=NOW, attempt=1, last_sequence=3, epochs_done=2, last_loss=float("nan"), jobs_ahead=None,
    fault=Fault("INTERNAL", "DIVERGED", HOSTILE, {}), priority=0, cancel_on_disconnect=False, restarts=0,
    checkpoint_epoch=0, group=HOSTILE,
)  # fmt: skip
COMPLETED = Completed(
    "abc", 5, 1, NOW, 20, 0.5, np.ones((2, 1)), {HOSTILE: np.arange(20.0)}, None,
    Receipt("d" * 64, "p" * 64, HOSTILE, 1, {}), 0.1,
)  # fmt: skip
COLUMN = Column(HOSTILE, ColumnType.NUMBER, "double", 0, None, 0.0, 1.0, 0.5, None, (), None, "")
GRADIENT = ParameterGradient(
    (1, 2), 1e-16, np.arange(2), np.ones(2), {HOSTILE: np.ones(2)}, {HOSTILE: 1e-9}
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        JOB,
        COMPLETED,
        Dataset("d" * 64, HOSTILE, 9, 1, (COLUMN,) * 100, NOW, 9),
        GradientCheck(spec(), 4, (HOSTILE,), {"a": HOSTILE}, {HOSTILE: GRADIENT}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_of_a_strangers_text_is_html(value: Job | Completed | Dataset | GradientCheck) -> None:
    html = value._repr_html_()
    assert HOSTILE in text(html)
    assert "<script" not in html
    assert "<img" not in html


def test_what_is_long_is_cut_and_said() -> None:
    html = Dataset("d" * 64, "a", 9, 1, (COLUMN,) * 100, NOW, 9)._repr_html_()
    assert "... 70 more" in text(html)
    assert html.count("<tr>") == 31


def test_a_job_without_numbers_shows_what_there_is() -> None:
    queued = replace(JOB, state=JobState.QUEUED, fault=None, last_loss=None, start_time=None, end_time=None)
    assert "queued" in text(queued._repr_html_())
    assert "loss" not in text(replace(queued, group="")._repr_html_()).split()


def test_pieces() -> None:
    assert text(card("<", line("&"), table([("a", "<b>")], ("x", "y")))) == "< & x y a <b>"
    for share, width in ((-1, "0.0%"), (0.5, "50.0%"), (7, "100.0%")):
        assert f"width:{width}" in bar(share, "")


def points(html: str) -> list[list[tuple[float, float]]]:
    found = re.findall('points="([^"]*)"', html)
    return [[tuple(map(float, pair.split(","))) for pair in each.split()] for each in found]  # type: ignore[misc]


def curve(*values: float, name: str = "loss") -> Curve:
    return Curve(name, np.arange(1, len(values) + 1), np.array(values))


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [0.0, 0.0],
        [3.0, 2.0, 1.0],
        [1e300, 1.0, 0.0],
        [np.nan, 2.0, np.inf],
        [-5.0, 5.0],
        [1e-320, 0.0],
    ],
)
def test_each_curve_lies_in_its_picture(values: list[float]) -> None:
    html = chart([curve(*values)])
    parsed(html)
    for each in points(html):
        assert all(70 <= x <= 610 and 0 <= y <= 140 for x, y in each), each


def test_a_falling_curve_falls() -> None:
    ((first, *_, last),) = points(chart([curve(3.0, 2.0, 1.0)]))
    assert (first, last) == ((70.0, 4.0), (610.0, 140.0))


def test_values_over_magnitudes_are_on_a_logarithmic_scale() -> None:
    html = chart([curve(100.0, 1.0, 0.01)])
    assert "log scale" in html
    (((_, top), (_, middle), (_, bottom)),) = points(html)
    assert middle == pytest.approx((top + bottom) / 2, abs=0.1)


def test_no_peak_of_a_long_curve_is_lost() -> None:
    values: NDArray[np.float64] = np.ones(100_000)
    values[54_321] = 2.0
    ((*drawn,),) = points(chart([Curve("loss", np.arange(1, 100_001), values)]))
    assert len(drawn) <= 400
    assert min(y for _, y in drawn) == 4.0


def test_two_curves_are_told_apart() -> None:
    html = chart([curve(3.0, 1.0), curve(4.0, 2.0, name="<validation>")])
    assert len(points(html)) == 2
    assert "<validation>" in text(html)
    assert len(set(re.findall('stroke="([^"]*)"', html))) == 2


def test_where_nothing_can_be_drawn_nothing_is() -> None:
    assert chart([]) == chart([curve()]) == chart([curve(np.nan)]) == ""
