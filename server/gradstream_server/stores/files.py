"""The numbers of inline data as files, one for each content, named by its digest."""

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gradstream_server.jobs.spec import InlineData, summarize
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.durable import ASIDE, make_folder, sync_folder, write_file
from gradstream_server.stores.reserve import NO_ROOM


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
        headers = [_header(array) for array in arrays]
        size = sum(len(header) + array.nbytes for header, array in zip(headers, arrays, strict=True))
        # One of another size was cut off by a power cut, in a version that did not wait for the disk.
        if path.exists() and path.stat().st_size == size:
            return

        def fill(file: BinaryIO) -> None:
            for header, array in zip(headers, arrays, strict=True):
                file.write(header)
                file.write(array.data)

        try:
            write_file(path, fill)
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


def _header(array: NDArray[Any]) -> bytes:
    """What comes before the numbers of an array in NumPy's format."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue()
