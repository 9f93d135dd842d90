"""A small curve drawn with braille dots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Bits of a braille character for its dots: four rows, from the top, of two columns.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BLANK = 0x2800
_LOG_FROM_RATIO = 50.0
DEEPEST = 1e-16
"""Of the highest value: what is less is drawn at the lower edge of a logarithmic scale."""


_LARGEST = 1e250
"""Above it, the margins and ticks of a chart are no floats any more."""


@dataclass(frozen=True)
class Chart:
    """A curve as lines of text, and what its edges stand for."""

    lines: list[str]
    highest: float
    lowest: float
    logarithmic: bool
    floor: float = 0.0
    """On a logarithmic scale: what the lower edge stands for; whatever is less is drawn there."""

    @property
    def edges(self) -> tuple[str, str]:
        """What the upper and the lower edge stand for."""
        if self.logarithmic and self.lowest < self.floor:
            return f"{self.highest:.3g}", f"≤{self.floor:.1g}"
        return f"{self.highest:.3g}", f"{self.lowest:.3g}"


def drawable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values have a place in a chart."""
    return np.abs(values) < _LARGEST


def draw(values: NDArray[np.float64], width: int, height: int) -> Chart:
    """Draw values from left to right in `height` lines of `width` characters.

    Where the largest is many times the smallest, on a logarithmic scale. Values that are not finite are left
    out.
    """
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Chart([" " * width] * height, 0.0, 0.0, False)
    low, high = _ranges(values, 2 * width)
    highest, lowest = float(high.max()), float(low.min())
    floor = highest * DEEPEST
    logarithmic = spans_magnitudes(lowest, highest)
    if logarithmic:
        bottom = max(lowest, floor)
        low, high = np.log(np.maximum(low, bottom)), np.log(np.maximum(high, bottom))
    return Chart(_plot(low, high, height), highest, lowest, logarithmic, floor)


def labelled(chart: Chart, first_epoch: int, last_epoch: int) -> list[str]:
    """The lines of a chart with its edges labelled: losses at the left, epochs below."""
    upper, lower = chart.edges
    labels = [upper, *[""] * (len(chart.lines) - 2), lower]
    margin = max(map(len, labels))
    lines = [f"{label:>{margin}} ┤{line}" for label, line in zip(labels, chart.lines, strict=True)]
    width = len(chart.lines[0])
    last = f"epoch {last_epoch:,}" + (", log scale" if chart.logarithmic else "")
    return [*lines, f"{'':{margin}}  {first_epoch:<{max(1, width - len(last))}}{last}"]


def spans_magnitudes(lowest: float, highest: float) -> bool:
    """Whether values from the lowest to the highest need a logarithmic scale to be told apart."""
    return lowest >= 0 and highest > _LOG_FROM_RATIO * max(lowest, highest * DEEPEST) and highest > 0


def _ranges(values: NDArray[np.float64], columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest value of each column of dots; fewer values are spread over all columns."""
    if values.size <= columns:
        at = np.linspace(0, values.size - 1, columns)
        spread = np.interp(at, np.arange(values.size), values)
        return spread, spread
    starts = np.arange(columns) * values.size // columns
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def _plot(low: NDArray[np.float64], high: NDArray[np.float64], height: int) -> list[str]:
    return braille(dots(low, high, float(low.min()), float(high.max()), height))


def dots(
    low: NDArray[np.float64], high: NDArray[np.float64], bottom: float, top: float, height: int
) -> NDArray[np.bool_]:
    """Which dots (4 * height, columns) a curve goes through, from the top."""
    rows, extent = 4 * height, (top - bottom) or 1.0
    top_row = np.rint((rows - 1) * (1 - (high - bottom) / extent)).astype(int)
    end_row = np.rint((rows - 1) * (1 - (low - bottom) / extent)).astype(int)
    # Each column reaches towards the one before it, so that the curve has no holes.
    top_row[1:] = np.where(top_row[1:] > end_row[:-1] + 1, end_row[:-1] + 1, top_row[1:])
    end_row[1:] = np.where(end_row[1:] < top_row[:-1] - 1, top_row[:-1] - 1, end_row[1:])
    row = np.arange(rows)[:, None]
    return (row >= top_row) & (row <= end_row)


def cells(dots: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dots by the characters that they are in: (height, 4, width, 2)."""
    rows, columns = dots.shape
    return dots.reshape(rows // 4, 4, columns // 2, 2)


def braille(dots: NDArray[np.bool_]) -> list[str]:
    """Dots as lines of characters."""
    codes = (cells(dots) * _DOTS[:, None, :]).sum(axis=(1, 3)) + _BLANK
    return ["".join(map(chr, line)) for line in codes.tolist()]
