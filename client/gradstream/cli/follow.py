"""Watching a run from the command line to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import click
from click.core import ParameterSource

from gradstream.channel import SERVER_LOST
from gradstream.cli.connection import current_connection
from gradstream.cli.failures import INTERRUPTED
from gradstream.cli.view import View
from gradstream.errors import UnavailableError
from gradstream.job import JobState
from gradstream.run import Run


@contextmanager
def resumable(request_id: str | None) -> Iterator[str]:
    """The request id to start a job with. Without an answer, tells how to come back to it."""
    request_id = request_id or str(uuid4())
    try:
        yield request_id
    except KeyboardInterrupt as interrupt:
        click.echo("\nInterrupted before the server answered.", err=True)
        _tell_may_have_begun(request_id)
        raise SystemExit(INTERRUPTED) from interrupt
    except UnavailableError as error:
        if error.reason in ("", SERVER_LOST):  # the others are said before a job is taken
            _tell_may_have_begun(request_id)
        raise


def _tell_may_have_begun(request_id: str) -> None:
    click.echo("The job may have been started:", err=True)
    click.echo(f"  the same command with --request-id {request_id} comes back to it", err=True)


def command_for(name: str, job: str) -> str:
    """The command that does something with a job, for people to copy."""
    context = click.get_current_context()
    server = context.params.get("server")
    named = context.get_parameter_source("server") is ParameterSource.COMMANDLINE
    return f"gradstream {name} {job}" + (f" --server {server}" if named else "")


def tell_left(job: str, becomes: str = "goes on") -> None:
    """Say what becomes of a job, and how to come back to it or to stop it."""
    click.echo(f"Left job {job}, which {becomes}.", err=True)
    click.echo(f"  watch it again: {command_for('watch', job)}", err=True)
    click.echo(f"  stop it:        {command_for('cancel', job)}", err=True)


def follow(run: Run, view: View, *, needs_watcher: bool = False) -> None:
    """Show a run until its end; Ctrl-C leaves the job to itself.

    needs_watcher: whether the job is cancelled when nobody watches it. Raises JobEndedError for a job without
    a result.
    """
    connection = current_connection()
    try:
        with view:
            connection.view = view
            for event in run.events(heartbeats=True):
                connection.works()
                view.show(event)
        result = run.result()
    except KeyboardInterrupt as interrupt:
        click.echo(err=True)
        tell_left(run.job, _what_becomes(run, connection.is_lost, needs_watcher))
        if run.state is JobState.PAUSED:
            click.echo(f"  let it go on:   {command_for('resume', run.job)}", err=True)
        raise SystemExit(INTERRUPTED) from interrupt
    except UnavailableError:
        click.echo(
            f"Job {run.job} is kept. Once its server is back: {command_for('watch', run.job)}", err=True
        )
        raise
    if len(run.losses) and result.final_loss > run.losses[0]:
        click.echo("The loss has grown: try a smaller --learning-rate, or --standardize.", err=True)


def _what_becomes(run: Run, is_lost: bool, needs_watcher: bool) -> str:
    """What becomes of a job that is left."""
    if needs_watcher:
        return "is cancelled unless it is soon watched again"
    if run.state is JobState.PAUSED:
        return "is paused"
    return "goes on once its server is back" if is_lost else "goes on"
