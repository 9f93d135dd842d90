"""`gradstream delete`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@options.table_format_option
@options.server_option
def delete(*, jobs: tuple[str, ...], format_: str, server: str | None) -> None:
    """Delete jobs that have ended, with their logs and all that is kept for them, for good.

    Where one cannot be deleted the others are, and the exit code is that of the first that could not.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.failures import exit_code, explanation
    from gradstream.cli.json_view import json_line
    from gradstream.errors import FailedPreconditionError, GradstreamError, NotFoundError

    first: GradstreamError | None = None
    with open_client(server) as client:
        for job in jobs:
            try:
                client.delete(job)
            except (FailedPreconditionError, NotFoundError) as error:
                click.echo(explanation(error), err=True)
                first = first or error
            else:
                click.echo(json_line({"deleted": job}) if format_ == "json" else f"job {job} is deleted")
    if first is not None:
        raise SystemExit(exit_code(first))
