"""A run in a notebook: drawn anew while it trains. Needs IPython only where IPython itself calls it."""

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstream.errors import GradstreamError, JobEndedError
from gradstream.events import Completed
from gradstream.html_views import run_html

if TYPE_CHECKING:
    from gradstream.run import Run

_REFRESH_S = 0.2


def show(run: "Run") -> None:
    """Show a run to its end, and leave the picture there; interrupting the kernel leaves the job.

    Where IPython runs in a terminal, which has no pictures, its text is printed instead.
    """
    display: Any = import_module("IPython.display").display
    shell: Any = import_module("IPython").get_ipython()
    if not hasattr(shell, "kernel"):
        print(repr(run))
        return
    handle = display(_bundle(run), raw=True, display_id=True)
    drawn_at = time.monotonic()
    result, trouble = None, ""
    try:
        for _ in run.events(heartbeats=True):
            if time.monotonic() >= drawn_at + _REFRESH_S:
                handle.update(_bundle(run), raw=True)
                drawn_at = time.monotonic()
        result = run.result()
    except JobEndedError as error:
        trouble = error.message
    except KeyboardInterrupt:
        trouble = "left: the job goes on; show the run again, or cancel it with run.cancel()"
    except GradstreamError as error:
        trouble = error.message
        raise
    finally:
        handle.update(_bundle(run, result, trouble), raw=True)


def _bundle(run: "Run", result: Completed | None = None, trouble: str = "") -> dict[str, str]:
    return {"text/plain": repr(run), "text/html": run_html(run, result, trouble)}
