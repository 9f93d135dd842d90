"""A sweep as lines: for people whose output is no terminal, and for programs."""

import os
import sys
from types import TracebackType
from typing import Protocol, Self

import click

from gradstream.cli.json_view import as_json, json_line
from gradstream.cli.sweep_report import run_line
from gradstream.sweep import Sweep
from gradstream.sweep_run import SweepRun


class SweepView(Protocol):
    """Shows the runs of a sweep as they change."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, run: SweepRun) -> None:
        """Show a run that has changed."""
        ...


def choose_sweep_view(sweep: Sweep, *, format_: str, plain: bool) -> SweepView:
    """JSON when asked for; a table on a terminal that can, unless plain is asked for; else plain."""
    if format_ == "json":
        return SweepLines(sweep, as_objects=True)
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return SweepLines(sweep)
    from gradstream.cli.sweep_table import SweepTable

    return SweepTable(sweep)


class SweepLines:
    """Prints a line for each run that has ended."""

    def __init__(self, sweep: Sweep, *, as_objects: bool = False) -> None:
        self._sweep = sweep
        self._as_objects = as_objects

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def show(self, run: SweepRun) -> None:
        """Print what has come of a run, once it has ended."""
        if not run.ended:
            return
        if not self._as_objects:
            click.echo(run_line(run, self._sweep.total))
            return
        result, job = run.result, run.job
        click.echo(
            json_line(
                {
                    "group": self._sweep.group,
                    "run": run.number,
                    "of": self._sweep.total,
                    "options": run.options,
                    "state": run.state,
                    "loss": run.value,
                    "epochs": result.epochs if result else None,
                    "training_seconds": result.training_seconds if result else None,
                    "job": job.id if job else None,
                    "fault": as_json(job.fault if job else None),
                    "best": run is self._sweep.best,
                }
            )
        )
