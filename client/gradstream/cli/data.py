"""`gradstream data`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.client import Client
    from gradstream.dataset import Dataset


@click.group()
def data() -> None:
    """Upload tables to train on, and list, show and delete those there are.

    A data set is named by a digest; its first characters, at least 6, will do.
    """


@data.command(short_help="Upload tables; what the server has already is not sent again.")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Upload a single file under this name; - for FILE needs one.")
@options.plain_option
@options.table_format_option
@options.server_option
def put(*, files: tuple[str, ...], name: str | None, plain: bool, format_: str, server: str | None) -> None:
    """Upload tables: CSV, TSV, Parquet, Arrow IPC and NumPy files, as their names say.

    What the server has already is not sent again, and an upload that broke off goes on where it was. Where
    one file cannot be read the others are uploaded, and the exit code is that of the first that could not.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.data_report import head_lines, schema_lines
    from gradstream.cli.failures import exit_code, explanation
    from gradstream.cli.json_view import json_line
    from gradstream.errors import GradstreamError, InvalidArgumentError

    if (name or "-" in files) and (len(files) > 1 or not name):
        raise click.UsageError("--name is for a single FILE, and - needs one" if name else "- needs a --name")
    first: GradstreamError | None = None
    with open_client(server) as client:
        for file in files:
            try:
                dataset, was_sent = _upload(client, file, name, plain)
            except InvalidArgumentError as error:
                click.echo(explanation(error).replace("Error: ", f"Error: {file}: ", 1), err=True)
                first = first or error
                continue
            if format_ == "json":
                click.echo(json_line(dataset, sent=was_sent))
                continue
            for line in head_lines(dataset, "" if was_sent else "already there: no bytes sent"):
                click.echo(line)
            for line in schema_lines(dataset):
                click.echo(line)
    if first is not None:
        raise SystemExit(exit_code(first))


def _upload(client: Client, file: str, name: str | None, plain: bool) -> tuple[Dataset, bool]:
    """The data set, and whether anything had to be sent for it."""
    import sys
    from pathlib import Path

    from gradstream.cli.transfer import transfer

    with transfer(name or Path(file).name, plain=plain) as progress:
        try:
            source = sys.stdin.buffer if file == "-" else file
            return client.upload(source, name=name, on_progress=progress.show), progress.is_begun
        except KeyboardInterrupt:
            if progress.is_begun:
                click.echo("What was sent is kept for some hours; put the file again to go on.", err=True)
            raise


@data.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many.")
@options.table_format_option
@options.server_option
def ls(*, limit: int, format_: str, server: str | None) -> None:
    """List data sets, newest first. With JSON: one object a line."""
    from itertools import islice

    from gradstream.cli.connection import open_client
    from gradstream.cli.data_report import SHORT, size
    from gradstream.cli.json_view import json_line
    from gradstream.cli.report import aligned

    with open_client(server) as client:
        found = list(islice(client.datasets(), limit + 1))
    if format_ == "json":
        for each in found[:limit]:
            click.echo(json_line(each))
        return
    if not found:
        click.echo("no data sets", err=True)
        return
    rows = [
        [
            each.digest[:SHORT],
            each.name,
            f"{each.rows:,}",
            f"{len(each.columns):,}",
            size(each.size_bytes),
            f"{each.create_time.astimezone():%Y-%m-%d %H:%M:%S}",
        ]
        for each in found[:limit]
    ]
    for line in aligned([["DATA SET", "NAME", "ROWS", "COLUMNS", "SIZE", "UPLOADED"], *rows], indent=""):
        click.echo(line)
    if len(found) > limit:
        click.echo(f"these are the newest {limit}; --limit shows more", err=True)


@data.command()
@click.argument("digest")
@options.table_format_option
@options.server_option
def show(*, digest: str, format_: str, server: str | None) -> None:
    """Show a data set and what is known of its columns."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.data_report import head_lines, schema_lines
    from gradstream.cli.json_view import json_line

    with open_client(server) as client:
        found = client.dataset(digest)
    if format_ == "json":
        click.echo(json_line(found))
        return
    for line in head_lines(found) + schema_lines(found):
        click.echo(line)


@data.command()
@click.argument("digests", metavar="DIGEST...", nargs=-1, required=True)
@options.table_format_option
@options.server_option
def rm(*, digests: tuple[str, ...], format_: str, server: str | None) -> None:
    """Delete data sets, for good. Jobs that have ended keep their results, but cannot be trained again.

    Where one cannot be deleted the others are, and the exit code is that of the first that could not.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.failures import exit_code, explanation
    from gradstream.cli.json_view import json_line
    from gradstream.errors import FailedPreconditionError, GradstreamError, NotFoundError

    first: GradstreamError | None = None
    with open_client(server) as client:
        for digest in digests:
            try:
                client.delete_dataset(digest)
            except (FailedPreconditionError, NotFoundError) as error:
                click.echo(explanation(error), err=True)
                first = first or error
            else:
                done = f"data set {digest} is deleted"
                click.echo(json_line({"deleted": digest}) if format_ == "json" else done)
    if first is not None:
        raise SystemExit(exit_code(first))
