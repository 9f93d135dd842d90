"""`gradstream watch`"""

from __future__ import annotations

import click

from gradstream.cli import options


@click.command()
@click.argument("job")
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SEQUENCE",
              help="Begin with the event after this one; see above.  [default: with the first]")  # fmt: skip
@options.plain_option
@options.every_option
@options.event_format_option
@options.patience_option
@options.server_option
def watch(
    *,
    job: str,
    after: int,
    plain: bool,
    every: int | None,
    format_: str,
    patience_s: float,
    server: str | None,
) -> None:
    """Watch a job, from its beginning to its end, whether it is running or has ended long ago.

    Ctrl-C leaves the job, which goes on. A connection that is lost is attached again, also when the server
    has died and comes back within --server-patience. A paused job is waited for.

    With --format json every line tells as `after` what --after takes to go on behind it. That is its
    `sequence`, but for epochs that are not the last of their event: several share one `sequence`, and with
    that the rest of them would be missed. From `after` nothing is missed, and epochs of one event may come
    again.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for, follow
    from gradstream.cli.view import choose_view

    with open_client(server, patience_s) as client:
        run = client.watch(job, after)
        found = client.get(job)
        view = choose_view(
            run,
            found.spec,
            replayed=found.last_sequence,
            format_=format_,
            plain=plain,
            every=every,
            again=command_for("watch", job),
            resume=command_for("resume", job),
        )
        follow(run, view, needs_watcher=found.cancel_on_disconnect)
