"""Where data sets and uploads are kept, and who reads files; `stores/` and `executors/` implement it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gradstream_server.data.dataset import Dataset, Table

HEAD_BYTES = 1 << 20
"""By so many bytes from its beginning, and its size, a file is looked for before it is sent."""


class DatasetFiles(Protocol):
    """Where data sets lie. Any process may call, and an instance can be pickled. Methods block."""

    def read(self, digest: str) -> Dataset | None:
        """What is known of a data set, or None."""
        ...

    def table(self, digest: str) -> Path:
        """Where the Arrow file of a data set lies."""
        ...


class DatasetStore(Protocol):
    """Data sets by digest and owner; what several have is kept once. Methods block and may be called from
    several threads."""

    def all(self) -> Sequence[Dataset]:
        """All data sets, as each owner has them, newest first."""
        ...

    def get(self, digest: str, owner: str | None = None) -> Dataset | None:
        """A data set, as an owner has it or who had it first; or None."""
        ...

    def prepare(self) -> Path:
        """A new place for an Arrow file; `keep` or `discard` takes it away."""
        ...

    def keep(self, dataset: Dataset, prepared: Path) -> None:
        """Keep a data set, safe from anything once this returns. Content that is there stays as it is.

        Raises:
            StorageFull: there is no room for it.
        """
        ...

    def discard(self, prepared: Path) -> None:
        """Remove what was prepared; nothing happens when it is gone."""
        ...

    def remove(self, digest: str, owner: str = "") -> None:
        """Remove a data set of an owner, and its content when nobody has it any more; nothing happens when it
        is gone already.

        Raises:
            StorageFull: there is no room to note that others still have it.
        """
        ...


@dataclass(frozen=True)
class Received:
    """What has been received of an upload."""

    size: int
    digest: str
    """SHA-256 of these bytes."""
    head_digest: str
    """SHA-256 of the first HEAD_BYTES, or of all when there are fewer."""


class Upload(Protocol):
    """A file on its way here. Methods block; one thread at a time."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes received."""
        ...

    def append(self, content: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            StorageFull: there is no room for them.
        """
        ...

    def received(self) -> Received:
        """What has been received so far."""
        ...

    def close(self) -> None:
        """Leave it, to be gone on with."""
        ...


@dataclass(frozen=True)
class UploadRecord:
    """An upload that has not come to its end."""

    id: str
    name: str
    size_bytes: int
    """Of the whole file."""
    owner: str = ""
    """Who sends it; empty for nobody."""


class UploadStore(Protocol):
    """Uploads by id. Methods block."""

    def open(self, record: UploadRecord) -> Upload:
        """Begin an upload, or go on with it: then what is there already has been received.

        Raises:
            StorageFull: there is no room for it.
        """
        ...

    def get(self, upload: str) -> UploadRecord | None:
        """What is known of an upload, or None."""
        ...

    def received(self, upload: str, head_digest: str) -> Received | None:
        """What has been received of an upload; None when it does not begin so, or is gone."""
        ...

    def all(self) -> Sequence[UploadRecord]:
        """All uploads."""
        ...

    def remove(self, upload: str) -> None:
        """Remove an upload; nothing happens when it is gone already."""
        ...

    def remove_older(self, age_s: float) -> None:
        """Remove uploads that nothing has come of for so long."""
        ...


class TableReader(Protocol):
    """Reads files as tables, out of the server's main process."""

    async def read(self, path: Path, name: str, target: Path, max_bytes: int) -> Table:
        """Read a file, whose name says what it is, and write its table to `target` as an Arrow file.

        Raises:
            UnreadableData: it is no such table, or takes more than `max_bytes`.
            StorageFull: there is no room for it.
        """
        ...
