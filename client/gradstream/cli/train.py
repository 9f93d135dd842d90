"""`gradstream train`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from gradstream.cli import options

if TYPE_CHECKING:  # what takes long to import is imported when the command runs, not for its help
    from gradstream.cli.values import Start
    from gradstream.spec import SpecOptions


@click.command()
@click.option("--trainer", default="manual", show_default=True, metavar="NAME",
              help="How the gradient is obtained: manual, autograd or module.")  # fmt: skip
@options.data_options
@options.spec_options
@click.option(
    "--request-id", metavar="UUID", help="Repeat a request: the same id with the same spec is one job."
)
@click.option("--detach", is_flag=True, help="Start the job, print its name and leave.")
@options.plain_option
@options.every_option
@options.event_format_option
@options.server_option
def train(
    *,
    data: str | None,
    targets: tuple[str, ...],
    features: tuple[str, ...],
    ignored: tuple[str, ...],
    predict: tuple[tuple[float, ...], ...],
    initial: dict[str, Start],
    request_id: str | None,
    detach: bool,
    plain: bool,
    every: int | None,
    format_: str,
    server: str | None,
    **spec: Unpack[SpecOptions],
) -> None:
    """Start a job and watch it.

    Without --data it is the reference experiment of the trainer: x = 1, 2, 3, 4 and y = 2x.

    \b
      gradstream train
      gradstream train --data houses.csv --target price --standardize --learning-rate 0.1
      gradstream train --trainer module --epochs 1000 --predict 5 --predict 6

    Ctrl-C leaves the job, which goes on; `gradstream watch JOB` comes back to it.
    """
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for, follow, resumable
    from gradstream.cli.json_view import json_line
    from gradstream.cli.request import build_request
    from gradstream.cli.view import choose_view

    request = build_request(data, targets, features, ignored, predict, initial, spec)
    with open_client(server) as client:
        with resumable(request_id) as made:
            if detach:
                job = client.create(request.features, request.targets, request_id=made, **request.options)
                click.echo(json_line(job) if format_ == "json" else job.id)
                return
            run = client.train(request.features, request.targets, request_id=made, **request.options)
        again = command_for("watch", run.job)
        view = choose_view(
            run,
            None,
            server=client.server,
            replayed=0,
            format_=format_,
            plain=plain,
            every=every,
            again=again,
        )
        follow(run, view)
