"""`gradstream health`"""

from __future__ import annotations

import click

from gradstream.cli import options
from gradstream.cli.failures import JOB_ENDED


@click.command()
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=5.0,
              show_default=True, metavar="SECONDS", help="How long to wait for an answer.")  # fmt: skip
@options.server_option
def health(*, timeout_s: float, server: str | None) -> None:
    """Ask whether a server takes work: exits with 0 if so, 1 if it is stopping, 3 if none is there."""
    from gradstream.cli.connection import settings_of_connection
    from gradstream.client import Client
    from gradstream.server_info import Health

    with Client(server, timeout_s=timeout_s, **settings_of_connection()) as client:
        answer = client.health()
    click.echo(answer)
    if answer is not Health.SERVING:
        raise SystemExit(JOB_ENDED)
