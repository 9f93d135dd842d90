"""`gradstream resume`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.argument("job")
@options.table_format_option
@options.server_option
def resume(*, job: str, format_: str, server: str | None) -> None:
    """Let a paused job go on where it was. It queues behind those that wait already.

    A job that is queued or running already is left as it is; one that has ended, or is being cancelled,
    cannot be resumed.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for
    from gradstream.cli.json_view import json_line
    from gradstream.job import JobState

    with open_client(server) as client:
        was = client.get(job).state
        asked = client.resume(job)
    if format_ == "json":
        click.echo(json_line(asked))
        return
    ahead = f", {asked.jobs_ahead} ahead" if asked.jobs_ahead else ""
    not_paused = "" if was is JobState.PAUSED else "was not paused: it "
    click.echo(f"job {asked.id} {not_paused}is {asked.state.lower()}{ahead}")
    click.echo(f"watch it: {command_for('watch', job)}", err=True)
