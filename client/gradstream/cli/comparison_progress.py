"""How far a comparison has come, on a terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gradstream.cli.comparison import Progress
from gradstream.run import Run


@contextmanager
def comparison_progress() -> Iterator[Progress]:
    """Draws a bar on stderr, where that is a terminal, and takes it away at the end."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield lambda _trainer, _number, _count, _run: None
        return
    # Imported only when used: it takes longer than a short comparison.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def tell(trainer: str, number: int, count: int, run: Run) -> None:
            progress.update(
                task,
                description=f"{trainer}, trainer {number} of {count}",
                total=run.started.spec.epochs if run.started else None,
                completed=int(run.epochs[-1]) if len(run.epochs) else 0,
            )

        yield tell
