"""Curves as an image, drawn by matplotlib without a display."""

import io
from collections.abc import Sequence

import click

from gradstream.cli.chart import spans_magnitudes
from gradstream.cli.history import History, curves

_WIDTH, _HEIGHT = 8.0, 4.5
"""Inches."""
_LINE = 0.2
_MOST_WITHIN = 5
_DOTS_PER_INCH = 150
_FEW = 30
_COLOURS = 10
_STYLES = ("-", ":", "-.")


def require_matplotlib() -> None:
    """Raises click.ClickException, which says what to install, where it is missing."""
    try:
        import matplotlib  # noqa: F401  # whether it is there is all that is asked
    except ImportError as error:
        raise click.ClickException(
            "images need matplotlib, which is not installed: pip install 'gradstream[plot]'"
        ) from error


def draw_image(histories: Sequence[History], format_: str, logarithmic: bool | None) -> bytes:
    """The image file. Each history has something to draw; logarithmic: as for `overlay`."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    # Without pyplot: no state that is shared, and no search for a display.
    within = len(histories) <= _MOST_WITHIN
    height = _HEIGHT if within else _HEIGHT + _LINE * len(histories)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = curves(histories)
    for curve in drawn:
        axes.plot(
            curve.epochs,
            curve.losses,
            label=curve.legend,
            color=f"C{curve.job % _COLOURS}",
            linestyle="--" if curve.of_validation else _STYLES[curve.job // _COLOURS % len(_STYLES)],
            # A line through a single point cannot be seen.
            marker="." if len(curve.losses) <= _FEW else None,
        )
    losses = np.concatenate([curve.losses for curve in drawn])
    highest = float(losses.max())
    if logarithmic is None:
        logarithmic = spans_magnitudes(float(losses.min()), highest)
    if logarithmic and highest > 0:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.set_title("Loss of each epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if within:
        axes.legend(fontsize="small")
    else:
        figure.legend(fontsize="small", loc="outside lower center")
    image = io.BytesIO()
    figure.savefig(image, format=format_, dpi=_DOTS_PER_INCH)
    return image.getvalue()
