"""Inline data: kept once for all jobs that have the same, and for as long as there is one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gradstream_server.jobs.spec import InlineData
from gradstream_server.jobs.store import DataStore, JobStore


class SharedData:
    """Keeps data while jobs have them. Lives on one event loop."""

    def __init__(self, jobs: JobStore, data: DataStore) -> None:
        self._jobs = jobs
        self._data = data
        self._admitted: Counter[str] = Counter()
        """Digests of data that are kept already, while their jobs are not yet."""
        self._forgetting: dict[str, asyncio.Event] = {}
        """Digests of data that are just being removed: who comes with them waits, and keeps them again."""

    async def get(self, digest: str, owner: str | None = None) -> InlineData | None:
        """The data of a digest, without names; None when they are not there, or of no job of the owner."""
        if owner is not None and not await asyncio.to_thread(self._jobs.uses_data, digest, owner):
            return None
        return await asyncio.to_thread(self._data.get, digest)

    @asynccontextmanager
    async def kept(self, digest: str, data: InlineData) -> AsyncIterator[None]:
        """Keep the data of a job that is made in the block; what was refused leaves nothing behind."""
        await self._not_forgetting(digest)
        self._admitted[digest] += 1
        try:
            await asyncio.to_thread(self._data.put, digest, data)
            yield
        except BaseException:
            self._admitted -= Counter([digest])
            await self.forget(digest)
            raise
        self._admitted -= Counter([digest])

    async def forget(self, digest: str) -> None:
        """Remove data that no job has any more."""
        await self._not_forgetting(digest)
        if self._admitted[digest]:
            return
        self._forgetting[digest] = asyncio.Event()
        try:
            if not await asyncio.to_thread(self._jobs.uses_data, digest):
                await asyncio.to_thread(self._data.remove, digest)
        finally:
            self._forgetting.pop(digest).set()

    async def remove_strays(self) -> None:
        """Remove data of jobs that an earlier server died with before it could keep, or forget, them."""
        await asyncio.to_thread(self._remove_strays)

    def _remove_strays(self) -> None:
        for digest in self._data.digests() - self._jobs.data_digests():
            self._data.remove(digest)

    async def _not_forgetting(self, digest: str) -> None:
        while forgotten := self._forgetting.get(digest):
            await forgotten.wait()
