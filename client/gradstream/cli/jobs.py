"""`gradstream jobs`"""

from __future__ import annotations

import click

from gradstream.cli import options

_STATES = ["queued", "running", "paused", "cancelling", "succeeded", "failed", "cancelled"]


@click.command()
@click.option("--state", "states", type=click.Choice(_STATES, case_sensitive=False), multiple=True,
              help="Only jobs in this state. Repeatable.")  # fmt: skip
@click.option(
    "--group", default="", metavar="NAME", help="Only jobs of this group, such as those of a sweep."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many.")
@options.table_format_option
@options.server_option
def jobs(*, states: tuple[str, ...], group: str, limit: int, format_: str, server: str | None) -> None:
    """List jobs, newest first. With JSON: one object a line."""
    from itertools import islice

    from gradstream.cli.connection import open_client
    from gradstream.cli.json_view import json_line
    from gradstream.cli.report import aligned

    with open_client(server) as client:
        found = list(islice(client.jobs(states, group=group), limit + 1))
    shown = found[:limit]
    if format_ == "json":
        for job in shown:
            click.echo(json_line(job))
        return
    prioritized = any(job.priority for job in shown)
    rows = [
        [
            job.id,
            job.state.lower() + (f", {job.jobs_ahead} ahead" if job.jobs_ahead else ""),
            *([str(job.priority)] if prioritized else []),
            job.spec.trainer,
            job.spec.device,
            f"{job.epochs_done:,}/{job.spec.epochs:,}",
            "-" if job.last_loss is None else f"{job.last_loss:.6g}",
            f"{job.create_time.astimezone():%Y-%m-%d %H:%M:%S}",
        ]
        for job in shown
    ]
    if not rows:
        of = f" of group {group}" if group else ""
        click.echo(f"no jobs{of}" + (f" that are {' or '.join(states)}" if states else ""), err=True)
        return
    priority = ["PRIORITY"] if prioritized else []
    heading = ["JOB", "STATE", *priority, "TRAINER", "DEVICE", "EPOCHS", "LOSS", "CREATED"]
    for line in aligned([heading, *rows], indent=""):
        click.echo(line)
    if len(found) > limit:
        click.echo(f"these are the newest {limit}; --limit shows more", err=True)
