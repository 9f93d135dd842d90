"""`gradstream model`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.client import Client
    from gradstream.model import Model, ModelFormat


@click.group()
def model() -> None:
    """Show, take away and delete models; `gradstream models` lists them.

    NAME means the latest version of a model, NAME:VERSION another. A model that nobody has named is called as
    its job.
    """


@model.command(short_help="Show all that is known of a model.")
@click.argument("name", metavar="NAME[:VERSION]")
@options.table_format_option
@options.server_option
def show(*, name: str, format_: str, server: str | None) -> None:
    """Show all that is known of a model: how it was trained, on what, and how well it did."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.model_report import model_rows
    from gradstream.cli.report import named_lines

    with open_client(server) as client:
        found = _find(client, name)
    if format_ == "json":
        click.echo(json_line(found))
        return
    for line in named_lines(model_rows(found)):
        click.echo(line)


@model.command(short_help="Write a model to a file: a bundle, an ONNX graph or parameters.")
@click.argument("name", metavar="NAME[:VERSION]")
@click.option("-o", "--output", metavar="FILE", default=".", type=click.Path(),
              help="Where to: a file whose ending says the format, or a folder.  "
                   "[default: here, as NAME-VERSION and the ending of the format]")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["bundle", "onnx", "state_dict"]),
              help="What to write.  [default: what the ending of FILE says, or a bundle]")  # fmt: skip
@options.server_option
def get(*, name: str, output: str, format_: ModelFormat | None, server: str | None) -> None:
    """Write a model to a file, and print its name.

    \b
      bundle      .zip          all that is needed to predict; `gradstream.load` reads it without torch
      onnx        .onnx         a graph for ONNX runtimes, with scaling and one-hot encoding in it
      state_dict  .safetensors  the parameters alone, by torch's names
    """
    from gradstream.cli.connection import open_client

    with open_client(server) as client:
        found = _find(client, name)
        try:
            click.echo(found.download(output, format_))
        except OSError as error:
            raise click.UsageError(f"cannot write {output}: {error.strerror}") from error


@model.command()
@click.argument("names", metavar="NAME[:VERSION]...", nargs=-1, required=True)
@click.option("--all-versions", is_flag=True, help="Delete each version of a NAME that is given without one.")
@options.table_format_option
@options.server_option
def rm(*, names: tuple[str, ...], all_versions: bool, format_: str, server: str | None) -> None:
    """Delete models, for good. The jobs that trained them stay.

    A NAME without a version has to have one only, unless --all-versions is given. Where one cannot be deleted
    the others are, and the exit code is that of the first that could not.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.failures import exit_code, explanation
    from gradstream.cli.json_view import json_line
    from gradstream.cli.model_name import name_and_version
    from gradstream.errors import GradstreamError, InvalidArgumentError, NotFoundError

    wanted = [name_and_version(name) for name in names]
    first: GradstreamError | None = None
    with open_client(server) as client:
        for name, version in wanted:
            try:
                if version is None and not all_versions:
                    version = _only_version(client, name)
                deleted = client.delete_model(name, version, all_versions=version is None)
            except (InvalidArgumentError, NotFoundError) as error:
                click.echo(explanation(error), err=True)
                first = first or error
                continue
            for each in deleted:
                done = f"model {name}:{each} is deleted"
                click.echo(json_line({"deleted": name, "version": each}) if format_ == "json" else done)
    if first is not None:
        raise SystemExit(exit_code(first))


def _find(client: Client, name: str) -> Model:
    from gradstream.cli.model_name import name_and_version

    return client.model(*name_and_version(name))


def _only_version(client: Client, name: str) -> int:
    """The version of a model that has one. Raises InvalidArgumentError for one that has more."""
    from gradstream.errors import InvalidArgumentError

    latest = client.model(name).version
    versions = [found.version for found in client.models(name)]
    if len(versions) > 1:
        which = f"name one, such as {name}:{latest}, or give --all-versions"
        raise InvalidArgumentError(f"model {name} has {len(versions)} versions: {which}")
    return latest
