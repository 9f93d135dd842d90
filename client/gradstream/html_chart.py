"""Curves as a picture in HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from gradstream.cli.chart import DEEPEST, drawable, spans_magnitudes
from gradstream.html import ACCENT, FAINT

_COLOURS = (ACCENT, "#c2569f")
_LEFT, _WIDTH, _HEIGHT = 70, 540, 140
_MOST_POINTS = 400


@dataclass(frozen=True)
class Curve:
    """Values over epochs."""

    name: str
    epochs: NDArray[np.int64]
    """(n,), rising."""
    values: NDArray[np.float64]
    """(n,); those that are not finite have no place in the picture."""


def chart(curves: Sequence[Curve]) -> str:
    """Curves, two at most, in one picture: on a logarithmic scale where the values span magnitudes.

    Empty where there is nothing to draw.
    """
    shown = [_drawable(curve) for curve in curves if drawable(curve.values).any()]
    if not shown:
        return ""
    values = np.concatenate([curve.values for curve in shown])
    lowest, highest = float(values.min()), float(values.max())
    floor = max(lowest, highest * DEEPEST)
    logarithmic = floor > 0 and spans_magnitudes(lowest, highest)
    # What is less is drawn at the lower edge.
    edge = f"≤{floor:.4g}" if logarithmic and lowest < floor else f"{lowest:.4g}"
    lowest = floor if logarithmic else lowest
    first = min(int(curve.epochs[0]) for curve in shown)
    last = max(int(curve.epochs[-1]) for curve in shown)

    def place(epochs: NDArray[np.float64], values: NDArray[np.float64]) -> str:
        """Points of the picture: epochs to the right, values upwards."""
        at = np.array([lowest, highest, *values])
        at = np.log(np.maximum(at, lowest)) if logarithmic else at
        bottom, top = at[0], at[1]
        x = _LEFT + _WIDTH * (epochs - first) / max(1, last - first)
        y = _HEIGHT - (_HEIGHT - 4) * (at[2:] - bottom) / ((top - bottom) or 1.0)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    lines = [
        f'<polyline points="{place(*_points(curve))}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for curve, colour in zip(shown, _COLOURS, strict=False)
    ]
    legend = "  ".join(
        f'<tspan fill="{colour}">━</tspan> {escape(curve.name)}'
        for curve, colour in zip(shown, _COLOURS, strict=False)
    )
    scale = ", log scale" if logarithmic else ""
    below = _HEIGHT + 18
    texts = [
        _text(_LEFT - 8, 12, f"{highest:.4g}", "end"),
        _text(_LEFT - 8, _HEIGHT, edge, "end"),
        _text(_LEFT, below, f"{first:,}", "start"),
        _text(_LEFT + _WIDTH // 2, below, legend, "middle"),
        _text(_LEFT + _WIDTH, below, f"epoch {last:,}{scale}", "end"),
    ]
    size = f'width="{_LEFT + _WIDTH + 8}" height="{_HEIGHT + 26}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{"".join(lines + texts)}</svg>'


def _drawable(curve: Curve) -> Curve:
    sane = drawable(curve.values)
    return Curve(curve.name, curve.epochs[sane], curve.values[sane])


def _points(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of many values the smallest and the largest of each stretch, so that no peak is lost."""
    size, parts = len(curve.values), _MOST_POINTS // 2
    epochs = curve.epochs.astype(np.float64)
    if size <= _MOST_POINTS:
        return epochs, curve.values
    starts = np.arange(parts) * size // parts
    low, high = (f.reduceat(curve.values, starts) for f in (np.minimum, np.maximum))
    falls = curve.values[starts] >= curve.values[np.append(starts[1:] - 1, size - 1)]
    pairs = np.where(falls[:, None], np.stack([high, low], 1), np.stack([low, high], 1))
    ends = np.append(starts[1:] - 1, size - 1)
    return np.stack([epochs[starts], epochs[ends]], 1).ravel(), pairs.ravel()


def _text(x: int, y: int, content: str, anchor: str) -> str:
    place = f'x="{x}" y="{y}" text-anchor="{anchor}"'
    return f'<text {place} font-size="11" fill="currentColor" style="{FAINT}">{content}</text>'
