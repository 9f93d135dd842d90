"""What callers can do with models: the use cases, free of transport."""

import asyncio
import difflib
import logging
from collections.abc import Sequence
from dataclasses import replace

from gradstream.bundle import Bundle
from gradstream.errors import BundleError
from gradstream_server.access.principal import UNRESTRICTED, Principal
from gradstream_server.jobs.codec import Codec
from gradstream_server.jobs.errors import FormatNotAvailable, ModelNotFound, ModelUnusable, NoRoom
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.model import Model
from gradstream_server.jobs.request_fields import check_name
from gradstream_server.jobs.store import StorageFull
from gradstream_server.models.bundling import bundle_of
from gradstream_server.models.contents import ModelContents
from gradstream_server.models.errors import CannotRender
from gradstream_server.models.rendering import render
from gradstream_server.models.store import ModelStore

_logger = logging.getLogger(__name__)

_MOST_NAMES = 1000
_NEAREST = 3


class ModelService:
    """Finds, lists, gives away and deletes models. Lives on one event loop."""

    def __init__(self, models: ModelStore, contents: ModelContents, log: EventLog, codec: Codec) -> None:
        """
        Args:
            log: whose turns deletions take.
        """
        self._models = models
        self._contents = contents
        self._log = log
        self._codec = codec
        self._deletions = 0

    @property
    def changes(self) -> int:
        """Counts the models that have come and gone here, for those who remember which there are."""
        return self._log.models_left + self._deletions

    async def recover(self) -> None:
        """Tidy up what an earlier server has left behind."""
        try:
            await asyncio.to_thread(self._contents.remove_strays)
        except OSError:
            _logger.exception("what is left of deleted models could not be removed")

    async def get(self, name: str, version: int = 0, caller: Principal = UNRESTRICTED) -> Model:
        """A model: the latest of its name, unless a version is given.

        Raises:
            ModelNotFound: there is none, or it is somebody else's.
        """
        key = caller.key(name)
        found = await asyncio.to_thread(self._models.get, key, version)
        if found is None:
            raise await self.not_found(key, version)
        return replace(found, name=caller.called(key))

    async def versions(self, name: str) -> Sequence[int]:
        """The versions of a model as it is kept, rising; empty when there is none."""
        return await asyncio.to_thread(self._models.versions, name)

    async def index(self, caller: Principal = UNRESTRICTED) -> Sequence[tuple[str, int]]:
        """Names, as models are kept, and versions of all that are there for the caller, by both."""
        return await asyncio.to_thread(self._models.index, caller.only)

    async def not_found(self, name: str, version: int = 0) -> ModelNotFound:
        """That there is no such model as it would be kept, with what there is of its owner."""
        return await asyncio.to_thread(self._not_found, name, version)

    async def page(
        self, name: str, before: int | None, size: int, caller: Principal = UNRESTRICTED
    ) -> tuple[Sequence[Model], int | None]:
        """A page of the caller's models, newest first, of a name or of all, and where the next begins.

        Raises:
            InvalidRequest: no model can have such a name.
        """
        check_name("name", name.rpartition("/")[2] if caller.sees_all else name)
        key = caller.key(name) if name else ""
        page, cursor = await asyncio.to_thread(self._models.page, key, before, size, caller.only)
        return [replace(model, name=caller.called(model.name)) for model in page], cursor

    async def delete(self, name: str, version: int = 0, caller: Principal = UNRESTRICTED) -> list[int]:
        """Delete a version of a model, or all of them; returns those that were.

        Raises:
            ModelNotFound: there is none, or it is somebody else's.
            NoRoom: the disk has none to note it.
        """
        name = caller.key(name)
        versions = [version] if version else await asyncio.to_thread(self._models.versions, name)
        try:
            deleted = await self._log.in_turn(self._models.delete, name, versions)
        except StorageFull as error:
            raise NoRoom from error
        if not deleted:
            raise await self.not_found(name, version)
        self._deletions += len(deleted)
        for model in deleted:
            await asyncio.to_thread(self._contents.remove, model.job)
        return sorted(model.version for model in deleted)

    async def bundle(self, model: Model) -> Bundle:
        """All that is needed to predict.

        Raises:
            ModelNotFound: it was deleted meanwhile.
            ModelUnusable: what was kept does not make a model.
        """
        return await asyncio.to_thread(self._bundle, model)

    async def render(self, model: Model, form: str) -> bytes:
        """A model as a file in one of `rendering.FORMATS`.

        Raises:
            ModelNotFound, ModelUnusable: as `bundle`.
            FormatNotAvailable: it cannot be had in this format, here or at all.
        """
        return await asyncio.to_thread(self._render, model, form)

    def _render(self, model: Model, form: str) -> bytes:
        try:
            return render(self._bundle(model), form)
        except CannotRender as error:
            raise FormatNotAvailable(f"{_told(model)}: {error}") from error

    def _bundle(self, model: Model) -> Bundle:
        content = self._contents.read(model.job)
        if content is None:
            if self._models.of_job(model.job) is None:
                raise ModelNotFound(model.name, model.version, (), ())
            raise ModelUnusable(
                f"the parameters of {_told(model)} are lost: its file is gone from the server"
            )
        try:
            result = self._codec.decode_result(content)
            if result.scaling is None:
                # An earlier version told it at the beginning of training alone.
                result = replace(result, scaling=self._codec.decode_result(model.outcome).scaling)
            return bundle_of(
                self._codec.decode_spec(model.spec),
                result,
                job=model.job,
                name=model.name,
                version=model.version,
                described=self._codec.describe_spec(model.spec),
            )
        except (BundleError, ValueError) as error:
            raise ModelUnusable(f"{_told(model)} cannot be used: {error}") from error

    def _not_found(self, name: str, version: int) -> ModelNotFound:
        owner, _, plain = name.rpartition("/")
        names = [each.rpartition("/")[2] for each in self._models.names(_MOST_NAMES, owner)]
        nearest = difflib.get_close_matches(plain[:100], names, _NEAREST)
        return ModelNotFound(plain, version, self._models.versions(name), nearest)


def _told(model: Model) -> str:
    return f"model {model.name} version {model.version}"
