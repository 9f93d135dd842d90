"""`gradstream predict`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.model import Model

Value = float | str


@click.command(context_settings={"ignore_unknown_options": True})  # -1,2 is a row
@click.argument("name", metavar="NAME[:VERSION]")
@click.argument("rows", metavar="ROW...", nargs=-1, required=True)
@options.table_format_option
@options.server_option
def predict(*, name: str, rows: tuple[str, ...], format_: str, server: str | None) -> None:
    """Ask a model on the server for predictions, and print a line for each row.

    A ROW has the values of the columns that the model has learnt from, in order, such as 0,10,2 or
    100,3,Kiel; or by name, such as area=100,city=Kiel. Of a model of classes the most probable one is
    printed, and the probabilities behind it. With JSON: one object a line.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.model_name import name_and_version

    asked = [_row(text) for text in rows]
    with open_client(server) as client:
        model = client.model(*name_and_version(name))
        answers = [_ask(model, row) for row in asked]
    for predictions, kind in answers:
        if format_ == "json":
            answer: dict[str, Any] = {"predictions": predictions} | ({} if kind is None else {"class": kind})
            click.echo(json_line(answer))
        else:
            numbers = " ".join(f"{value:.6g}" for value in predictions)
            click.echo(numbers if kind is None else f"{kind} {numbers}")


def _ask(model: Model, row: list[Value] | dict[str, Value]) -> tuple[list[float], Any]:
    """The predictions for a row, and the class where there are some."""
    predictions = model.predict(row)[0].tolist()
    return predictions, model.classify(row)[0].item() if model.spec.classes else None


def _row(text: str) -> list[Value] | dict[str, Value]:
    """The values of a row, in order or by name."""
    if text.startswith("--"):
        raise click.UsageError(f"there is no option {text}")
    values = [value.strip() for value in text.split(",")]
    if not all("=" in value for value in values):
        return [_value(value) for value in values]
    pairs = [value.split("=", 1) for value in values]
    return {name.strip(): _value(value.strip()) for name, value in pairs}


def _value(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text
