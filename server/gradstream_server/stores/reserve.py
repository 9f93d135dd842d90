"""Room on the disk that is kept for the time when it is full.

The file here holds nothing; it takes room that nobody else can take meanwhile. When the disk is full it is
given up, so that what has to be kept even then finds room: which jobs ended because of it.
"""

import errno
import os
import time
from pathlib import Path

_TRY_AGAIN_S = 1.0
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when the disk, or the user's share of it, is full."""


class Reserve:
    """A file of a fixed size that is there while there is room for it."""

    def __init__(self, path: Path, size: int = 1 << 20) -> None:
        self._path = path
        self._size = size
        self._next_try = 0.0
        # Of another size: the process was killed while it made it.
        self.held = path.exists() and path.stat().st_size == size

    def due(self) -> bool:
        """Whether it is time to try to hold it again: with every write would make each of them slow."""
        if self.held or time.monotonic() < self._next_try:
            return False
        self._next_try = time.monotonic() + _TRY_AGAIN_S
        return True

    def hold(self) -> bool:
        """Make it, where there is room for it and as much again for others; says whether it is there."""
        self.held = self.held or self._make(self._path)
        return self.held

    def fits_again(self) -> bool:
        """Whether there is room for another one, and as much again for others."""
        probe = self._path.with_name(self._path.name + "-probe")
        fits = self._make(probe)
        probe.unlink(missing_ok=True)
        return fits

    def give_up(self) -> bool:
        """Remove it; says whether there was one."""
        was_held, self.held = self.held, False
        self._path.unlink(missing_ok=True)
        self._next_try = time.monotonic() + _TRY_AGAIN_S
        return was_held

    def _make(self, path: Path) -> bool:
        try:
            with path.open("wb") as file:
                # Written, not asked for: what the system tells of free room leaves out quotas, and what is
                # kept for root. Random, since a file system that compresses would keep nothing for zeros.
                for _ in range(2):
                    file.write(os.urandom(self._size))
                file.flush()
                os.fsync(file)
                file.truncate(self._size)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in NO_ROOM:
                raise
            return False
        return True
