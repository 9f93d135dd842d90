"""How far an upload has come: a bar on a terminal, else lines. On stderr, for results are on stdout."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from gradstream.cli.connection import current_connection
from gradstream.cli.data_report import printable, size

_EVERY_S = 10.0


class Progress(Protocol):
    """Shows how far an upload has come."""

    is_begun: bool
    """Whether anything had to be sent."""

    def show(self, sent_bytes: int, size_bytes: int) -> None:
        """Show that so many bytes have been sent."""
        ...


@contextmanager
def transfer(name: str, *, plain: bool, after_s: float = 0.0) -> Iterator[Progress]:
    """Something that shows the progress of an upload until the block ends, but not before a time."""
    if plain or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield Lines(printable(name), after_s)
        return
    with Bar(printable(name), after_s).shown() as bar:
        yield bar


class Lines:
    """A line at the beginning, and then one every ten seconds."""

    def __init__(self, name: str, after_s: float) -> None:
        self.is_begun = False
        self._name = name
        self._told_at = 0.0
        self._tell_from = time.monotonic() + after_s

    def show(self, sent_bytes: int, size_bytes: int) -> None:
        """Tell it, when it is time."""
        current_connection().works()
        now = time.monotonic()
        if now < self._tell_from:
            return
        percent = f"{sent_bytes / size_bytes:.0%} of {size(size_bytes)}"
        if not self.is_begun:
            self.is_begun, self._told_at = True, now
            at = f" at {percent}" if sent_bytes else f": {size(size_bytes)}"
            click.echo(f"{'going on with' if sent_bytes else 'sending'} {self._name}{at}", err=True)
        elif now - self._told_at >= _EVERY_S:
            click.echo(f"{self._name}: {percent} sent", err=True)
            self._told_at = now


class Bar:
    """A bar with the bytes, their pace, and the time that is left."""

    def __init__(self, name: str, after_s: float) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.is_begun = False
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task(name, total=None, start=False, visible=False)
        self._name = name
        self._tell_from = time.monotonic() + after_s

    @contextmanager
    def shown(self) -> "Iterator[Bar]":
        """It is drawn until the block ends, and then leaves nothing behind."""
        with self._progress:
            yield self

    def show(self, sent_bytes: int, size_bytes: int) -> None:
        """Draw it, when it is time."""
        current_connection().works()
        if time.monotonic() < self._tell_from:
            return
        if not self.is_begun:
            self._progress.start_task(self._task)
            self.is_begun = True
        # Once all is sent, the server reads it as a table.
        what = f"{self._name} is being read" if sent_bytes == size_bytes else self._name
        self._progress.update(
            self._task, completed=sent_bytes, total=size_bytes, description=what, visible=True
        )
