"""`gradstream pause`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.argument("job")
@options.table_format_option
@options.server_option
def pause(*, job: str, format_: str, server: str | None) -> None:
    """Put a job aside, with a checkpoint, so that its worker is free for others.

    It waits until the job is paused. Asking again changes nothing. `gradstream resume JOB` lets it go on.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for
    from gradstream.cli.json_view import json_line

    with open_client(server) as client:
        asked = client.pause(job)
    if format_ == "json":
        click.echo(json_line(asked))
        return
    click.echo(
        f"job {asked.id} is {asked.state.lower()} after {asked.epochs_done:,} of {asked.spec.epochs:,} epochs"
    )
    click.echo(f"let it go on: {command_for('resume', job)}", err=True)
