"""A run in a notebook: drawn anew while it trains. Needs IPython only where IPython itself calls it."""

import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstream.errors import GradstreamError, JobEndedError
from gradstream.events import Completed
from gradstream.html_views import run_html

if TYPE_CHECKING:
    from gradstream.run import Run

_REFRESH_S = 0.2


def is_notebook() -> bool:
    """Whether this is the kernel of a notebook, which shows pictures, and no terminal or program."""
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def show(run: "Run") -> None:
    """Show a run to its end, and leave the picture there; interrupting the kernel leaves the job.

    Where IPython runs in a terminal, which has no pictures, its text is printed instead.
    """
    if not is_notebook():
        print(repr(run))
        return
    with suppress(JobEndedError, KeyboardInterrupt):
        follow(run, "left: the job goes on; show the run again, or cancel it with run.cancel()")


def follow(run: "Run", interrupted: str) -> None:
    """Show a run in a notebook to its end, and leave the picture there.

    interrupted: what it says when the kernel was interrupted.

    Raises what ends it early: JobEndedError, KeyboardInterrupt, a GradstreamError of the connection.
    """
    display: Any = import_module("IPython.display").display
    handle = display(_bundle(run), raw=True, display_id=True)
    drawn_at = time.monotonic()
    result, trouble = None, ""
    try:
        for _ in run.events(heartbeats=True):
            if time.monotonic() >= drawn_at + _REFRESH_S:
                handle.update(_bundle(run), raw=True)
                drawn_at = time.monotonic()
        result = run.result()
    except GradstreamError as error:
        trouble = error.message
        raise
    except KeyboardInterrupt:
        trouble = interrupted
        raise
    finally:
        handle.update(_bundle(run, result, trouble), raw=True)


def _bundle(run: "Run", result: Completed | None = None, trouble: str = "") -> dict[str, str]:
    return {"text/plain": repr(run), "text/html": run_html(run, result, trouble)}
