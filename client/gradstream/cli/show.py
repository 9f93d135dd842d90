"""`gradstream show`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.job import Job


@click.command()
@click.argument("job")
@options.table_format_option
@options.server_option
def show(*, job: str, format_: str, server: str | None) -> None:
    """Show all there is to know about a job; its result too, when it has one."""
    from gradstream.cli.connection import open_client
    from gradstream.cli.follow import command_for
    from gradstream.cli.json_view import as_json, json_line
    from gradstream.cli.report import outcome_line, parameter_lines, prediction_lines
    from gradstream.job import JobState

    with open_client(server) as client:
        found = client.get(job)
        # The result is the last event of the log.
        done = found.state is JobState.SUCCEEDED
        result = client.watch(job, found.last_sequence).result() if done else None
    if format_ == "json":
        click.echo(json_line(found, result=as_json(result)))
        return
    rows = _rows(found)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")
    if result is not None:
        click.echo(f"{'result':<{width}}  {outcome_line(result)}")
        for line in prediction_lines("after", found.spec.predict_rows, result.predictions):
            click.echo(line)
        for line in parameter_lines(result, found.spec):
            click.echo(line)
    elif not found.state.final:
        click.echo(f"watch it: {command_for('watch', job)}", err=True)


def _rows(job: Job) -> list[tuple[str, str]]:
    """Names and values of everything that is set."""
    spec = job.spec
    state = job.state.lower() + (f", {job.jobs_ahead} ahead" if job.jobs_ahead else "")
    rows = [("job", job.id), ("state", state)]
    if job.fault is not None:
        rows.append(("error", f"{job.fault.reason}: {job.fault.message}"))
    rows.append(("epochs", f"{job.epochs_done:,} of {spec.epochs:,}"))
    if job.last_loss is not None:
        rows.append(("loss", f"{job.last_loss:.8g}"))
    times = (("created", job.create_time), ("started", job.start_time), ("ended", job.end_time))
    rows += [(name, f"{time.astimezone():%Y-%m-%d %H:%M:%S}") for name, time in times if time is not None]
    if job.attempt > 1:
        rows.append(("attempt", str(job.attempt)))
    data = "reference experiment"
    if not spec.reference:
        data = f"{', '.join(spec.feature_names)} -> {', '.join(spec.target_names)}"
    rows += [
        ("request id", job.request_id),
        ("trainer", spec.trainer),
        ("device", spec.device),
        ("data", data),
        ("learning rate", f"{spec.learning_rate:g}"),
        ("batch size", f"{spec.batch_size:,}" + (", shuffled" if spec.shuffle else "")),
        ("gradient reduction", spec.gradient_reduction),
        ("intercept", "yes" if spec.intercept else "no"),
        ("l2", f"{spec.l2:g}"),
        ("dtype", spec.dtype),
        ("seed", str(spec.seed)),
        ("standardize", "yes" if spec.standardize else "no"),
    ]
    rows += [(f"starts at {name}", str(value.tolist())) for name, value in spec.initial_parameters.items()]
    if spec.report_every > 1:
        rows.append(("report every", f"{spec.report_every:,} epochs"))
    return rows
