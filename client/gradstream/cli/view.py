"""What a view of a run is, and which one is shown."""

import os
import sys
from types import TracebackType
from typing import Protocol, Self

from gradstream.events import Event
from gradstream.run import Run
from gradstream.spec import Spec


class View(Protocol):
    """Shows the events of a run as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, event: Event) -> None:
        """Show an event."""
        ...

    def connection_lost(self, text: str) -> bool:
        """Show that nothing comes for now. False: it cannot, and stderr is to be told."""
        ...


def choose_view(
    run: Run,
    spec: Spec | None,
    *,
    replayed: int,
    format_: str,
    plain: bool,
    every: int | None,
    again: str,
    resume: str,
) -> View:
    """JSON when asked for; live on a terminal that can, unless plain is asked for; else plain.

    spec: what the job trains, where it is known before the run tells. replayed: sequence of the last event
    that was there before the run was watched. again, resume: the commands that show the job again, and that
    let it go on when it is paused.
    """
    # Each is imported when it is used: rich alone takes longer than a short run.
    if format_ == "json":
        from gradstream.cli.json_view import JsonView

        return JsonView()
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        from gradstream.cli.plain_view import PlainView

        return PlainView(spec, every, resume=resume, replayed=replayed)
    from gradstream.cli.live_view import LiveView

    return LiveView(run, spec, again, resume=resume, replayed=replayed)
