"""Receives files, keeps them as data sets, and finds, lists and deletes these."""

import asyncio
import re
import uuid
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import accumulate

from gradstream_server.access.principal import UNRESTRICTED, Principal
from gradstream_server.data.dataset import Dataset
from gradstream_server.data.formats import format_of, known_suffixes
from gradstream_server.data.receiving import Receiving
from gradstream_server.data.store import DatasetStore, Received, TableReader, UploadRecord, UploadStore
from gradstream_server.jobs.errors import (
    DatasetInUse,
    DatasetNotFound,
    DigestMismatch,
    InvalidRequest,
    NoRoom,
    TooManyUploads,
    UploadInterrupted,
    Violation,
)
from gradstream_server.jobs.limits import Limits
from gradstream_server.jobs.store import JobStore, StorageFull

_DIGEST = re.compile("[0-9a-f]{64}")
_BEGINNING = re.compile("[0-9a-f]{6,64}")
_DIGEST_LENGTH = 64
_MAX_NAME = 200
_LOOK_AGAIN_S = 600.0
_PAGE_COLUMNS = 10_000


class DatasetService:
    """Data sets and uploads. Lives on one event loop."""

    def __init__(
        self,
        datasets: DatasetStore,
        uploads: UploadStore,
        reader: TableReader,
        jobs: JobStore,
        limits: Limits,
        keep_uploads_s: float,
    ) -> None:
        """
        Args:
            jobs: those that may need a data set.
            keep_uploads_s: how long an upload is kept that nobody goes on with.
        """
        self._datasets = datasets
        self._uploads = uploads
        self._reader = reader
        self._limits = limits
        self._keep_uploads_s = keep_uploads_s
        self._jobs = jobs
        self._receiving: dict[str, Receiving] = {}
        self._keeping: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Digests of files that are being read: the same file twice at once is kept once."""
        self._tidying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to remove uploads that nobody goes on with."""
        self._tidying = asyncio.create_task(self._tidy())

    def close(self) -> None:
        """Stop doing so."""
        if self._tidying:
            self._tidying.cancel()

    async def begin(
        self, upload: str, name: str, size_bytes: int, caller: Principal = UNRESTRICTED
    ) -> Receiving:
        """Begin to receive a file, or go on with it. Who has begun has to `leave`.

        Raises:
            InvalidRequest: a field is out of range, or not what it was when the upload was begun.
            TooManyUploads, NoRoom: not now.
        """
        self._check(upload, name, size_bytes)
        record = UploadRecord(str(uuid.UUID(upload)), name, size_bytes, caller.name)
        while earlier := self._receiving.get(record.id):
            _check_owner(earlier.record, caller)
            # Its connection has broken, which only the sender knows.
            await earlier.leave()
        if len(self._receiving) >= self._limits.max_uploads:
            raise TooManyUploads(self._limits.max_uploads, retry_after_s=5)
        if known := self._uploads.get(record.id):
            _check_owner(known, caller)
        if known and known != record:
            what = f"has begun as {known.name!r} of {known.size_bytes} bytes; use a new id for another file"
            raise InvalidRequest([Violation("begin.upload", what)])
        receiving = Receiving(record, self._uploads, lambda: self._left(record.id))
        self._receiving[record.id] = receiving
        try:
            await receiving.open()
        except StorageFull as error:
            await self.forget(receiving)
            raise NoRoom from error
        return receiving

    async def finish(self, receiving: Receiving, digest: str) -> Dataset:
        """Keep what was received as a data set.

        Raises:
            InvalidRequest: not all of the file has been received.
            UploadInterrupted: somebody else has gone on with it.
            DigestMismatch, UnreadableData: it is nothing to be kept; the upload is removed.
            NoRoom: the disk is full.
        """
        if not _DIGEST.fullmatch(digest):
            what = f"is {digest!r}; it has to be the SHA-256 of the file, 64 digits and letters a to f"
            raise InvalidRequest([Violation("end.digest", what)])
        record = receiving.record
        received = await receiving.all()
        try:
            if received.size != record.size_bytes:
                missing = f"comes after {received.size} of {record.size_bytes} bytes; send the others first"
                raise InvalidRequest([Violation("end", missing)])
            if received.digest != digest:
                raise DigestMismatch(digest, received.digest)
            async with self._keeping[digest]:
                dataset = self._datasets.get(digest, record.owner) or await self._keep(receiving, received)
        except InvalidRequest:
            raise
        except StorageFull as error:
            await self.forget(receiving)
            raise NoRoom from error
        except Exception:
            await self.forget(receiving)
            raise
        finally:
            if not self._keeping[digest].locked():
                del self._keeping[digest]
        await self.forget(receiving)
        return dataset

    async def forget(self, receiving: Receiving) -> None:
        """Remove what was received."""
        await receiving.leave()
        await asyncio.to_thread(self._uploads.remove, receiving.record.id)

    async def find_content(
        self, size_bytes: int, head_digest: str, caller: Principal = UNRESTRICTED
    ) -> tuple[list[str], list[tuple[UploadRecord, Received]]]:
        """What of the caller's may be a file of this size and beginning: digests of data sets, and uploads.

        Raises:
            InvalidRequest: a field is out of range.
        """
        if not _DIGEST.fullmatch(head_digest):
            what = f"is {head_digest!r}; it has to be a SHA-256, 64 digits and letters a to f"
            raise InvalidRequest([Violation("head_digest", what)])
        digests = [
            dataset.digest
            for dataset in self._datasets.all()
            if dataset.owner == caller.name
            and (dataset.size_bytes, dataset.head_digest) == (size_bytes, head_digest)
        ]
        return digests, await asyncio.to_thread(self._unfinished, size_bytes, head_digest, caller.name)

    def _unfinished(
        self, size_bytes: int, head_digest: str, owner: str
    ) -> list[tuple[UploadRecord, Received]]:
        found = []
        for record in self._uploads.all():
            if record.size_bytes == size_bytes and record.owner == owner:
                received = self._uploads.received(record.id, head_digest)
                if received:
                    found.append((record, received))
        return found

    def get(self, dataset: str, caller: Principal = UNRESTRICTED) -> Dataset:
        """The data set of a digest, or of the beginning of one. Of what several have, who sees all gets his
        own, or that of who had it first.

        Raises:
            DatasetNotFound: the caller has none, or more than one begins so.
        """
        alike = {dataset}
        if len(dataset) < _DIGEST_LENGTH and _BEGINNING.fullmatch(dataset):
            seen = (each.digest for each in self._datasets.all() if caller.sees(each.owner))
            alike = {digest for digest in seen if digest.startswith(dataset)}
        found = None
        if len(alike) == 1:
            (digest,) = alike
            found = self._datasets.get(digest, caller.name)
            if found is None and caller.sees_all:
                found = self._datasets.get(digest)
        if found is None:
            raise DatasetNotFound(dataset, sorted(alike - {dataset}))
        return found

    def page(
        self, before: tuple[datetime, str] | None, size: int, caller: Principal = UNRESTRICTED
    ) -> tuple[Sequence[Dataset], tuple[datetime, str] | None]:
        """A page of the caller's data sets, newest first, and where the next begins: after a time and digest.

        There are fewer on it when they are so wide that they would make too large a message.
        """
        datasets = [each for each in self._datasets.all() if caller.sees(each.owner)]
        if before:
            datasets = [each for each in datasets if (each.create_time, each.digest) < before]
        columns = accumulate(len(each.table.columns) for each in datasets[:size])
        page = datasets[: max(1, sum(count <= _PAGE_COLUMNS for count in columns))]
        more = len(datasets) > len(page)
        return page, (page[-1].create_time, page[-1].digest) if more else None

    async def delete(self, dataset: str, caller: Principal = UNRESTRICTED) -> None:
        """Delete a data set; others who have uploaded the same keep it.

        Raises:
            DatasetNotFound: there is no such data set, or it is somebody else's.
            DatasetInUse: jobs that have not ended train on it.
            NoRoom: the disk has none to note that others still have it.
        """
        found = self.get(dataset, caller)
        digest, owner = found.digest, found.owner
        others = any(each.digest == digest and each.owner != owner for each in self._datasets.all())
        unfinished = await asyncio.to_thread(self._jobs.unfinished)
        # Jobs of others train on what they have uploaded themselves. Without it, only on what they may see.
        if any(
            digest in (job.data_digest, job.validation_digest) and (job.owner == owner or not others)
            for job in unfinished
        ):
            raise DatasetInUse(digest)
        try:
            await asyncio.to_thread(self._datasets.remove, digest, owner)
        except StorageFull as error:
            raise NoRoom from error

    async def _keep(self, receiving: Receiving, received: Received) -> Dataset:
        record = receiving.record
        if not receiving.path.exists():
            # It was sent twice at once, and found to be no table meanwhile.
            raise UploadInterrupted(record.id, 0)
        prepared = await asyncio.to_thread(self._datasets.prepare)
        try:
            table = await self._reader.read(
                receiving.path, record.name, prepared, self._limits.max_dataset_bytes
            )
            dataset = Dataset(
                digest=received.digest,
                head_digest=received.head_digest,
                name=record.name,
                size_bytes=record.size_bytes,
                create_time=datetime.now(UTC),
                table=table,
                owner=record.owner,
            )
            await asyncio.to_thread(self._datasets.keep, dataset, prepared)
        finally:
            await asyncio.shield(asyncio.to_thread(self._datasets.discard, prepared))
        return dataset

    def _left(self, upload: str) -> None:
        self._receiving.pop(upload, None)

    async def _tidy(self) -> None:
        while True:
            with suppress(OSError):
                await asyncio.to_thread(self._uploads.remove_older, self._keep_uploads_s)
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _check(self, upload: str, name: str, size_bytes: int) -> None:
        violations = []
        try:
            is_uuid4 = uuid.UUID(upload).version == 4
        except ValueError:
            is_uuid4 = False
        if not is_uuid4:
            what = f"is {upload!r}; it has to be a UUID of version 4, such as {uuid.uuid4()}"
            violations.append(Violation("begin.upload", what))
        if not 1 <= len(name) <= _MAX_NAME or "/" in name or "\\" in name or not name.isprintable():
            what = f"is {name!r}; it has to be a file's name without folders, at most {_MAX_NAME} characters"
            violations.append(Violation("begin.name", what))
        elif format_of(name) is None:
            what = f"is {name!r}, whose ending says no format; there are {', '.join(known_suffixes())}"
            violations.append(Violation("begin.name", what))
        most = self._limits.max_dataset_bytes
        if not 1 <= size_bytes <= most:
            what = f"is {size_bytes}; it has to be from 1 to {most}"
            violations.append(Violation("begin.size_bytes", what))
        if violations:
            raise InvalidRequest(violations)


def _check_owner(record: UploadRecord, caller: Principal) -> None:
    """Refuse the id of another's upload, of which no more is told."""
    if record.owner != caller.name:
        what = "was used already; use a new id for another file"
        raise InvalidRequest([Violation("begin.upload", what)])
