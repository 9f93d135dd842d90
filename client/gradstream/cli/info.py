"""`gradstream info`"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.server_info import PartInfo


@click.command()
@click.option(
    "--parts", is_flag=True, help="Show what can be chosen by name: optimizers, schedules and so on."
)
@options.table_format_option
@options.server_option
def info(*, parts: bool, format_: str, server: str | None) -> None:
    """Show what a server is: its version, devices, trainers and limits."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line

    with open_client(server) as client:
        found, address = client.server_info(), client.server
    if format_ == "json":
        click.echo(json_line(found, server=address))
        return
    if parts:
        click.echo("\n".join(_part_lines(found.parts)))
        return
    limits = found.limits
    rows = [("server", f"gradstream {found.version} at {address}")]
    rows += [("device", f"{each.name:<10}{each.description}") for each in found.devices]
    rows += [("trainer", f"{each.name:<10}{each.description}") for each in found.trainers]
    for field in dict.fromkeys(part.field for part in found.parts):
        names = [part.name for part in found.parts if part.field == field]
        rows.append((field, ", ".join(names)))
    rows += [
        ("jobs", f"{found.running_jobs} running on {found.workers} workers, {found.queued_jobs} waiting"),
        ("epochs of a job", f"at most {limits.max_epochs:,}"),
        ("data of a job", f"at most {limits.max_data_bytes:,} bytes"),
        ("rows to predict", f"at most {limits.max_predict_bytes:,} bytes"),
        ("model", f"at most {limits.max_parameters:,} numbers"),
        ("request", f"at most {limits.max_message_bytes:,} bytes"),
        ("waiting jobs", f"at most {limits.max_queued_jobs:,}"),
        ("watches", f"at most {limits.max_watches:,}"),
        ("memory of a job", _at_most(limits.max_job_memory_bytes, "bytes")),
        ("time of a job", _at_most(limits.max_job_seconds, "s")),
        ("unwatched job", f"cancelled after {limits.disconnect_grace_seconds:g} s, where it asks for that"),
    ]
    width = max(len(name) for name, _ in rows)
    shown = ""
    for name, value in rows:
        click.echo(f"{name if name != shown else '':<{width}}  {value}".rstrip())
        shown = name


def _part_lines(parts: Sequence[PartInfo]) -> Iterator[str]:
    """Each part, who has it, the losses of a model, and the options with their defaults."""
    for part in parts:
        default = " (default)" if part.is_default else ""
        facts = [part.description, ", ".join(part.trainers)]
        facts += [f"losses {', '.join(part.losses)}"] * bool(part.losses)
        facts += [f"of {part.package}"] * bool(part.package)
        yield f"{part.field} {part.name}{default}: {'; '.join(facts)}"
        options = cast(dict[str, dict[str, Any]], part.options_schema.get("properties") or {})
        for name, schema in options.items():
            value = f" = {json.dumps(schema['default'])}" if "default" in schema else ""
            yield f"  {name}{value}  {schema.get('description', '')}"


def _at_most(limit: float, unit: str) -> str:
    return f"at most {limit:,g} {unit}" if limit else "no limit"
