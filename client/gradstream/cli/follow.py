"""Watching a run from the command line to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import click
from click.core import ParameterSource

from gradstream.cli.connection import current_connection
from gradstream.cli.failures import INTERRUPTED
from gradstream.cli.view import View
from gradstream.run import Run


@contextmanager
def resumable(request_id: str | None) -> Iterator[str]:
    """The request id to start a job with. When interrupted, tells how to come back to what may have begun."""
    request_id = request_id or str(uuid4())
    try:
        yield request_id
    except KeyboardInterrupt as interrupt:
        click.echo("\nInterrupted before the server answered. The job may have been started:", err=True)
        click.echo(f"  the same command with --request-id {request_id} comes back to it", err=True)
        raise SystemExit(INTERRUPTED) from interrupt


def command_for(name: str, job: str) -> str:
    """The command that does something with a job, for people to copy."""
    context = click.get_current_context()
    server = context.params.get("server")
    named = context.get_parameter_source("server") is ParameterSource.COMMANDLINE
    return f"gradstream {name} {job}" + (f" --server {server}" if named else "")


def tell_left(job: str) -> None:
    """Say that a job goes on, and how to come back to it or to stop it."""
    click.echo(f"Left job {job}, which goes on.", err=True)
    click.echo(f"  watch it again: {command_for('watch', job)}", err=True)
    click.echo(f"  stop it:        {command_for('cancel', job)}", err=True)


def follow(run: Run, view: View) -> None:
    """Show a run until its end; Ctrl-C leaves the job to itself.

    Raises JobEndedError for a job without a result.
    """
    connection = current_connection()
    try:
        with view:
            connection.view = view
            for event in run.events():
                connection.works()
                view.show(event)
        result = run.result()
    except KeyboardInterrupt as interrupt:
        click.echo(err=True)
        tell_left(run.job)
        raise SystemExit(INTERRUPTED) from interrupt
    if len(run.losses) and result.final_loss > run.losses[0]:
        click.echo("The loss has grown: try a smaller --learning-rate, or --standardize.", err=True)
