"""How a command fails: what it says on stderr and the code it exits with."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from gradstream.cli.fields import option_of_field, with_options
from gradstream.errors import (
    DeadlineExceededError,
    GradstreamError,
    JobEndedError,
    NotFoundError,
    ResourceExhaustedError,
    ServerFaultError,
    UnavailableError,
    UnsupportedError,
    Violation,
)

JOB_ENDED, REFUSED, NO_SERVER, NOT_FOUND, BUSY, SERVER_FAULT = 1, 2, 3, 4, 5, 6
DIFFERENT = 7
INTERRUPTED, OUTPUT_CLOSED = 130, 141

EXIT_CODES_HELP = [
    ("0", "all went well"),
    (str(JOB_ENDED), "the job, or each run of a sweep, failed or was cancelled; or the server takes no work"),
    (str(REFUSED), "the command line is wrong, or the server refused what it asks for"),
    (str(NO_SERVER), "no server could be reached, or it is stopping and takes no job"),
    (str(NOT_FOUND), "there is no such job, data set or model"),
    (str(BUSY), "the server is at a limit: try again later"),
    (str(SERVER_FAULT), "a fault of the server"),
    (str(DIFFERENT), "a replay has come to other parameters"),
    (str(INTERRUPTED), "interrupted with Ctrl-C; a job that was watched goes on"),
    (str(OUTPUT_CLOSED), "whoever read the output has gone; a job that was watched goes on"),
]

# The first that fits; anything else was refused.
_EXIT_CODES: list[tuple[type[GradstreamError], int]] = [
    (JobEndedError, JOB_ENDED),
    (UnavailableError, NO_SERVER),
    (DeadlineExceededError, NO_SERVER),
    (NotFoundError, NOT_FOUND),
    (ResourceExhaustedError, BUSY),
    (ServerFaultError, SERVER_FAULT),
    (UnsupportedError, SERVER_FAULT),
]


def exit_code(error: GradstreamError) -> int:
    """The code that a command exits with after an error."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), REFUSED)


def explanation(error: GradstreamError) -> str:
    """What is said of an error: what was wrong, where, what is allowed, and what to do next."""
    violations = [_violation_text(each) for each in error.violations]
    if len(violations) > 1:
        lines = ["Error: this cannot be trained:", *(f"  {text}" for text in violations)]
    elif violations:
        lines = [f"Error: {violations[0]}"]
    elif isinstance(error, NotFoundError):
        # The server speaks of its calls; people know the commands.
        text, _, advice = error.message.partition(";")
        if error.reason == "DATASET_NOT_FOUND":
            advice = advice.replace("ListDatasets names", "`gradstream data ls` lists")
        elif error.reason == "MODEL_NOT_FOUND":
            advice = advice.replace("ListModels names", "`gradstream models` lists")
        else:
            advice = " `gradstream jobs` lists those there are"
        lines = [f"Error: {text};{advice}"]
    else:
        lines = [f"Error: {with_options(error.message)}"]
    if isinstance(error, JobEndedError) and error.result_so_far is not None:
        from gradstream.cli.report import counted  # what it imports is there already, but not for help

        epochs = counted(error.result_so_far.epochs, "epoch")
        lines.append(f"What it had reached after {epochs} is kept: `gradstream show {error.job}`")
    if error.retry_after is not None:
        lines.append(f"Try again in {error.retry_after:.0f} s.")
    return "\n".join(lines)


def _violation_text(violation: Violation) -> str:
    option, text = option_of_field(violation.field), with_options(violation.description)
    return f"{option} {text}" if text.startswith(("is ", "are ")) else f"{option}: {text}"


@contextmanager
def exit_on_failure() -> Iterator[None]:
    """Turn what can go wrong into a message and an exit code."""
    try:
        yield
    except GradstreamError as error:
        click.echo(explanation(error), err=True)
        raise SystemExit(exit_code(error)) from error
    except KeyboardInterrupt as error:
        click.echo("Interrupted.", err=True)
        raise SystemExit(INTERRUPTED) from error
    except BrokenPipeError as error:
        # Python flushes stdout once more when it ends: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(OUTPUT_CLOSED) from error
