"""`gradstream compare`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from gradstream.cli import options
from gradstream.cli.failures import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradstream.cli.comparison import Comparison
    from gradstream.cli.data_choice import DataChoice
    from gradstream.cli.values import Start
    from gradstream.gradients import GradientCheck
    from gradstream.spec import SpecOptions

_ROWS = 8
_CHART_HEIGHT = 6
_MOST_ROWS = 20
_LOOK_S = 5.0
_NEWEST = 100


@click.command()
@options.data_options
@options.spec_options
@options.table_format_option
@options.server_option
def compare(
    *,
    choice: DataChoice,
    initial: dict[str, Start],
    format_: str,
    server: str | None,
    **spec: Unpack[SpecOptions],
) -> None:
    """Train with every trainer and compare them.

    They get the same data, start and gradient. Unless options say otherwise: zeros, the mean, an intercept,
    100 epochs and float64, so that what differs is only how each obtains the gradient. Each is a job of its
    own, one after the other; Ctrl-C leaves the one that runs, and names it. Trainers that do not do the model
    are left out, and named.

    First the gradients at the start are compared, on at most 1000 rows, with each other and with finite
    differences of the loss. Their differences are relative to the largest element of the gradient.
    """
    from gradstream.cli.comparison import compare_trainers
    from gradstream.cli.comparison_progress import comparison_progress
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.request import build_request

    request_ids: list[str] = []
    try:
        with open_client(server) as client:
            request = build_request(client, choice, initial, spec)
            with comparison_progress() as progress:
                comparison = compare_trainers(client, request, request_ids, progress)
    except KeyboardInterrupt as interrupt:
        click.echo("\nInterrupted; nothing is compared.", err=True)
        _tell_jobs(server, request_ids)
        raise SystemExit(INTERRUPTED) from interrupt
    if format_ == "json":
        click.echo(json_line(comparison))
    else:
        _print(comparison)


def _tell_jobs(server: str | None, request_ids: list[str]) -> None:
    """Name the jobs that a comparison has started; it may not have come to know the last one itself."""
    from itertools import islice

    from gradstream.cli.follow import command_for, tell_left
    from gradstream.client import Client
    from gradstream.errors import GradstreamError

    try:
        with Client(server, timeout_s=_LOOK_S) as client:
            newest = list(islice(client.jobs(), _NEWEST))
    except GradstreamError as error:
        click.echo(f"Its jobs cannot be told ({error.message}); `gradstream jobs` lists them", err=True)
        return
    for job in newest:
        if job.request_id in request_ids and not job.state.final:
            tell_left(job.id)
        elif job.request_id in request_ids:
            click.echo(f"Job {job.id} has ended: {command_for('show', job.id)}", err=True)


def _print(comparison: Comparison) -> None:
    import shutil

    import numpy as np

    from gradstream.cli.chart import draw
    from gradstream.cli.comparison import common_epochs
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
    shown = np.unique(np.linspace(0, common_epochs(runs) - 1, _ROWS).astype(int))
    rows = [["loss of epoch", *(run.trainer for run in runs)]]
    rows += [[f"{runs[0].epochs[i]:,}", *(f"{run.losses[i]:.9g}" for run in runs)] for i in shown]
    rows += _result_rows(comparison)
    rows.append(["time", *(duration(run.result.training_seconds) for run in runs)])
    rows.append(["job", *(run.job for run in runs)])
    for text in aligned(rows, indent=""):
        click.echo(text)
    click.echo()
    for text in aligned(list(_gradient_rows(comparison.gradients)), indent=""):
        click.echo(text)
    click.echo()
    for trainer, reason in comparison.gradients.left_out.items():
        click.echo(f"left out: {trainer}; {reason}")
    if len(runs) == 1:
        click.echo(f"Only {runs[0].trainer} does it: there is no other to compare it with.")
        return
    click.echo(
        f"largest difference between their parameters at the end:  {comparison.parameter_difference:.3g}"
    )
    click.echo(f"largest difference between their losses:                 {comparison.loss_difference:.3g}")


def _gradient_rows(gradients: GradientCheck) -> Iterator[list[str]]:
    """A row for each parameter: its name, and how far apart its gradients are."""
    from gradstream.cli.report import counted

    several = len(gradients.trainers) > 1
    head = [f"gradients at the start, {counted(gradients.rows, 'row')}"]
    yield [*head, *(["between trainers"] if several else []), "from finite differences"]
    shown = list(gradients.parameters.items())[:_MOST_ROWS]
    for name, each in shown:
        between = [f"{each.difference:.3g}"] if several else []
        yield [name, *between, f"{max(each.finite_difference_errors.values()):.3g}"]
    if left := len(gradients.parameters) - len(shown):
        between = [f"{gradients.difference:.3g}"] if several else []
        yield [f"... {left} more; the largest of all", *between, f"{gradients.finite_difference_error:.3g}"]


def _result_rows(comparison: Comparison) -> list[list[str]]:
    """A row for each final parameter and for each prediction, a column for each trainer."""
    from gradstream.cli.report import predictions_by_name, values_by_name

    spec = comparison.started.spec
    results = [run.result for run in comparison.runs]
    parameters = [values_by_name(result, spec) for result in results]
    rows = [[name, *(f"{each[name]:.9g}" for each in parameters)] for name in parameters[0]][:_MOST_ROWS]
    if len(parameters[0]) > _MOST_ROWS:
        rows.append([f"... {len(parameters[0]) - _MOST_ROWS} more", *[""] * len(results)])
    predictions = [predictions_by_name(result, spec) for result in results]
    rows += [[name, *(f"{each[name]:.9g}" for each in predictions)] for name in predictions[0]]
    return rows


options.with_defaults(
    compare,
    epochs="100",
    gradient_reduction="mean",
    intercept="yes",
    dtype="float64",
    initial="zeros",
)
