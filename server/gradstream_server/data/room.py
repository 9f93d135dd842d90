"""Room that large files leave on a disk for what is small and must not be lost: the log of the jobs."""

import errno
import os
from pathlib import Path

ROOM_BYTES = 16 << 20


def leave_room(folder: Path, size: int = 0) -> None:
    """See that there is room for so many bytes in a folder, and some more.

    Raises:
        OSError: there is not.
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < size + ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
