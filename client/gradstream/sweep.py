"""Many runs of one spec with other options, as jobs of one group; and the best of them."""

from collections.abc import AsyncIterator, Iterator

from gradstream.sweep_run import SweepRun
from gradstream.sweep_steps import SweepSteps
from gradstream.transport import finish


class WatchedSweep:
    """What can be told of a sweep without waiting: common to synchronous and asyncio programs."""

    def __init__(self, steps: SweepSteps) -> None:
        self._steps = steps

    @property
    def group(self) -> str:
        """The group of its jobs. A sweep of the same group goes on with it."""
        return self._steps.group

    @property
    def runs(self) -> tuple[SweepRun, ...]:
        """The runs that were started, in order."""
        return tuple(self._steps.runs.values())

    @property
    def best(self) -> SweepRun | None:
        """The best run that has succeeded; the first of equals."""
        found = [run for run in self.runs if run.value is not None]
        return min(found, key=lambda run: (run.value, run.number), default=None)

    @property
    def total(self) -> int:
        """How many runs there will be."""
        return len(self._steps.runs) + self._steps.left

    @property
    def at_once(self) -> int:
        """How many of its jobs may be there that have not ended; 0 before the server has told."""
        return self._steps.at_once

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import sweep_html

        return sweep_html(self)


class Sweep(WatchedSweep):
    """The runs of a sweep, started as others end.

    Iterating starts runs and gives each that has changed: begun, gone on or ended. Nothing is started while
    nobody iterates; jobs that are there go on.
    """

    def __iter__(self) -> Iterator[SweepRun]:
        while not self._steps.ended:
            yield from finish(self._steps.advance())
            finish(self._steps.rest())

    def result(self) -> SweepRun | None:
        """Wait for the end, and return the best run; None when no run has succeeded."""
        for _ in self:
            pass
        return self.best

    def cancel(self) -> None:
        """Ask the runs that have not ended to stop. A sweep of the same group trains them again."""
        finish(self._steps.cancel())


class AsyncSweep(WatchedSweep):
    """The runs of a sweep, started as others end: `Sweep` for asyncio."""

    async def __aiter__(self) -> AsyncIterator[SweepRun]:
        while not self._steps.ended:
            for run in await self._steps.advance():
                yield run
            await self._steps.rest()

    async def result(self) -> SweepRun | None:
        """Wait for the end, and return the best run; None when no run has succeeded."""
        async for _ in self:
            pass
        return self.best

    async def cancel(self) -> None:
        """Ask the runs that have not ended to stop."""
        await self._steps.cancel()
