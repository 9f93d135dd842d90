"""Which models can be asked: loaded when they are first asked for, and until they are unloaded."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from gradstream.bundle import Bundle
from gradstream_server.access.principal import UNRESTRICTED, Principal
from gradstream_server.jobs.errors import ModelUnloaded, ModelUnusable, RequestError
from gradstream_server.models.served import ModuleComputer, ServedModel, ServedModule
from gradstream_server.models.service import ModelService
from gradstream_server.trainers import catalogue

T = TypeVar("T")
Loaded: TypeAlias = ServedModel | ServedModule

_MOST_NUMBERS = 32 << 20
"""Parameters of all models that are loaded; those not asked for longest make room."""
_KNOWN_S = 1.0
"""How long it is believed which versions there are, of which another server may add some."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a model in the index."""

    name: str
    version: int
    reason: str
    """Why it cannot be asked; empty when it can."""


@dataclass(frozen=True, slots=True)
class _Versions:
    """The versions of a model, as they were read."""

    numbers: Sequence[int]
    changes: int
    read_at: float


class Serving:
    """Finds models to be asked, and loads and unloads them, by the names that they are kept as. Lives on one
    event loop."""

    def __init__(self, models: ModelService, computer: ModuleComputer, threads: int, max_bytes: int) -> None:
        """
        Args:
            computer: of installed modules.
            threads: that predict what takes long.
            max_bytes: of predictions in one answer.
        """
        self._models = models
        self._computer = computer
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="prediction")
        self._versions: dict[str, _Versions] = {}
        self._loaded: dict[tuple[str, int], Loaded] = {}
        """Those that were asked last are at the end."""
        self._numbers = 0
        self._loading: dict[tuple[str, int], asyncio.Task[Loaded]] = {}
        self._unloaded: set[tuple[str, int]] = set()
        self._unusable: dict[tuple[str, int], str] = {}
        """Why those that could not be loaded could not."""

    async def get(self, name: str, version: int = 0) -> Loaded:
        """A model to be asked: the latest of its name that is not unloaded, unless a version is given.

        Raises:
            ModelNotFound: there is none.
            ModelUnloaded: it is not to be asked.
            ModelUnusable: what was kept does not make a model that can be asked.
        """
        versions = await self._known(name)
        if not version:
            version = next((each for each in reversed(versions) if (name, each) not in self._unloaded), 0)
            if not version:
                raise ModelUnloaded(name)
        elif version not in versions:
            raise await self._models.not_found(name, version)
        elif (name, version) in self._unloaded:
            raise ModelUnloaded(name, version)
        key = name, version
        served = self._loaded.pop(key, None)
        if served is None:
            return await self._load(key)
        self._loaded[key] = served
        return served

    async def versions(self, name: str) -> list[int]:
        """The versions of a model that are not unloaded, rising.

        Raises:
            ModelNotFound: there is none of the name.
        """
        return [version for version in await self._known(name) if (name, version) not in self._unloaded]

    async def is_ready(self, name: str, version: int = 0) -> bool:
        """Whether a model can be asked."""
        try:
            await self.get(name, version)
        except RequestError:
            return False
        return True

    async def index(self, caller: Principal = UNRESTRICTED) -> list[Entry]:
        """All versions of all models that are there for the caller, by name."""
        found = [(name, version) for name, version in await self._models.index(caller)]
        return [Entry(*key, self._reason(key)) for key in found]

    async def load(self, name: str, version: int = 0) -> None:
        """Let a model be asked, if it was unloaded, and load it now; without a version, all of them.

        Raises:
            ModelNotFound: there is none.
            ModelUnusable: what was kept does not make a model that can be asked.
        """
        for key in await self._named(name, version):
            self._unloaded.discard(key)
        await self.get(name, version)

    async def unload(self, name: str, version: int = 0) -> None:
        """Let a model be asked no more, until it is loaded; without a version, none of those there are.

        Raises:
            ModelNotFound: there is none.
        """
        for key in await self._named(name, version):
            self._unloaded.add(key)
            self._forget(key)

    async def run(self, work: Callable[[], T]) -> T:
        """Do what takes long, and let others go on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Finish what is being predicted."""
        self._threads.shutdown()

    async def _known(self, name: str) -> Sequence[int]:
        """The versions of a model, not all read anew for each request: that takes longer than to predict."""
        changes, now = self._models.changes, time.monotonic()
        known = self._versions.get(name)
        if known is None or known.changes != changes or now - known.read_at > _KNOWN_S:
            numbers = await self._models.versions(name)
            gone = {key for key in self._loaded if key[0] == name and key[1] not in numbers}
            for key in gone:
                self._forget(key)
            if not numbers:
                self._versions.pop(name, None)
                raise await self._models.not_found(name)
            known = self._versions[name] = _Versions(numbers, changes, now)
        return known.numbers

    async def _named(self, name: str, version: int) -> list[tuple[str, int]]:
        versions = await self._known(name)
        if version and version not in versions:
            raise await self._models.not_found(name, version)
        return [(name, each) for each in ([version] if version else versions)]

    async def _load(self, key: tuple[str, int]) -> Loaded:
        """Load a model, once for all who ask for it meanwhile."""
        if key not in self._loading:
            self._loading[key] = asyncio.create_task(self._read(*key))
            self._loading[key].add_done_callback(lambda _: self._loading.pop(key).exception())
        # Who asked first may leave, the others wait on.
        return await asyncio.shield(self._loading[key])

    async def _read(self, name: str, version: int) -> Loaded:
        key = name, version
        try:
            served = self._served(await self._models.bundle(await self._models.get(name, version)))
        except ModelUnusable as error:
            self._unusable[key] = str(error)
            raise
        self._unusable.pop(key, None)
        if key not in self._unloaded:
            self._loaded[key] = served
            self._numbers += served.numbers
        while self._numbers > _MOST_NUMBERS and len(self._loaded) > 1:
            self._forget(next(iter(self._loaded)))
        return served

    def _served(self, bundle: Bundle) -> Loaded:
        if not bundle.is_plugin:
            return ServedModel(bundle, self._max_bytes)
        if bundle.model.name not in catalogue.installed().models:
            told = f"model {bundle.origin.name} version {bundle.origin.version} is {bundle.model.name!r}"
            raise ModelUnusable(
                f"{told}, an installed module that this server does not have: install its package"
            )
        return ServedModule(bundle, self._max_bytes, self._computer)

    def _forget(self, key: tuple[str, int]) -> None:
        if served := self._loaded.pop(key, None):
            self._numbers -= served.numbers

    def _reason(self, key: tuple[str, int]) -> str:
        return "it is unloaded" if key in self._unloaded else self._unusable.get(key, "")
