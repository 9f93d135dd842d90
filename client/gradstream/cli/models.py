"""`gradstream models`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.option("--name", default="", metavar="NAME", help="Only the versions of this model.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many.")
@options.table_format_option
@options.server_option
def models(*, name: str, limit: int, format_: str, server: str | None) -> None:
    """List models, newest first. With JSON: one object a line."""
    from itertools import islice

    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.report import aligned

    with open_client(server) as client:
        found = list(islice(client.models(name), limit + 1))
    shown = found[:limit]
    if format_ == "json":
        for model in shown:
            click.echo(json_line(model))
        return
    if not shown:
        click.echo(f"no models named {name}" if name else "no models", err=True)
        return
    validated = any("validation_loss" in model.metrics for model in shown)
    # Newest first, so each name begins with its latest.
    latest = {model.name: model for model in reversed(shown)}.values()
    rows = [
        [
            model.name,
            f"latest {model.version}" if model in latest else str(model.version),
            model.spec.parts["model"].name,
            model.spec.trainer,
            f"{model.epochs:,}/{model.spec.epochs:,}",
            *(_loss(model.metrics.get(each)) for each in _losses(validated)),
            f"{model.create_time.astimezone():%Y-%m-%d %H:%M:%S}",
            model.job,
        ]
        for model in shown
    ]
    losses = ["LOSS", "VALIDATION"][: 1 + validated]
    for line in aligned(
        [["NAME", "VERSION", "MODEL", "TRAINER", "EPOCHS", *losses, "CREATED", "JOB"], *rows], indent=""
    ):
        click.echo(line)
    if len(found) > limit:
        click.echo(f"these are the newest {limit}; --limit shows more", err=True)


def _losses(validated: bool) -> list[str]:
    return ["final_loss", "validation_loss"][: 1 + validated]


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
