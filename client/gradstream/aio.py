"""The client for asyncio: the calls of `Client` and `Run`, awaited."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstream.aio_transport import AsyncTransport
from gradstream.convert import job_of
from gradstream.dataset import Dataset
from gradstream.dataset_operations import DatasetOperations
from gradstream.endpoint import endpoint
from gradstream.events import Completed, Event, Receipt
from gradstream.gradients import GradientCheck
from gradstream.job import Job, JobState, ModelVersion
from gradstream.model import ModelFormat, ModelInfo
from gradstream.model_operations import ModelOperations
from gradstream.operations import Operations
from gradstream.reader import Update
from gradstream.replay import ReplayResult
from gradstream.request import build_spec
from gradstream.run import WatchedRun
from gradstream.server_info import Health, ServerInfo, Validation
from gradstream.session import RetryCallback, Session
from gradstream.source import Source
from gradstream.space import Space
from gradstream.spec import SpecOptions
from gradstream.sweep import AsyncSweep
from gradstream.sweep_steps import Plan, SweepSteps
from gradstream.tls import TLS
from gradstream.upload import ProgressCallback

if TYPE_CHECKING:
    from gradstream.bundle import Bundle
    from gradstream.bundle.table import Rows


class AsyncRun(WatchedRun):
    """The log of a job, as it is written: `Run` for asyncio."""

    async def __aiter__(self) -> AsyncIterator[Update]:
        turn = self._reader.take_turn()
        try:
            while await self._reader.fill(turn):
                for update in self._reader.updates():
                    yield update
        finally:
            self._reader.leave(turn)

    async def events(self, *, heartbeats: bool = False) -> AsyncIterator[Event]:
        """Like iterating, but epochs that came together stay together, as columns: EpochUpdates.

        heartbeats: whether to give one, too, whenever nothing has happened for some seconds.
        """
        turn = self._reader.take_turn()
        try:
            while await self._reader.fill(turn, heartbeats=heartbeats):
                for event in self._reader.events():
                    yield event
        finally:
            self._reader.leave(turn)

    async def result(self) -> Completed:
        """Wait for the end of the job and return what it gave, as `Run.result` does."""
        turn = self._reader.take_turn()
        try:
            return await self._reader.read_to_end()
        finally:
            self._reader.leave(turn)

    async def cancel(self) -> Job:
        """Ask the job to stop, and return it as it then stands."""
        return job_of(await self._reader.cancel())

    async def pause(self) -> Job:
        """Put the job aside, and return it once it is PAUSED."""
        return job_of(await self._reader.pause())

    async def resume(self) -> Job:
        """Let the job go on, and return it as it then stands."""
        return job_of(await self._reader.resume())

    def close(self) -> None:
        """Leave. The job goes on."""
        self._reader.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class AsyncReplay:
    """A job that is being trained again: `Replay` for asyncio."""

    run: AsyncRun
    """The new job, to be watched as any other."""
    original: Receipt
    """The receipt of the job that is trained again."""

    async def result(self) -> ReplayResult:
        """Wait for the end of the new job and compare. Raises JobEndedError when it has no result."""
        return ReplayResult(self.original, (await self.run.result()).receipt)


@dataclass(frozen=True, eq=False)
class AsyncModel(ModelInfo):
    """A model on the server: `Model` for asyncio."""

    _operations: ModelOperations = field(repr=False)

    @classmethod
    def of(cls, info: ModelInfo, operations: ModelOperations) -> Self:
        """The model that something is known of."""
        return cls(**vars(info), _operations=operations)

    async def download(self, target: str | PathLike[str], format: ModelFormat | None = None) -> Path:
        """Write the model to a file, and return its path, as `Model.download` does."""
        return await self._operations.download(self.name, self.version, target, format)

    async def load(self) -> "Bundle":
        """Fetch the model, to predict here with NumPy alone."""
        return await self._operations.load(self.name, self.version)

    async def predict(self, rows: "Rows") -> NDArray[np.floating[Any]]:
        """Ask the server for predictions, as `Model.predict` does."""
        return await self._operations.predict(self.name, self.version, rows)

    async def classify(self, rows: "Rows") -> NDArray[Any]:
        """Ask the server for the most probable class of each row, as `Model.classify` does."""
        return await self._operations.classify(self.name, self.version, rows)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradstream.html_views import model_html

        return model_html(self)

    async def delete(self) -> None:
        """Delete this version, for good."""
        await self._operations.delete(self.name, self.version)


class AsyncClient:
    """A connection to a gradstream server, for one event loop. Use it with `async with`, or close it.

    async with AsyncClient() as client:
        run = await client.train(features, targets, epochs=100, learning_rate=0.1)
        async for event in run: ...
        print((await run.result()).parameters)

    Arguments, results and errors are those of `Client`.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        tls: TLS | bool | None = None,
        profile: str | None = None,
        token: str | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 60.0,
        on_retry: RetryCallback | None = None,
    ) -> None:
        """Nothing is sent yet. Arguments as for `Client`."""
        found = endpoint(server, tls, profile, token)
        self.server = found.address
        """Where the server is."""
        self._transport = AsyncTransport(found)
        self._session = Session(self._transport, self.server, timeout_s, patience_s, on_retry)
        self._operations = Operations(self._session)
        self._datasets = DatasetOperations(self._session)
        self._models = ModelOperations(self._session)

    async def train(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        request_id: UUID | str | None = None,
        priority: int = 0,
        cancel_on_disconnect: bool = False,
        group: str = "",
        model_name: str = "",
        **options: Unpack[SpecOptions],
    ) -> AsyncRun:
        """Start a job and watch it, as `Client.train` does."""
        spec = build_spec(features, targets, **options)
        return AsyncRun(
            await self._operations.train(spec, request_id, priority, cancel_on_disconnect, group, model_name)
        )

    async def create(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        request_id: UUID | str | None = None,
        priority: int = 0,
        group: str = "",
        model_name: str = "",
        **options: Unpack[SpecOptions],
    ) -> Job:
        """Start a job and leave it to itself."""
        spec = build_spec(features, targets, **options)
        return await self._operations.create(spec, request_id, priority, group, model_name)

    async def validate(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        **options: Unpack[SpecOptions],
    ) -> Validation:
        """What the server would make of a spec, without starting anything."""
        return await self._operations.validate(build_spec(features, targets, **options))

    async def check_gradients(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        **options: Unpack[SpecOptions],
    ) -> GradientCheck:
        """Compare the gradients of all trainers on the first batch, as `Client.check_gradients` does."""
        return await self._operations.check_gradients(build_spec(features, targets, **options))

    async def watch(self, job: str, after_sequence: int = 0) -> AsyncRun:
        """Watch a job, from the event after `after_sequence` on: by default from the first."""
        return AsyncRun(await self._operations.watch(job, after_sequence))

    async def get(self, job: str) -> Job:
        """A job as it stands."""
        return await self._operations.get(job)

    async def jobs(self, states: Iterable[JobState | str] = (), *, group: str = "") -> AsyncIterator[Job]:
        """All jobs, newest first; or those in one of the states, and of the group. Fetched as needed."""
        states, token, more = tuple(states), "", True
        while more:
            page, token = await self._operations.page(states, token, group)
            for job in page:
                yield job
            more = bool(token)

    async def cancel(self, job: str) -> Job:
        """Ask a job to stop, and return it as it then stands."""
        return await self._operations.cancel(job)

    async def pause(self, job: str) -> Job:
        """Put a job aside, and return it once it is PAUSED."""
        return await self._operations.pause(job)

    async def resume(self, job: str) -> Job:
        """Queue a paused job again, to go on where it was, and return it as it then stands."""
        return await self._operations.resume(job)

    async def delete(self, job: str) -> None:
        """Delete a job that has ended, with its log and all that is kept for it."""
        await self._operations.delete(job)

    async def replay(self, job: str, *, request_id: UUID | str | None = None) -> AsyncReplay:
        """Train again what a job has trained, as a new job, to see whether it comes to the same."""
        reader, original = await self._operations.replay(job, request_id)
        return AsyncReplay(AsyncRun(reader), original)

    def sweep(
        self,
        vary: Space,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        draws: int | None = None,
        search: Literal["random", "optuna"] = "random",
        at_once: int | None = None,
        group: str = "",
        priority: int = 0,
        objective: str = "loss",
        **options: Unpack[SpecOptions],
    ) -> AsyncSweep:
        """Train one run for each of some options, and find the best, as `Client.sweep` does."""
        seed = options.get("seed") or 0
        plan = Plan(vary, draws, search, seed, at_once, group, priority, objective)
        return AsyncSweep(SweepSteps(self._operations, self._session, plan, features, targets, **options))

    async def upload(
        self, source: Source, *, name: str | None = None, on_progress: ProgressCallback | None = None
    ) -> Dataset:
        """Upload a table, as `Client.upload` does; files are read in a thread."""
        return await self._datasets.upload(source, name, on_progress)

    async def datasets(self) -> AsyncIterator[Dataset]:
        """All data sets, newest first, without the categories of their columns; fetched as needed."""
        token, more = "", True
        while more:
            page, token = await self._datasets.page(token)
            for dataset in page:
                yield dataset
            more = bool(token)

    async def dataset(self, digest: str) -> Dataset:
        """A data set by its digest, or the first characters of it, at least 6."""
        return await self._datasets.get(digest)

    async def delete_dataset(self, digest: str) -> None:
        """Delete a data set."""
        await self._datasets.delete(digest)

    async def models(self, name: str = "") -> AsyncIterator[AsyncModel]:
        """All models, newest first, or those of a name; fetched as needed."""
        token, more = "", True
        while more:
            page, token = await self._models.page(token, name)
            for info in page:
                yield AsyncModel.of(info, self._models)
            more = bool(token)

    async def model(self, name: str | ModelVersion, version: int | None = None) -> AsyncModel:
        """A model: the latest of its name, unless a version is given."""
        return AsyncModel.of(await self._models.get(name, version), self._models)

    async def delete_model(
        self, name: str, version: int | None = None, *, all_versions: bool = False
    ) -> list[int]:
        """Delete a version of a model, or all of them, as `Client.delete_model` does."""
        return await self._models.delete(name, version, all_versions)

    async def server_info(self) -> ServerInfo:
        """What the server is: its version, devices, trainers and limits."""
        return await self._operations.server_info()

    async def health(self) -> Health:
        """Whether the server takes work."""
        return await self._operations.health()

    async def close(self) -> None:
        """End the connection, and with it all calls. Jobs go on."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
