"""The numbers of inline data as files, one for each content, named by its digest."""

import os
import tempfile
from pathlib import Path

import numpy as np

from gradstream_server.jobs.spec import InlineData


class FileDataStore:
    """A folder of files, each holding features and targets one after the other in NumPy's format."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where data of this digest lie."""
        return self._folder / f"{digest}.npy"

    def put(self, digest: str, data: InlineData) -> None:
        path = self.path(digest)
        if path.exists():
            return
        # Written aside and renamed, so that a file that is there is whole.
        handle, aside = tempfile.mkstemp(dir=self._folder, prefix=".put-")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, data.features, allow_pickle=False)
                np.save(file, data.targets, allow_pickle=False)
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
