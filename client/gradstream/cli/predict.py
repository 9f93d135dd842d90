"""`gradstream predict`"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.bundle.table import Rows
    from gradstream.model import Model


@click.command(context_settings={"ignore_unknown_options": True})  # -1,2 is a row
@click.argument("name", metavar="NAME[:VERSION]")
@click.argument("rows", metavar="[ROW]...", nargs=-1)
@click.option("--data", metavar="FILE",
              help="Predict the rows of this table: CSV or TSV, also with .gz behind; - for a CSV on stdin. "
                   "Columns that the model has not learnt from are left out.")  # fmt: skip
@options.table_format_option
@options.server_option
def predict(*, name: str, rows: tuple[str, ...], data: str | None, format_: str, server: str | None) -> None:
    """Ask a model on the server for predictions, and print a line for each row.

    A ROW has the values of the columns that the model has learnt from, in order, such as 0,10,2 or
    100,3,Kiel; or by name, such as area=100,city=Kiel. Of a model of classes the most probable one is
    printed, and the probabilities behind it. With JSON: one object a line.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.model_name import name_and_version
    from gradstream.cli.rows import of_file, typed

    if bool(rows) == (data is not None):
        raise click.UsageError("give one ROW or more, or a table with --data")
    for text in rows:
        if text.startswith("--"):
            raise click.UsageError(f"there is no option {text}")
    with open_client(server) as client:
        model = client.model(*name_and_version(name))
        columns = model.load().columns
        asked: list[Rows] = (
            [of_file(data, columns)] if data is not None else [typed(row, columns) for row in rows]
        )
        answers = [answer for each in asked for answer in _ask(model, each)]
    for predictions, kind in answers:
        if format_ == "json":
            told: dict[str, Any] = {"predictions": predictions} | ({} if kind is None else {"class": kind})
            click.echo(json_line(told))
        else:
            numbers = " ".join(f"{value:.6g}" for value in predictions)
            click.echo(numbers if kind is None else f"{kind} {numbers}")


def _ask(model: Model, rows: Rows) -> Iterator[tuple[list[float], Any]]:
    """The predictions for each row, and the class where there are some."""
    predictions = model.predict(rows).tolist()
    kinds = model.classify(rows).tolist() if model.spec.classes else [None] * len(predictions)
    yield from zip(predictions, kinds, strict=True)
