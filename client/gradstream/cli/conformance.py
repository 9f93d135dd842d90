"""`gradstream conformance`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from gradstream.conformance.cases import Case

_FAILED = 1


@click.group()
def conformance() -> None:
    """Prove that a client, in any language, follows a job rightly.

    A server on this machine plays the recorded logs of real jobs, and cuts connections, ends streams, repeats
    and leaves out events on purpose. It trains nothing. docs/clients.md tells more.
    """


@conformance.command("list")
def list_cases() -> None:
    """List the cases, and what each proves of a client."""
    from gradstream.cli.report import aligned
    from gradstream.conformance.cases import CASES

    for line in aligned([[case.name, case.proves] for case in CASES], indent=""):
        click.echo(line)


@conformance.command()
@click.option(
    "--case", "names", metavar="CASE", multiple=True, help="Only this case. Repeatable.  [default: all]"
)
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
    metavar="SECONDS", help="How long the client may take for a case.",
)  # fmt: skip
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(names: tuple[str, ...], timeout_s: float, command: tuple[str, ...]) -> None:
    """Run a client against each case, and tell which it passes.

    COMMAND gets the server's address in GRADSTREAM_SERVER. It trains whatever it likes, and prints what it
    sees, a JSON object a line: {"event": "epoch_update", "epoch": 1, "loss": 30.0} for each epoch, and at
    the end {"event": "completed"} or {"event": "state_change", "state": "FAILED"} (or CANCELLED). So does
    our own:

    \b
        gradstream conformance run -- gradstream train --format json

    Exits with 1 when a case is not passed.
    """
    from gradstream.conformance.cases import CASES
    from gradstream.conformance.judge import judge

    chosen = [_case(name) for name in names] or list(CASES)
    width = max(len(case.name) for case in chosen)
    failed = 0
    for case in chosen:
        try:
            fault = asyncio.run(judge(case, command, timeout_s))
        except OSError as error:
            raise click.UsageError(f"{command[0]} cannot be run: {error.strerror}") from error
        failed += bool(fault)
        click.echo(f"{case.name:<{width}}  {'FAILED: ' + fault if fault else 'passed'}")
    click.echo(f"{len(chosen) - failed} of {len(chosen)} passed")
    if failed:
        raise SystemExit(_FAILED)


@conformance.command()
@click.argument("case", metavar="CASE")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N",
              help="Where to listen on 127.0.0.1.  [default: any free port]")  # fmt: skip
def serve(case: str, port: int) -> None:
    """Play one case, for a client that is run by hand, until Ctrl-C.

    What goes wrong goes wrong once: start it again for the next try.
    """
    from contextlib import suppress

    from gradstream.conformance.recording import Recording
    from gradstream.conformance.server import playing

    chosen = _case(case)

    async def play() -> None:
        async with playing(chosen, Recording.named(chosen.recording), port) as (address, _):
            click.echo(f"playing {chosen.name} on {address}: a client {chosen.proves}")
            await asyncio.Event().wait()

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(play())
    except OSError as error:
        raise click.UsageError(f"cannot listen on port {port}: {error.strerror}") from error


@conformance.command()
@click.argument("job", metavar="JOB")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@options.server_option
def record(job: str, file: Path, server: str | None) -> None:
    """Keep the log of a job in FILE, once it has ended: each event behind a varint of its length."""
    from gradstream.cli.connection import settings_of_connection
    from gradstream.conformance.recording import NoRecording, Recording
    from gradstream.endpoint import endpoint

    try:
        recording = Recording.fetch(endpoint(server, **settings_of_connection()), job)
    except NoRecording as error:
        raise click.ClickException(f"job {job}: {error}; try again") from error
    try:
        recording.write(file)
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from error
    click.echo(f"{file}: {len(recording.events)} events, {recording.state}")


def _case(name: str) -> Case:
    from gradstream.conformance.cases import CASES

    for case in CASES:
        if case.name == name:
            return case
    raise click.UsageError(f"there is no case {name!r}; there are {', '.join(case.name for case in CASES)}")
