"""The whole curve of a job so far, and what a legend says of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gradstream.cli.chart import drawable
from gradstream.cli.report import counted
from gradstream.client import Client
from gradstream.job import Job, JobState
from gradstream.spec import Spec

# What a job is told by in any case, what says little of its curve, and what is no single value.
_NOT_TOLD = {"trainer", "epochs", "reference", "dataset", "data_digest", "report_every"}
_NOT_TOLD |= {"max_memory_bytes", "max_seconds"}

_MOST_VALUES = 3


@dataclass(frozen=True, eq=False)
class History:
    """A job, and the loss of each epoch that it has told of."""

    job: Job
    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    validation_losses: NDArray[np.float64]
    """Of as many epochs, or empty."""

    @property
    def drawn(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Epochs and losses that can be drawn: without those of a run that has lost all measure."""
        sane = drawable(self.losses)
        return self.epochs[sane], self.losses[sane]

    @property
    def measured(self) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """The same of the validation losses; None where there are none to draw."""
        sane = drawable(self.validation_losses)
        return (self.epochs[sane], self.validation_losses[sane]) if sane.any() else None

    @property
    def outcome(self) -> str:
        """How far it has come: `loss 10.98 after 60 epochs`; and its state, unless it has succeeded."""
        state = "" if self.job.state is JobState.SUCCEEDED else f", {self.job.state.lower()}"
        if not len(self.losses):
            return f"no epochs{state}"
        epochs = counted(int(self.epochs[-1]), "epoch")
        return f"loss {self.losses[-1]:.6g} after {epochs}{state}"

    @property
    def measured_outcome(self) -> str:
        """The same of the validation loss: its best."""
        best = int(np.nanargmin(self.validation_losses))
        return f"validation loss, {self.validation_losses[best]:.6g} at best, in epoch {self.epochs[best]:,}"


def read_history(client: Client, job: str) -> History:
    """What a job has told of until now, without waiting for more. Raises NotFoundError."""
    found = client.get(job)
    with client.watch(job) as run:
        for event in run.events():
            if event.sequence >= found.last_sequence:
                break
    return History(found, run.epochs, run.losses, run.validation_losses)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A curve to draw, and what a legend says of it."""

    epochs: NDArray[np.int64]
    losses: NDArray[np.float64]
    legend: str
    job: int
    """The number of its history, from 0."""
    of_validation: bool


def curves(histories: Sequence[History]) -> list[Drawn]:
    """The losses of each history, and behind them its validation losses."""
    found = []
    for i, (history, label) in enumerate(zip(histories, labels(histories), strict=True)):
        found.append(Drawn(*history.drawn, f"{label}: {history.outcome}", i, of_validation=False))
        if measured := history.measured:
            legend = f"{history.job.id}: {history.measured_outcome}"
            found.append(Drawn(*measured, legend, i, of_validation=True))
    return found


def labels(histories: Sequence[History]) -> list[str]:
    """A name for each: its job, its trainer, and the first values of its spec in which they differ."""
    specs = [history.job.spec for history in histories]
    names = [
        field.name
        for field in fields(Spec)
        if field.name not in _NOT_TOLD and len({_plain(getattr(spec, field.name)) for spec in specs}) > 1
    ][:_MOST_VALUES]
    return [
        ", ".join(
            [history.job.id, history.job.spec.trainer, *(_told(history.job.spec, name) for name in names)]
        )
        for history in histories
    ]


def _plain(value: object) -> object:
    """The value, where it is a single one; else the same for all."""
    return value if isinstance(value, bool | int | float | str) else None


def _told(spec: Spec, name: str) -> str:
    value = getattr(spec, name)
    if value is None:
        return f"no {name.replace('_', ' ')}"
    if isinstance(value, bool):
        return f"{'' if value else 'no '}{name.replace('_', ' ')}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {text}"
