"""The data directory: one server at a time uses it, and can write to it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from gradstream_server.stores.durable import make_folder, sync_folder


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class DataDirLock:
    """Makes the data directory and holds it until closed. The system lets go when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        """
        Raises:
            DataDirError: it cannot be written, or another server has it.
        """
        self._data_dir = data_dir
        try:
            if not data_dir.exists():
                data_dir.mkdir(mode=0o700, parents=True)
                sync_folder(data_dir.parent)
            self._file = (data_dir / "lock").open("ab+", buffering=0)
        except OSError as error:
            raise _unusable(data_dir, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with self._file:
                self._file.seek(0)
                holder = self._file.read().decode(errors="replace").strip() or "unknown"
            raise DataDirError(
                f"another server (process {holder}) uses the data directory {data_dir}; "
                "stop it, or name another directory with --data-dir"
            ) from error
        except OSError as error:
            self._file.close()
            raise _unusable(data_dir, error) from error
        # It only says who has the lock: a full disk is no reason not to serve what is there.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(str(os.getpid()).encode())

    def folder(self, name: str) -> Path:
        """A folder in the directory, made if it is not there.

        Raises:
            DataDirError: it cannot be written.
        """
        folder = self._data_dir / name
        try:
            make_folder(folder)
        except OSError as error:
            raise _unusable(folder, error) from error
        # Asked for, not tried: on a full disk what is there can still be served.
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _unusable(folder, PermissionError(0, "it cannot be written to"))
        return folder

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


def _unusable(path: Path, error: OSError) -> DataDirError:
    return DataDirError(
        f"cannot use the data directory {path}: {error.strerror}; name another with --data-dir"
    )
