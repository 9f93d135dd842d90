"""`gradstream replay`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.replay import ReplayResult

_DIGITS = 12


@click.command()
@click.argument("job")
@click.option("--request-id", metavar="UUID", help="Repeat a request: the same id is the same new job.")
@options.plain_option
@options.every_option
@options.event_format_option
@options.patience_option
@options.server_option
def replay(
    *,
    job: str,
    request_id: str | None,
    plain: bool,
    every: int | None,
    format_: str,
    patience_s: float,
    server: str | None,
) -> None:
    """Train again what a job has trained, as a new job, and say whether it has come to the same.

    Parameters are the same when they are equal bit for bit, by their digest. Where they are not, it says what
    else differs, and exits with 7. On a CPU, with the same versions and as many threads, they are the same.
    Only a job that has succeeded can be replayed: with another there is nothing to compare.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.failures import DIFFERENT
    from gradstream.cli.follow import command_for, follow, resumable
    from gradstream.cli.json_view import json_line
    from gradstream.cli.view import choose_view

    with open_client(server, patience_s) as client:
        with resumable(request_id) as made:
            again = client.replay(job, request_id=made)
        run = again.run
        view = choose_view(
            run,
            None,
            replayed=0,
            format_=format_,
            plain=plain,
            every=every,
            again=command_for("watch", run.job),
            resume=command_for("resume", run.job),
        )
        follow(run, view)
        result = again.result()
    if format_ == "json":
        click.echo(json_line(result, event="replay", same=result.same))
    else:
        click.echo("\n".join(_said(job, result)))
    if not result.same:
        raise SystemExit(DIFFERENT)


def _said(job: str, result: ReplayResult) -> list[str]:
    digest = result.replayed.parameter_digest[:_DIGITS]
    if result.same:
        return [f"the parameters are the same as those of job {job}, bit for bit: digest {digest}"]
    first = result.original.parameter_digest[:_DIGITS]
    lines = [f"the parameters are not the same as those of job {job}: digest {digest} instead of {first}"]
    if not result.differences:
        return [
            *lines,
            "nothing else differs in their receipts: data, device, threads and versions are the same",
        ]
    return lines + [f"  {name}: {now} instead of {then}" for name, (then, now) in result.differences.items()]
