"""A run as lines of text."""

from types import TracebackType
from typing import Self

import click
import numpy as np

from gradstream.cli.report import (
    change_line,
    epoch_line,
    measured_lines,
    model_note,
    outcome_line,
    parameter_lines,
    prediction_lines,
    size_line,
)
from gradstream.events import Completed, EpochUpdates, Event, JobWarning, Started, StateChange
from gradstream.job import JobState
from gradstream.spec import Spec


class PlainView:
    """Prints every so many epochs, and predictions before and after."""

    def __init__(self, spec: Spec | None, every: int | None, *, resume: str = "", replayed: int = 0) -> None:
        """resume: the command that lets a paused job go on. replayed: sequence of the last event that was
        there before the run was watched."""
        self._spec = spec
        self._resume = resume
        self._replayed = replayed
        self._every = every
        self._next_epoch = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def connection_lost(self, _text: str) -> bool:
        """What is printed is the run and nothing else."""
        return False

    def show(self, event: Event) -> None:
        """Print what there is to print of an event."""
        match event:
            case StateChange():
                self._show_change(event)
            case JobWarning():
                click.echo(f"warning: {event.message}", err=True)
            case Started():
                self._spec = event.spec
                if event.spec.trainer == "module" or not event.spec.reference:
                    click.echo(size_line(event))
                self._print(prediction_lines("before", event.spec.predict_rows, event.predictions))
            case EpochUpdates():
                self._show_epochs(event)
            case Completed() if self._spec is not None:
                self._print(prediction_lines("after", self._spec.predict_rows, event.predictions))
                measured = measured_lines(event, self._spec)
                if not self._spec.reference or measured:
                    self._print([f"{outcome_line(event)}, job {event.job}{model_note(event)}", *measured])
                    self._print(parameter_lines(event, self._spec))

    def _show_change(self, event: StateChange) -> None:
        """Say what somebody who waits has to know: stdout is for the run alone."""
        is_past = event.sequence < self._replayed
        if line := change_line(event, is_past=is_past):
            click.echo(f"job {event.job}: {line}", err=True)
        elif event.state is JobState.PAUSED and not is_past:
            click.echo(f"job {event.job} is paused; let it go on with: {self._resume}", err=True)
        elif event.state is JobState.QUEUED and event.jobs_ahead and not is_past:
            click.echo(f"waiting, {event.jobs_ahead} ahead, job {event.job}", err=True)

    def _show_epochs(self, event: EpochUpdates) -> None:
        every = self._every or _default_every(self._spec)
        position = int(np.searchsorted(event.epochs, self._next_epoch))
        lines = []
        while position < len(event):
            epoch = int(event.epochs[position])
            parameters = event.parameters and {n: column[position] for n, column in event.parameters.items()}
            measured = event.validation_losses
            lines.append(
                epoch_line(
                    epoch,
                    float(event.losses[position]),
                    parameters,
                    None if measured is None else float(measured[position]),
                )
            )
            self._next_epoch = epoch - (epoch - 1) % every + every
            position = int(np.searchsorted(event.epochs, self._next_epoch))
        self._print(lines)

    def _print(self, lines: list[str]) -> None:
        if lines:
            click.echo("\n".join(lines))


def _default_every(spec: Spec | None) -> int:
    return 2 if spec is not None and spec.reference and spec.trainer == "manual" else 10
