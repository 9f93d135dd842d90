"""The lock on a data directory: one server at a time."""

import fcntl
import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class DataDirLock(AbstractContextManager["DataDirLock"]):
    """Makes the data directory and holds it while open. The system lets go of it when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        """
        Raises:
            DataDirError: it cannot be written, or another server has it.
        """
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._file = (data_dir / "lock").open("a+")
        except OSError as error:
            raise DataDirError(
                f"cannot use the data directory {data_dir}: {error.strerror}; name another with --data-dir"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise DataDirError(
                f"another server (process {holder}) uses the data directory {data_dir}; "
                "stop it, or name another directory with --data-dir"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
