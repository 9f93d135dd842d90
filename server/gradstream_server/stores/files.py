"""The numbers of inline data as files, one for each content, named by its digest."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstream_server.jobs.spec import InlineData, summarize
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import ASIDE, make_folder, sync_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM

_PIECE_BYTES = 256 << 10


class FileDataStore:
    """A folder of files, each holding features and targets one after the other in NumPy's format."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)
        for left in folder.iterdir():
            # ".put-" is what they were called by the version before.
            if left.name.startswith((ASIDE, ".put-")):
                left.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where data of this digest lie."""
        return self._folder / f"{digest}.npy"

    def put(self, digest: str, data: InlineData) -> None:
        path = self.path(digest)
        arrays = [np.ascontiguousarray(array) for array in (data.features, data.targets)]
        content = [part for array in arrays for part in (_header(array), array.data.cast("B"))]
        # What is damaged is written anew: there is no other way to repair it.
        if _holds(path, content):
            return
        try:
            write_file(path, lambda file: file.writelines(content))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull("the disk is full") from error
            raise

    def get(self, digest: str) -> InlineData | None:
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            return None
        with file:
            try:
                features, targets = (np.load(file, allow_pickle=False) for _ in range(2))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - of a damaged header NumPy raises whatever its parser does
                return None
        data = InlineData(features, targets)
        # Damaged data are as good as gone: who asks for them has to send them again.
        return data if summarize(data).digest == digest else None

    def digests(self) -> set[str]:
        return {path.stem for path in self._folder.glob("*.npy")}

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)
        sync_folder(self._folder)


def _header(array: NDArray[Any]) -> memoryview:
    """What comes before the numbers of an array in NumPy's format."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getbuffer()


def _holds(path: Path, content: Sequence[memoryview]) -> bool:
    """Whether a file can be read and holds just this content. That takes less time than a digest does."""
    piece = memoryview(bytearray(_PIECE_BYTES))
    try:
        if path.stat().st_size != sum(part.nbytes for part in content):
            return False
        with path.open("rb", buffering=0) as file:
            for part in content:
                for start in range(0, part.nbytes, _PIECE_BYTES):
                    expected = part[start : start + _PIECE_BYTES]
                    read = piece[: file.readinto(piece[: expected.nbytes])]
                    if not np.array_equal(np.frombuffer(read, np.uint8), np.frombuffer(expected, np.uint8)):
                        return False
    except OSError:
        return False
    return True
