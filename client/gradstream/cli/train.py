"""`gradstream train`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from gradstream.cli import options

if TYPE_CHECKING:  # what takes long to import is imported when the command runs, not for its help
    from gradstream.cli.data_choice import DataChoice
    from gradstream.cli.values import Start
    from gradstream.spec import SpecOptions


@click.command()
@click.option("--trainer", default="manual", show_default=True, metavar="NAME",
              help="How the gradient is obtained: manual, autograd or module.")  # fmt: skip
@options.spec_file_option
@click.option("--save-spec", metavar="FILE", type=click.Path(path_type=Path),
              help="Write a file for --spec that trains the same again: what is given here, and what the "
                   "server chooses.")  # fmt: skip
@options.data_options
@options.spec_options
@click.option("--from", "start", metavar="MODEL|JOB",
              help="Start from the parameters of this model, NAME or NAME:VERSION; or from those that this "
                   "job ended with, or had reached when it was cancelled or failed. --init goes over "
                   "it.")  # fmt: skip
@click.option("--name", "model_name", default="", metavar="NAME",
              help="Name the model that the job leaves; each that succeeds gets the next version. "
                   "`gradstream models` lists them.  [default: as the job is called]")  # fmt: skip
@click.option(
    "--request-id", metavar="UUID", help="Repeat a request: the same id with the same spec is one job."
)
@click.option("--priority", type=int, default=0, show_default=True, metavar="N",
              help="Jobs with a higher one run first: from -100 to 100.")  # fmt: skip
@click.option("--group", default="", metavar="NAME",
              help="A name for jobs that belong together; `gradstream jobs --group` lists them.")  # fmt: skip
@click.option("--cancel-on-disconnect", is_flag=True,
              help="Cancel the job when nobody has watched it for some seconds.")  # fmt: skip
@click.option("--detach", is_flag=True, help="Start the job, print its name and leave.")
@options.plain_option
@options.every_option
@options.event_format_option
@options.patience_option
@options.server_option
def train(
    *,
    choice: DataChoice,
    initial: dict[str, Start],
    start: str | None,
    save_spec: Path | None,
    request_id: str | None,
    priority: int,
    group: str,
    model_name: str,
    cancel_on_disconnect: bool,
    detach: bool,
    plain: bool,
    every: int | None,
    format_: str,
    patience_s: float,
    server: str | None,
    **spec: Unpack[SpecOptions],
) -> None:
    """Start a job and watch it.

    Without --data it is the reference experiment of the trainer: x = 1, 2, 3, 4 and y = 2x.

    \b
      gradstream train
      gradstream train --data houses.csv --target price --standardize --learning-rate 0.1
      gradstream train --data houses.parquet --target price --one-hot city --nulls drop
      gradstream train --trainer module --epochs 1000 --predict 5 --predict 6
      gradstream train --data houses.csv --target price --name house-prices
      gradstream train --data houses.csv --target price --name house-prices --from house-prices
      gradstream train --data houses.csv --target price --validation-fraction 0.2 --patience 10
      gradstream train --data houses.csv --target price --save-spec run.toml
      gradstream train --spec run.toml --epochs 500

    Ctrl-C leaves the job, which goes on; `gradstream watch JOB` comes back to it. A connection that is lost
    is attached again, also when the server has died and comes back within --server-patience. A server that
    was never there is not waited for.
    """
    if detach and cancel_on_disconnect:
        raise click.UsageError(
            "--detach leaves the job at once, and --cancel-on-disconnect would cancel it then"
        )
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for, follow, resumable
    from gradstream.cli.json_view import json_line
    from gradstream.cli.request import build_request
    from gradstream.cli.saved_spec import require_writable, write_spec
    from gradstream.cli.view import choose_view
    from gradstream.cli.warm_start import WarmStart

    if save_spec is not None:
        require_writable(save_spec)
    if options.overrides("start", "initial"):
        initial = {}
    with open_client(server, patience_s) as client:
        warm = WarmStart(client, start, initial)
        request = build_request(client, choice, initial, spec, plain=plain)
        warm.add_to(request)
        with resumable(request_id) as made, warm.named():
            if detach:
                job = client.create(
                    request_id=made, priority=priority, group=group, model_name=model_name, **request
                )
                if save_spec is not None:
                    write_spec(save_spec, job, choice, warm.parameters)
                click.echo(json_line(job) if format_ == "json" else job.id)
                return
            run = client.train(
                request_id=made,
                priority=priority,
                group=group,
                model_name=model_name,
                cancel_on_disconnect=cancel_on_disconnect,
                **request,
            )
        if save_spec is not None:
            write_spec(save_spec, client.get(run.job), choice, warm.parameters)
        view = choose_view(
            run,
            # Its log tells it only when training begins.
            client.get(run.job).spec if run.jobs_ahead else None,
            replayed=0,
            format_=format_,
            plain=plain,
            every=every,
            again=command_for("watch", run.job),
            resume=command_for("resume", run.job),
        )
        follow(run, view, needs_watcher=cancel_on_disconnect)
