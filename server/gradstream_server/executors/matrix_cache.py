"""Matrices of data sets as files, to be mapped into memory by every worker that needs them.

They can be made again at any time, so nothing waits for the disk: a server that starts forgets those of
before, which a power cut may have left in pieces.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

_ASIDE = ".aside-"


@dataclass(frozen=True)
class MatrixCache:
    """A folder of entries, the least recently used of which make room for new ones. Any process may call."""

    folder: Path
    max_bytes: int

    def clear(self) -> None:
        """Forget all entries. Who has mapped one keeps it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def entry(self, key: str, make: Callable[[Path], None]) -> Path:
        """The folder of a key, which is made if it is not there.

        Args:
            make: writes files into an empty folder. Two processes may do so at once; one of them is kept.

        Raises:
            OSError: there is no room for it.
        """
        entry = self.folder / key
        with suppress(FileNotFoundError):
            os.utime(entry)
            return entry
        self._remove_strays()
        aside = self._aside()
        aside.mkdir()
        try:
            make(aside)
            with suppress(OSError):  # Another was faster.
                aside.rename(entry)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self._make_room(key)
        return entry

    def _make_room(self, newest: str) -> None:
        """Remove entries that were not used for longest until the others take no more than they may."""
        found = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # Another makes room, too.
                if not path.name.startswith(_ASIDE):
                    size = sum(file.stat().st_size for file in path.iterdir())
                    found.append((path.stat().st_mtime_ns, size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.max_bytes:
                return
            if path.name != newest:
                total -= size
                self._remove(path)

    def _remove(self, entry: Path) -> None:
        """Remove an entry, at once: nobody finds a part of one."""
        aside = self._aside()
        with suppress(OSError):
            entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _aside(self) -> Path:
        return self.folder / f"{_ASIDE}{os.getpid()}-{token_hex(8)}"

    def _remove_strays(self) -> None:
        """Remove what processes have left that were killed while they made it."""
        for path in self.folder.glob(f"{_ASIDE}*"):
            try:
                os.kill(int(path.name.removeprefix(_ASIDE).partition("-")[0]), 0)
            except ProcessLookupError:
                shutil.rmtree(path, ignore_errors=True)
            except (PermissionError, ValueError):
                continue
