"""A run as lines of text."""

from types import TracebackType
from typing import Self

import click
import numpy as np

from gradstream.cli.report import (
    epoch_line,
    outcome_line,
    parameter_lines,
    prediction_lines,
    size_line,
)
from gradstream.events import Completed, EpochUpdates, Event, Started, StateChange
from gradstream.job import JobState
from gradstream.spec import Spec


class PlainView:
    """Prints every so many epochs, and predictions before and after."""

    def __init__(self, spec: Spec | None, every: int | None, replayed: int = 0) -> None:
        """replayed: sequence of the last event that was there before the run was watched."""
        self._spec = spec
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
            case StateChange(state=JobState.QUEUED) if event.sequence >= self._replayed:
                if event.jobs_ahead:
                    click.echo(f"waiting, {event.jobs_ahead} ahead, job {event.job}", err=True)
            case Started():
                self._spec = event.spec
                if event.spec.trainer == "module" or not event.spec.reference:
                    click.echo(size_line(event))
                self._print(prediction_lines("before", event.spec.predict_rows, event.predictions))
            case EpochUpdates():
                self._show_epochs(event)
            case Completed() if self._spec is not None:
                self._print(prediction_lines("after", self._spec.predict_rows, event.predictions))
                if not self._spec.reference:
                    self._print(
                        [f"{outcome_line(event)}, job {event.job}", *parameter_lines(event, self._spec)]
                    )

    def _show_epochs(self, event: EpochUpdates) -> None:
        every = self._every or _default_every(self._spec)
        position = int(np.searchsorted(event.epochs, self._next_epoch))
        if event.epochs[0] < self._next_epoch - every:
            position = 0  # a second try at the job goes through these epochs again
        lines = []
        while position < len(event):
            epoch = int(event.epochs[position])
            parameters = event.parameters and {n: column[position] for n, column in event.parameters.items()}
            lines.append(epoch_line(epoch, float(event.losses[position]), parameters))
            self._next_epoch = epoch - (epoch - 1) % every + every
            position = int(np.searchsorted(event.epochs, self._next_epoch))
        self._print(lines)

    def _print(self, lines: list[str]) -> None:
        if lines:
            click.echo("\n".join(lines))


def _default_every(spec: Spec | None) -> int:
    return 2 if spec is not None and spec.reference and spec.trainer == "manual" else 10
