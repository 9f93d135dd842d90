"""Room on the disk that is kept for the time when it is full.

The file here holds nothing; it takes room that nobody else can take meanwhile. When the disk is full it is
given up: half of it at once, for the database to bring what it has in hand to its place, the rest piece by
piece, so that what has to be kept even then finds room: which jobs ended because of it.
"""

import errno
import os
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when the disk, or the user's share of it, is full."""
_PIECE = 64 << 10
_ROOM_BESIDE = 1 << 20


class Reserve:
    """A file that is as large as it should be while there is room for it."""

    def __init__(self, path: Path, size: int = 4 << 20) -> None:
        self._path = path
        self._size = size
        self._left = path.stat().st_size if path.exists() else 0
        if self._left > size:  # The process was killed while it made it.
            os.truncate(path, size)
            self._left = size

    @property
    def whole(self) -> bool:
        """Whether it is as large as it should be."""
        return self._left == self._size

    def release(self) -> bool:
        """Give up a piece; says whether there was one left."""
        if self._left == 0:
            return False
        self._left = max(0, self._left - _PIECE)
        os.truncate(self._path, self._left)
        return True

    def release_half(self) -> None:
        """Give up what is more than half of it."""
        while self._left > self._size // 2:
            self.release()

    def restore(self) -> bool:
        """Make it as large as it should be, if there is room for it and some more; says whether it is."""
        if not self.whole and _grow(self._path, self._left, self._size + _ROOM_BESIDE):
            os.truncate(self._path, self._size)
            self._left = self._size
        return self.whole

    def is_disk_full(self) -> bool:
        """Whether there is no room for anything of note."""
        probe = self._path.with_name(self._path.name + "-probe")
        try:
            return not _grow(probe, 0, _ROOM_BESIDE)
        finally:
            probe.unlink(missing_ok=True)


def _grow(path: Path, size: int, larger: int) -> bool:
    """Make a file larger; says whether there was room, and leaves it as it was when there was not."""
    with path.open("ab", buffering=0) as file:
        file.truncate(size)
        try:
            # Written, not asked for: what the system tells of free room leaves out quotas, and what is kept
            # for root. Random, since a file system that compresses would keep nothing for zeros.
            noise = os.urandom(_PIECE)
            written = size
            while written < larger:
                written += file.write(noise[: larger - written])
            os.fsync(file)
        except OSError as error:
            file.truncate(size)
            if error.errno not in NO_ROOM:
                raise
            return False
    return True
