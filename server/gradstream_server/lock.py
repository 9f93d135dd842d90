"""The lock on a data directory: one server at a time."""

import fcntl
import os
from pathlib import Path

from gradstream_server.stores.durable import sync_folder


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class DataDirLock:
    """Makes the data directory and holds it until closed. The system lets go when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        """
        Raises:
            DataDirError: it cannot be written, or another server has it.
        """
        try:
            if not data_dir.exists():
                data_dir.mkdir(mode=0o700, parents=True)
                sync_folder(data_dir.parent)
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

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
