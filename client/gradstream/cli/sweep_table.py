"""A sweep on a terminal: a table of its runs, which moves while they train."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gradstream.cli.report import duration
from gradstream.cli.sweep_report import seconds_of, value_text
from gradstream.job import JobState
from gradstream.sweep import Sweep
from gradstream.sweep_run import SweepRun

_REFRESH_HZ = 5
_LINES_BESIDE = 6
"""Lines of a terminal that are no runs: heading, title, what is left out, and room for the prompt."""
_GAP = 2
_COLUMNS = ("STATE", "EPOCH", "LOSS", "TIME", "JOB")
_DISPENSABLE = ("JOB", "TIME", "EPOCH")
_STYLES = {JobState.FAILED: "red", JobState.CANCELLED: "yellow", JobState.RUNNING: "cyan"}


class SweepTable:
    """Draws the table anew some times a second; at the end it stays, with all its runs."""

    def __init__(self, sweep: Sweep, console: Console | None = None) -> None:
        self._sweep = sweep
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console,
            refresh_per_second=_REFRESH_HZ,
            get_renderable=self.render,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._console.print(self._table(self._sweep.runs))

    def show(self, run: SweepRun) -> None:
        """Nothing to do: the table is drawn from the sweep itself."""

    def render(self) -> Group:
        """The table at this moment, with as many runs as there is room for."""
        runs = self._sweep.runs
        ended = sum(run.ended for run in runs)
        shown = self._chosen(runs, max(3, self._console.height - _LINES_BESIDE))
        parts: list[Text | Table] = [
            _line(f"sweep {self._sweep.group}: {ended} of {self._sweep.total} runs ended")
        ]
        if runs:
            parts.append(self._table(shown))
        if len(shown) < len(runs):
            parts.append(_line(f"... and {len(runs) - len(shown)} more that have ended"))
        return Group(*parts)

    def _chosen(self, runs: Sequence[SweepRun], room: int) -> list[SweepRun]:
        """The best, those that run, and the newest of the others, in order."""
        best = self._sweep.best
        urgent = sorted(runs, key=lambda run: (run is not best, run.ended, -run.number))
        return sorted(urgent[:room], key=lambda run: run.number)

    def _table(self, runs: Sequence[SweepRun]) -> Table:
        """Whatever the width: where it is too narrow for all columns, what is least missed goes first."""
        best = self._sweep.best
        names = list(runs[0].options) if runs else []
        rows = [_cells(run, is_best=run is best) for run in runs]
        cells = {name: max([0, *(len(row[name]) for row in rows)]) for name in ("RUN", *names, *_COLUMNS)}
        titles = {"LOSS": "VAL LOSS"} if any(map(_is_validated, runs)) else {}
        widths = {name: max(len(titles.get(name, name)), width) for name, width in cells.items()}
        for name in _DISPENSABLE:
            if _width(widths) > self._console.width:
                del widths[name]
        for name in names:  # if even this is too wide, they are cut
            excess = max(0, _width(widths) - self._console.width)
            widths[name] = max(cells[name], widths[name] - excess)
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for name, width in widths.items():
            justify: JustifyMethod = "left" if name in ("STATE", "JOB") else "right"
            table.add_column(titles.get(name, name), justify=justify, no_wrap=True, width=width)
        for run, row in zip(runs, rows, strict=True):
            style = "bold green" if run is best else _STYLES.get(run.state, "")
            table.add_row(*(row[name] for name in widths), style=style)
        return table


def _width(columns: Mapping[str, int]) -> int:
    return sum(columns.values()) + _GAP * (len(columns) - 1)


def _cells(run: SweepRun, *, is_best: bool) -> dict[str, str]:
    """What there is to tell of a run, by column."""
    job, seconds = run.job, seconds_of(run)
    loss = run.value
    if loss is None and job is not None:
        loss = job.last_validation_loss if _is_validated(run) else job.last_loss
    return {
        "RUN": f"{'* ' if is_best else ''}{run.number}",
        **{name: value_text(value) for name, value in run.options.items()},
        "STATE": "waiting" if run.state is JobState.QUEUED else run.state.lower(),
        "EPOCH": f"{job.epochs_done:,}/{job.spec.epochs:,}" if job else "-",
        "LOSS": "-" if loss is None else f"{loss:.6g}",
        "TIME": "-" if seconds is None else duration(seconds),
        "JOB": job.id if job else "-",
    }


def _is_validated(run: SweepRun) -> bool:
    return run.job is not None and bool(run.job.spec.metrics)


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
