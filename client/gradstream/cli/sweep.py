"""`gradstream sweep`"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack, cast

import click
from click.core import ParameterSource

from gradstream.cli import options
from gradstream.cli.failures import INTERRUPTED, JOB_ENDED

if TYPE_CHECKING:
    from gradstream.cli.data_choice import DataChoice
    from gradstream.cli.values import Start
    from gradstream.space import Space
    from gradstream.spec import SpecOptions
    from gradstream.sweep import Sweep

_WORDS = "gradstream.sweep.words"


def _variations(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> Space:
    from gradstream.cli.variation import variations

    return variations(context, option, texts)


class _Command(click.Command):
    """A command that remembers its words, to tell how to go on with it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_Command)
@click.option("--vary", "vary", metavar="NAME=VALUES", callback=_variations, multiple=True, required=True,
              help="An option of a run and its values, separated by commas; or what it is drawn from with "
                   "--random: log:LOW:HIGH or uniform:LOW:HIGH. Repeatable.")  # fmt: skip
@click.option("--random", "draws", type=click.IntRange(min=1), metavar="N",
              help="Draw N runs, by --seed.  [default: every combination of the values]")  # fmt: skip
@click.option("--search", type=click.Choice(["random", "optuna"]), default="random", show_default=True,
              help="How the runs of --random are drawn: whatever has come of others, or by Optuna, which "
                   "learns from it.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(min=1), metavar="N",
              help="Jobs that may be there at a time.  [default: the workers of the server]")  # fmt: skip
@click.option("--group", default="", metavar="NAME",
              help="Name of the sweep. One that is there already is gone on with, and nothing is trained "
                   "twice.  [default: a new one]")  # fmt: skip
@click.option("--cancel-on-interrupt", is_flag=True, help="Cancel the jobs that are left on Ctrl-C.")
@click.option("--trainer", default="manual", show_default=True, metavar="NAME",
              help="How the gradient is obtained: manual, autograd or module.")  # fmt: skip
@options.spec_file_option
@options.data_options
@options.spec_options
@click.option("--from", "start", metavar="JOB",
              help="Start each run from the parameters that this job has ended with, or had reached when it "
                   "was cancelled or failed. --init goes over it.")  # fmt: skip
@click.option("--priority", type=int, default=0, show_default=True, metavar="N",
              help="Jobs with a higher one run first: from -100 to 100.")  # fmt: skip
@options.plain_option
@options.table_format_option
@options.patience_option
@options.server_option
def sweep(
    *,
    vary: Space,
    draws: int | None,
    search: str,
    at_once: int | None,
    group: str,
    cancel_on_interrupt: bool,
    choice: DataChoice,
    initial: dict[str, Start],
    start: str | None,
    priority: int,
    plain: bool,
    format_: str,
    patience_s: float,
    server: str | None,
    **spec: Unpack[SpecOptions],
) -> None:
    """Train with many values of some options, and find the run with the lowest loss.

    With validation it is that of the validation rows.

    \b
      gradstream sweep --data houses.csv --target price --vary learning_rate=0.01,0.1 --vary batch_size=64,256
      gradstream sweep --vary learning_rate=log:1e-4:1e-1 --vary l2=uniform:0:1 --random 20 --seed 7

    Each run is a job. One that fails counts as the worst. Ctrl-C leaves the jobs that are there, and starts
    no more; the same command with --group NAME goes on. With JSON: one object for each run that has ended.
    """
    from gradstream.cli.connection import current_connection, open_client
    from gradstream.cli.request import build_request
    from gradstream.cli.sweep_view import choose_sweep_view
    from gradstream.cli.warm_start import WarmStart

    _check_given_once(vary)
    if search == "optuna" and draws is None:
        raise click.UsageError("--search optuna draws runs: say how many with --random N")
    if options.overrides("start", "initial"):
        initial = {}
    with open_client(server, patience_s) as client:
        warm = WarmStart(client, start, initial)
        request = build_request(client, choice, initial, spec, plain=plain)
        warm.add_to(request)
        fixed = {name: value for name, value in request.items() if value is not None and name not in vary}
        with _usage_errors():
            runs = client.sweep(
                vary,
                draws=draws,
                search="optuna" if search == "optuna" else "random",
                at_once=at_once,
                group=group,
                priority=priority,
                **cast("SpecOptions", fixed),
            )
        if search == "optuna":
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of itself
        if format_ != "json":
            click.echo(f"sweep {runs.group}: {runs.total} runs", err=True)
        with (
            warm.named(),
            _told_when_left(runs, cancel=cancel_on_interrupt),
            choose_sweep_view(runs, format_=format_, plain=plain) as view,
        ):
            for run in runs:
                current_connection().works()
                view.show(run)
        _tell_best(runs, request, as_json=format_ == "json")


def _check_given_once(vary: Space) -> None:
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in vary and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} is given, and varied by --vary too")


@contextmanager
def _usage_errors() -> Iterator[None]:
    from gradstream.cli.fields import with_options

    try:
        yield
    except ValueError as error:
        text = str(error).replace(
            "so say how many draws there are to be", "so say how many runs with --random N"
        )
        raise click.UsageError(f"--vary: {with_options(text)}") from error
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _told_when_left(runs: Sweep, *, cancel: bool) -> Iterator[None]:
    """Say how to go on with a sweep that ends before its time."""
    from gradstream.errors import GradstreamError

    try:
        yield
    except KeyboardInterrupt as interrupt:
        live = sum(not run.ended for run in runs.runs)
        click.echo("\nInterrupted.", err=True)
        if cancel:
            runs.cancel()
        _tell_left(runs, f"{live} of its jobs {'are cancelled' if cancel else 'go on'}" if live else "")
        raise SystemExit(INTERRUPTED) from interrupt
    except GradstreamError:
        if runs.runs:
            _tell_left(runs, "its jobs are kept")
        raise


def _tell_left(runs: Sweep, becomes: str) -> None:
    context = click.get_current_context()
    words = ["gradstream", "sweep", *context.meta[_WORDS]]
    if context.get_parameter_source("group") is not ParameterSource.COMMANDLINE:
        words += ["--group", runs.group]
    click.echo(f"Left sweep {runs.group}" + (f"; {becomes}." if becomes else "."), err=True)
    click.echo(f"  go on with it: {shlex.join(words)}", err=True)
    click.echo(f"  its jobs:      gradstream jobs --group {runs.group}", err=True)


def _tell_best(runs: Sweep, request: SpecOptions, *, as_json: bool) -> None:
    """Name the best run, and how to come back to it; exit with 1 when there is none."""
    from gradstream.cli.data_report import SHORT
    from gradstream.cli.follow import command_for
    from gradstream.cli.sweep_report import options_text, outcome, train_command
    from gradstream.dataset import Dataset

    best = runs.best
    if best is None or best.job is None:
        click.echo(f"None of the {len(runs.runs)} runs of sweep {runs.group} has a result.", err=True)
        raise SystemExit(JOB_ENDED)
    if as_json:
        return
    dataset = request.get("dataset", "")
    words = click.get_current_context().meta[_WORDS]
    digest = dataset.digest if isinstance(dataset, Dataset) else dataset
    click.echo(f"best: run {best.number}, {options_text(best.options)}: {outcome(best)}")
    click.echo(f"  show it:        {command_for('show', best.job.id)}")
    click.echo(f"  watch it again: {command_for('watch', best.job.id)}")
    click.echo(f"  train it again: {train_command(best, words, digest[:SHORT])}")
