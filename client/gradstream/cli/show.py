"""`gradstream show`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.client import Client
    from gradstream.events import Completed
    from gradstream.job import Job


@click.command()
@click.argument("job")
@options.table_format_option
@options.server_option
def show(*, job: str, format_: str, server: str | None) -> None:
    """Show all there is to know about a job; its result too, or what it had reached when it was ended."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for
    from gradstream.cli.json_view import as_json, json_line
    from gradstream.cli.report import (
        measured_lines,
        named_lines,
        outcome_line,
        parameter_lines,
        prediction_lines,
    )
    from gradstream.job import JobState

    with open_client(server) as client:
        found = client.get(job)
        result = _result(client, found)
    done = found.state is JobState.SUCCEEDED
    if format_ == "json":
        result_so_far = None if done else result
        click.echo(
            json_line(found, result=as_json(result if done else None), result_so_far=as_json(result_so_far))
        )
        return
    rows = _rows(found)
    width = max(len(name) for name, _ in rows)
    for line in named_lines(rows):
        click.echo(line)
    if result is not None:
        # Epochs may have been told after the newest checkpoint, and then their worker died.
        of = ", as of its newest checkpoint" if not done and result.epochs < found.epochs_done else ""
        click.echo(f"{'result' if done else 'reached':<{width}}  {outcome_line(result)}{of}")
        for line in prediction_lines("after", found.spec.predict_rows, result.predictions):
            click.echo(line)
        for line in (*measured_lines(result, found.spec), *parameter_lines(result, found.spec)):
            click.echo(line)
    elif found.state is JobState.PAUSED:
        click.echo(f"let it go on: {command_for('resume', job)}", err=True)
    elif not found.state.final:
        click.echo(f"watch it: {command_for('watch', job)}", err=True)


def _result(client: Client, job: Job) -> Completed | None:
    """What a job has led to, when it has ended; that is in the last event of its log."""
    from gradstream.errors import JobEndedError

    if not job.state.final:
        return None
    try:
        return client.watch(job.id, job.last_sequence).result()
    except JobEndedError as error:
        return error.result_so_far


def _rows(job: Job) -> list[tuple[str, str]]:
    """Names and values of everything that is set."""
    from gradstream.cli.spec_report import spec_rows

    spec = job.spec
    state = job.state.lower() + (f", {job.jobs_ahead} ahead" if job.jobs_ahead else "")
    rows = [("job", job.id), ("state", state)]
    if job.fault is not None:
        rows.append(("error", f"{job.fault.reason}: {job.fault.message}"))
    rows.append(("epochs", f"{job.epochs_done:,} of {spec.epochs:,}"))
    if job.last_loss is not None:
        rows.append(("loss", f"{job.last_loss:.8g}"))
    if job.last_validation_loss is not None:
        rows.append(("validation loss", f"{job.last_validation_loss:.8g}"))
    times = (("created", job.create_time), ("started", job.start_time), ("ended", job.end_time))
    rows += [(name, f"{time.astimezone():%Y-%m-%d %H:%M:%S}") for name, time in times if time is not None]
    if job.checkpoint_epoch and not job.state.final:
        rows.append(("checkpoint", f"after epoch {job.checkpoint_epoch:,}"))
    if job.attempt > 1:
        died = f", {job.restarts} of them after its worker died" if job.restarts else ""
        rows.append(("attempts", f"{job.attempt}{died}"))
    if job.priority:
        rows.append(("priority", str(job.priority)))
    if job.group:
        rows.append(("group", job.group))
    if job.model is not None:
        rows.append(("kept as", f"{job.model.name}, version {job.model.version}"))
    elif job.model_name:
        rows.append(("kept as", f"{job.model_name}, once it has succeeded"))
    if job.cancel_on_disconnect:
        rows.append(("when unwatched", "it is cancelled after some seconds"))
    return [*rows, ("request id", job.request_id), *spec_rows(spec)]
