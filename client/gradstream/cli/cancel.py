"""`gradstream cancel`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.argument("job")
@options.table_format_option
@options.server_option
def cancel(*, job: str, format_: str, server: str | None) -> None:
    """Ask a job to stop. Its curve so far is kept. Asking again changes nothing."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line

    with open_client(server) as client:
        asked = client.cancel(job)
    click.echo(json_line(asked) if format_ == "json" else f"job {asked.id} is {asked.state.lower()}")
