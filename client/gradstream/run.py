"""A run that is watched, for synchronous programs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gradstream.convert import job_of
from gradstream.events import Completed, Event, Started
from gradstream.job import Job, JobState
from gradstream.model_operations import ModelOperations
from gradstream.reader import READ_BY_ANOTHER, Reader, Update
from gradstream.transport import finish


class WatchedRun:
    """What can be told of a run without waiting: common to synchronous and asyncio programs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def job(self) -> str:
        """The job."""
        return self._reader.tail.job

    @property
    def sequence(self) -> int:
        """Sequence of the last event received: `client.watch(job, sequence)` goes on behind it."""
        return self._reader.tail.sequence

    @property
    def state(self) -> JobState:
        """Where the job stood at the last event received."""
        return self._reader.state

    @property
    def jobs_ahead(self) -> int:
        """While QUEUED: how many jobs are ahead, as last heard; the server tells it every few seconds."""
        return self._reader.jobs_ahead

    @property
    def started(self) -> Started | None:
        """What the server made of the spec; None before training has begun."""
        return self._reader.started

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Numbers of the epochs received, shape (n,)."""
        return self._reader.curve.epochs

    @property
    def losses(self) -> NDArray[np.float64]:
        """Losses of the epochs received, shape (n,)."""
        return self._reader.curve.losses

    @property
    def validation_losses(self) -> NDArray[np.float64]:
        """Losses of the validation rows after these epochs, shape (n,); empty without validation."""
        return self._reader.curve.column("validation loss")

    def metric(self, name: str) -> NDArray[np.float64]:
        """A metric of the validation rows after these epochs, shape (n,); empty where it is not measured."""
        return self._reader.curve.column(name)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import run_html

        return run_html(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of job {self.job}: {self.state}, {len(self.losses)} epochs received>"


class Run(WatchedRun):
    """The log of a job, as it is written.

    Iterating gives each event once, epoch by epoch, and ends with the job. It may be left at any time, which
    ends the call but not the job; iterating again goes on where the last iteration stopped. When the
    connection breaks, or the server dies and comes back, it is attached again, and neither gap nor repetition
    can be seen. While the job waits or is paused, so does the iteration.

    A notebook that ends a cell with it shows it live, to its end, by a stream of its own: who iterates misses
    nothing.

    A run is for one thread at a time: iterating it, or waiting for its result, while another thread does,
    raises RuntimeError. Threads that want the same job watch it each by a run of their own,
    `client.watch(run.job)`. `cancel`, `pause`, `resume`, `close` and what can be told without waiting are for
    any thread.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Update]:
        turn = self._take_turn()
        try:
            while self._fill(turn):
                yield from self._reader.updates()
        finally:
            self._reader.leave(turn)

    def events(self, *, heartbeats: bool = False) -> Iterator[Event]:
        """Like iterating, but epochs that came together stay together, as columns: EpochUpdates.

        heartbeats: whether to give one, too, whenever nothing has happened for some seconds.
        """
        turn = self._take_turn()
        try:
            while self._fill(turn, heartbeats=heartbeats):
                yield from self._reader.events()
        finally:
            self._reader.leave(turn)

    def result(self) -> Completed:
        """Wait for the end of the job and return what it gave. Events remain to be iterated.

            predictions = run.result().model.predict(rows)

        Raises JobFailedError or JobCancelledError when the job has ended without a result; both tell what it
        had reached, as `result_so_far`.
        """
        turn = self._take_turn()
        try:
            with self._reading():
                result = finish(self._reader.read_to_end())
        finally:
            self._reader.leave(turn)
        if result.model is None:
            return result
        operations = ModelOperations(self._reader.session)
        return replace(result, model=replace(result.model, _operations=operations))

    def cancel(self) -> Job:
        """Ask the job to stop, and return it as it then stands."""
        return job_of(finish(self._reader.cancel()))

    def pause(self) -> Job:
        """Put the job aside, and return it once it is PAUSED, as `Client.pause` does."""
        return job_of(finish(self._reader.pause()))

    def resume(self) -> Job:
        """Let the job go on, and return it as it then stands, as `Client.resume` does."""
        return job_of(finish(self._reader.resume()))

    def close(self) -> None:
        """Leave. The job goes on."""
        self._reader.leave()

    def _ipython_display_(self) -> None:
        from gradstream.notebook import show

        show(Run(self._reader.another()))

    def _take_turn(self) -> int:
        with self._reading():
            return self._reader.take_turn()

    def _fill(self, turn: int, *, heartbeats: bool = False) -> bool:
        with self._reading():
            return finish(self._reader.fill(turn, heartbeats=heartbeats))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Only one thread reads at a time; it does not wait for another, which may take for ever."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(READ_BY_ANOTHER)
        try:
            yield
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
