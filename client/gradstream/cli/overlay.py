"""Several curves in one chart of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstream.cli.chart import DEEPEST, braille, cells, dots, spans_magnitudes

_NOBODY = -1
_LABEL_EVERY = 5


@dataclass(frozen=True)
class Overlay:
    """Several curves in one chart, as lines of text with labels at the left and below."""

    lines: list[str]
    owners: NDArray[np.intp]
    """Which curve each character within the axes is of, (height, width); -1 for none."""
    margin: int
    """How many characters of a line are left of the axes."""


def overlay(
    curves: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    width: int,
    height: int,
    logarithmic: bool | None = None,
    marks: str | None = None,
) -> Overlay:
    """Draw curves, each of epochs and losses, over the same epochs; `width` takes the labels in.

    logarithmic: the scale of the losses. None: as `draw` does. marks: a character for each curve, drawn
    instead of dots. Characters that several curves go through take turns. All values are finite, and each
    curve has one.
    """
    epochs, losses = (np.concatenate(each) for each in zip(*curves, strict=True))
    first, last = int(epochs.min()), int(epochs.max())
    lowest, highest = float(losses.min()), float(losses.max())
    if logarithmic is None:
        logarithmic = spans_magnitudes(lowest, highest)
    logarithmic = logarithmic and highest > 0
    floor = highest * DEEPEST if logarithmic and lowest <= 0 else lowest
    bottom, top = (np.log(floor), np.log(highest)) if logarithmic else (lowest, highest)
    heights = np.linspace(top, bottom, height)
    labels = [f"{np.exp(at) if logarithmic else at:.3g}" for at in heights.tolist()]
    labels[-1] = f"≤{floor:.1g}" if lowest < floor else f"{lowest:.3g}"
    labels = [
        text if i == 0 or ((height - 1 - i) % _LABEL_EVERY == 0 and i > 1) else ""
        for i, text in enumerate(labels)
    ]
    margin = max(map(len, labels)) + 2
    columns = 2 * max(2, width - margin)
    drawn = np.zeros((len(curves), 4 * height, columns), np.bool_)
    for picture, (at, values) in zip(drawn, curves, strict=True):
        scaled = np.log(np.maximum(values, floor)) if logarithmic else values
        start, low, high = _ranges_by_epoch((at - first) / ((last - first) or 1), scaled, columns)
        picture[:, start : start + len(low)] = dots(low, high, bottom, top, height)
    owners = _owners(np.stack([cells(picture).any(axis=(1, 3)) for picture in drawn]))
    lines = braille(np.logical_or.reduce(drawn))
    if marks is not None:
        lines = ["".join(marks[owner] if owner >= 0 else " " for owner in line) for line in owners.tolist()]
    lines = [f"{label:>{margin - 2}} ┤{line}".rstrip() for label, line in zip(labels, lines, strict=True)]
    end = f"epoch {last:,}" + (", log scale" if logarithmic else "")
    lines.append(f"{'':{margin}}{first:<{max(1, columns // 2 - len(end))},}{end}")
    return Overlay(lines, owners, margin)


def _owners(reached: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A curve for each character, of those that reach it, (curves, height, width), in turn."""
    counts = reached.sum(axis=0)
    turn = np.arange(reached.shape[2]) % np.maximum(counts, 1)
    # The curve whose number among those that reach the character is the turn.
    chosen = reached & (reached.cumsum(axis=0) - 1 == turn)
    return np.where(counts > 0, chosen.argmax(axis=0), _NOBODY)


def _ranges_by_epoch(
    places: NDArray[np.float64], values: NDArray[np.float64], columns: int
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """The first column of dots of a curve, and from it on the smallest and largest value of each.

    places: where each value is, from 0 at the left to 1 at the right, rising.
    """
    at = places * (columns - 1)
    column = np.rint(at).astype(int)
    start = int(column[0])
    between = np.interp(np.arange(start, column[-1] + 1), at, values)
    low, high = np.full_like(between, np.inf), np.full_like(between, -np.inf)
    np.minimum.at(low, column - start, values)
    np.maximum.at(high, column - start, values)
    empty = np.isinf(low)
    return start, np.where(empty, between, low), np.where(empty, between, high)
