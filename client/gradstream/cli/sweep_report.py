"""What is said of a sweep and its runs in words."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from gradstream.cli.fields import option_of_argument, with_options
from gradstream.cli.report import outcome_line
from gradstream.job import JobState
from gradstream.space import Options, Value
from gradstream.sweep_run import SweepRun

OWN_OPTIONS = {"vary", "draws", "search", "at_once", "group", "cancel_on_interrupt", "format_", "plain"}
"""Parameters of `gradstream sweep` that `gradstream train` has not, or not alike."""


def value_text(value: Value) -> str:
    """An option's value, as short as it can be typed again."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def options_text(options: Options) -> str:
    """`learning_rate=0.1, batch_size=64`"""
    return ", ".join(f"{name}={value_text(value)}" for name, value in options.items())


def seconds_of(run: SweepRun) -> float | None:
    """How long the job of a run has run, until now or its end; None when it has not begun."""
    if run.job is None or run.job.start_time is None:
        return None
    return max(0.0, ((run.job.end_time or datetime.now(UTC)) - run.job.start_time).total_seconds())


def run_line(run: SweepRun, total: int) -> str:
    """What has come of a run."""
    parts = [f"run {run.number} of {total}: {options_text(run.options)}: {outcome(run)}"]
    if run.job is not None:
        parts.append(f"job {run.job.id}")
    return ", ".join(parts)


def outcome(run: SweepRun) -> str:
    """`loss 0.5 after 20 epochs in 12 ms`; or why there is none."""
    if run.result is not None:
        return outcome_line(run.result)
    if run.job is not None and run.job.fault is not None:
        return f"failed, {with_options(run.job.fault.message)}"
    return "failed" if run.state is JobState.FAILED else run.state.lower()


def train_command(run: SweepRun, words: Sequence[str], dataset: str) -> str:
    """The command that trains a run again: what the words of the sweep say, and the options of the run."""
    context = click.get_current_context()
    given, _, _ = context.command.make_parser(context).parse_args(list(words))
    again = ["gradstream", "train"]
    for option in context.command.params:
        name = option.name or ""
        if isinstance(option, click.Option) and name in given and name not in OWN_OPTIONS:
            # What came on stdin is a data set by now.
            again += _words(option, dataset if name == "data" and given[name] == "-" else given[name])
    for name, value in run.options.items():
        again += _option_words(name, value)
    return shlex.join(again)


def _words(option: click.Option, value: object) -> list[str]:
    if option.is_flag:
        return [option.opts[0] if value else option.secondary_opts[0]]
    return [
        word
        for each in (value if isinstance(value, list) else [value])
        for word in (option.opts[0], str(each))
    ]


def _option_words(name: str, value: Value) -> list[str]:
    option = option_of_argument(name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    return [option, str(value)]
