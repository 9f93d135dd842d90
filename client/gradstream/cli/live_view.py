"""A run on a terminal: a bar that moves, the curve so far, and the result."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gradstream.cli.chart import draw, drawable, labelled
from gradstream.cli.coloured import coloured
from gradstream.cli.overlay import overlay
from gradstream.cli.pace import Pace
from gradstream.cli.report import (
    change_line,
    counted,
    duration,
    measured_lines,
    metrics_text,
    model_note,
    outcome_line,
    parameter_lines,
    prediction_lines,
)
from gradstream.events import Completed, EpochUpdates, Event, Heartbeat, JobWarning, Started, StateChange
from gradstream.job import JobState
from gradstream.run import Run
from gradstream.spec import Spec

_REFRESH_HZ = 10
_CHART_HEIGHT = 5
_WIDEST = 100
_NARROWEST_WITH_BAR = 40


class LiveView:
    """Draws the run anew ten times a second, whatever the pace of its epochs."""

    def __init__(
        self,
        run: Run,
        spec: Spec | None,
        again: str,
        console: Console | None = None,
        *,
        resume: str = "",
        replayed: int = 0,
    ) -> None:
        """again, resume: the commands that show the job again, and that let it go on when it is paused.
        replayed: sequence of the last event of the past."""
        self._run = run
        self._spec = spec
        self._again = again
        self._console = console or Console(highlight=False)
        self._resume = resume
        self._replayed = replayed
        self._before: list[str] = []
        self._pace = Pace()
        self._is_live = not replayed
        self._size = ""
        self._trouble = ""
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

    def connection_lost(self, text: str) -> bool:
        """Show this in the picture until something comes again: a line beside it would be drawn over."""
        self._trouble = text
        return True

    def show(self, event: Event) -> None:
        """Take an event into the picture."""
        self._trouble = ""
        if isinstance(event, Heartbeat):
            return
        self._is_live = event.sequence > self._replayed
        match event:
            case StateChange():
                self._pace = Pace()  # what is paused, or begins again, has none yet
                self._tell(change_line(event, is_past=event.sequence < self._replayed))
            case JobWarning():
                self._tell(f"warning: {event.message}")
            case Started():
                self._spec = event.spec
                self._size = f"{counted(event.rows, 'row')} on {event.spec.device}"
                self._before = prediction_lines("before", event.spec.predict_rows, event.predictions)
            case EpochUpdates():
                self._pace.add(event)
            case Completed():
                self._outcome = outcome_line(event) + model_note(event)
                self._live.stop()
                self._conclude(event)

    def render(self) -> Group:
        """The picture at this moment. Every line of it fits, however narrow the terminal."""
        width = min(self._console.width, _WIDEST)
        losses, epochs = self._run.losses, self._run.epochs
        done = int(epochs[-1]) if len(epochs) else 0
        name = (f"{self._spec.trainer}", "bold") if self._spec else ("job", "bold")
        parts: list[Text | Table] = [
            _line(Text.assemble(name, f" · {self._state()}", (f"  job {self._run.job}", "dim")))
        ]
        if self._spec:
            parts.append(_bar(done, self._spec.epochs, width))
        if len(losses):
            parts.append(_line(self._numbers(float(losses[-1]), done)))
            parts += self._chart(width)
        if self._trouble:
            parts.append(_line(Text(self._trouble, "yellow")))
        elif self._run.state is JobState.PAUSED:
            parts.append(_line(Text(f"let it go on: {self._resume}", "yellow")))
        return Group(*parts)

    def _chart(self, width: int) -> list[Text]:
        """The curve so far; with validation both, and what they are."""
        losses, epochs, measured = self._run.losses, self._run.epochs, self._run.validation_losses
        curves = [(epochs[sane], each[sane]) for each in (losses, measured) if (sane := drawable(each)).any()]
        if not len(measured) or not curves:
            chart = draw(losses, max(4, width - 12), _CHART_HEIGHT)
            return [_line(Text(line, "cyan")) for line in labelled(chart, int(epochs[0]), int(epochs[-1]))]
        both = overlay(curves, max(12, width), _CHART_HEIGHT)
        legend = Text.assemble(("━━", "cyan"), " loss  ", ("━━", "magenta"), " validation loss")
        return [*map(_line, coloured(both, ("cyan", "magenta"))), _line(legend)]

    def _state(self) -> str:
        state, ahead = self._run.state, self._run.jobs_ahead
        if state is JobState.QUEUED:
            return f"waiting, {ahead} ahead" if ahead else "waiting"
        return self._size if self._size and state is JobState.RUNNING else state.lower()

    def _numbers(self, loss: float, done: int) -> Text:
        if self._outcome:
            return Text(self._outcome)
        text = Text.assemble("loss ", (f"{loss:.6g}", "bold"))
        if len(measured := self._run.validation_losses):
            text.append(f"  validation loss {measured[-1]:.6g}")
            names = self._spec.metrics if self._spec else ()
            newest = {name: float(column[-1]) for name in names if len(column := self._run.metric(name))}
            text.append(f"  {metrics_text(newest)}" if newest else "")
        pace = self._pace.epochs_per_second
        if pace is None or self._trouble or not self._is_live or self._run.state is not JobState.RUNNING:
            return text
        total = self._spec.epochs if self._spec else 0
        left = f"  {duration((total - done) / pace)} left" if done < total else ""
        text.append(f"  {pace:,.0f} epochs/s{left}" if pace >= 10 else f"  {pace:.2g} epochs/s{left}")
        return text

    def _tell(self, line: str) -> None:
        """Leave a line above the picture."""
        if line:
            self._console.print(line, style="yellow", markup=False, soft_wrap=True)

    def _conclude(self, result: Completed) -> None:
        if self._spec is None:
            return
        lines = self._before + prediction_lines("after", self._spec.predict_rows, result.predictions)
        lines += measured_lines(result, self._spec) + parameter_lines(result, self._spec)
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)
        self._console.print(f"show it again: {self._again}", style="dim", markup=False, soft_wrap=True)


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _bar(done: int, total: int, width: int) -> Text | Table:
    epoch, share = f"epoch {done:,}/{total:,}", f"{100 * done / max(total, 1):3.0f}%"
    room = width - len(epoch) - len(share) - 4
    if width < _NARROWEST_WITH_BAR or room < 5:
        return _line(Text(f"{epoch} {share}"))
    bar = Table.grid(padding=(0, 1), expand=False)
    drawn = ProgressBar(total=max(total, 1), completed=done, width=min(room, max(10, width - 40)))
    bar.add_row(Text(epoch), drawn, Text(share))
    return bar
