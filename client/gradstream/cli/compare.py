"""`gradstream compare`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.cli.comparison import Comparison
    from gradstream.cli.values import Start
    from gradstream.spec import SpecOptions

_ROWS = 8
_CHART_HEIGHT = 6


@click.command()
@options.data_options
@options.spec_options
@options.table_format_option
@options.server_option
def compare(
    *,
    data: str | None,
    targets: tuple[str, ...],
    predict: tuple[tuple[float, ...], ...],
    initial: dict[str, Start],
    format_: str,
    server: str | None,
    **spec: Unpack[SpecOptions],
) -> None:
    """Train with every trainer and compare them.

    They get the same data, start and gradient. Unless options say otherwise: zeros, the mean, an intercept,
    100 epochs and float64, so that what differs is only how each obtains the gradient.
    """
    from gradstream.cli.comparison import compare_trainers
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.request import build_request

    request = build_request(data, targets, predict, initial, spec)
    with open_client(server) as client:
        comparison = compare_trainers(client, request)
    if format_ == "json":
        click.echo(json_line(comparison))
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    import shutil

    import numpy as np

    from gradstream.cli.chart import draw
    from gradstream.cli.report import aligned, counted, duration

    spec, runs = comparison.started.spec, comparison.runs
    click.echo(
        f"{counted(comparison.started.rows, 'row')}, {counted(comparison.started.features, 'feature')}, "
        f"{counted(spec.epochs, 'epoch')}, "
        f"learning rate {spec.learning_rate:g}, gradient of the {spec.gradient_reduction}, {spec.dtype}"
    )
    click.echo()
    width = (min(shutil.get_terminal_size().columns, 120) - 2 * (len(runs) - 1)) // len(runs)
    charts = [draw(run.losses, width, _CHART_HEIGHT) for run in runs]
    click.echo("  ".join(f"{run.trainer:<{width}}" for run in runs).rstrip())
    for line in zip(*(chart.lines for chart in charts), strict=True):
        click.echo("  ".join(line))
    edges = [" to ".join(chart.edges) for chart in charts]
    scales = [", log scale" if chart.logarithmic else "" for chart in charts]
    click.echo("  ".join(f"{e + s:<{width}}" for e, s in zip(edges, scales, strict=True)).rstrip())
    click.echo()
    shown = np.unique(np.linspace(0, len(runs[0].epochs) - 1, _ROWS).astype(int))
    rows = [["loss of epoch", *(run.trainer for run in runs)]]
    rows += [[f"{runs[0].epochs[i]:,}", *(f"{run.losses[i]:.9g}" for run in runs)] for i in shown]
    rows.append(["time", *(duration(run.result.training_seconds) for run in runs)])
    rows.append(["job", *(run.job for run in runs)])
    for text in aligned(rows, indent=""):
        click.echo(text)
    click.echo()
    click.echo(
        f"largest difference between their gradients at the start:  {comparison.gradient_difference:.3g}"
    )
    click.echo(
        f"largest difference between their parameters at the end:   {comparison.parameter_difference:.3g}"
    )
    click.echo(f"largest difference between their losses:                  {comparison.loss_difference:.3g}")
