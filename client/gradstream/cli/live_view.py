"""A run on a terminal: a bar that moves, the curve so far, and the result."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gradstream.cli.chart import draw, labelled
from gradstream.cli.report import counted, duration, outcome_line, parameter_lines, prediction_lines
from gradstream.events import Completed, EpochUpdates, Event, Started, StateChange
from gradstream.job import JobState
from gradstream.run import Run
from gradstream.spec import Spec

_REFRESH_HZ = 10
_CHART_HEIGHT = 5
_WIDEST = 100


class LiveView:
    """Draws the run anew ten times a second, whatever the pace of its epochs."""

    def __init__(self, run: Run, spec: Spec | None, again: str, console: Console | None = None) -> None:
        self._run = run
        self._spec = spec
        self._again = again
        self._console = console or Console(highlight=False)
        self._before: list[str] = []
        self._first_at: tuple[float, int] | None = None
        self._last_at = 0.0
        self._state = "waiting"
        self._outcome = ""
        self._live = Live(
            console=self._console, refresh_per_second=_REFRESH_HZ, get_renderable=self.render, transient=False
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

    def show(self, event: Event) -> None:
        """Take an event into the picture."""
        match event:
            case StateChange():
                self._state = _state_text(event)
            case Started():
                self._spec = event.spec
                self._state = f"{counted(event.rows, 'row')} on {event.spec.device}"
                self._before = prediction_lines("before", event.spec.predict_rows, event.predictions)
            case EpochUpdates():
                self._last_at = time.monotonic()
                if self._first_at is None:
                    self._first_at = (self._last_at, int(event.epochs[0]))
            case Completed():
                self._outcome = outcome_line(event)
                self._live.stop()
                self._conclude(event)

    def render(self) -> Group:
        """The picture at this moment."""
        width = min(self._console.width, _WIDEST)
        losses, epochs = self._run.losses, self._run.epochs
        done, total = (int(epochs[-1]) if len(epochs) else 0), (self._spec.epochs if self._spec else 0)
        trainer = self._spec.trainer if self._spec else "job"
        title = Text.assemble((trainer, "bold"), f" · {self._state}", (f"  job {self._run.job}", "dim"))
        bar = Table.grid(padding=(0, 1), expand=False)
        bar.add_row(
            Text(f"epoch {done:,}/{total:,}"),
            ProgressBar(total=max(total, 1), completed=done, width=max(10, width - 40)),
            Text(f"{100 * done / max(total, 1):3.0f}%"),
        )
        parts: list[Text | Table] = [title, bar]
        if len(losses):
            chart = draw(losses, width - 12, _CHART_HEIGHT)
            parts.append(self._numbers(float(losses[-1]), done, total))
            parts += [Text(line, "cyan", no_wrap=True) for line in labelled(chart, int(epochs[0]), done)]
        return Group(*parts)

    def _numbers(self, loss: float, done: int, total: int) -> Text:
        if self._outcome:
            return Text(self._outcome)
        text = Text.assemble("loss ", (f"{loss:.6g}", "bold"))
        if self._first_at is None:
            return text
        since, first = self._first_at
        elapsed = self._last_at - since
        if elapsed > 0 and done > first:
            pace = (done - first) / elapsed
            left = f"  {duration((total - done) / pace)} left" if done < total else ""
            text.append(f"  {pace:,.0f} epochs/s{left}" if pace >= 10 else f"  {pace:.2g} epochs/s{left}")
        return text

    def _conclude(self, result: Completed) -> None:
        if self._spec is None:
            return
        lines = self._before + prediction_lines("after", self._spec.predict_rows, result.predictions)
        lines += parameter_lines(result, self._spec)
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)
        self._console.print(f"show it again: {self._again}", style="dim", markup=False, soft_wrap=True)


def _state_text(event: StateChange) -> str:
    if event.state is JobState.QUEUED and event.jobs_ahead:
        return f"waiting, {event.jobs_ahead} ahead"
    return event.state.lower() + (f": {event.reason}" if event.reason else "")
