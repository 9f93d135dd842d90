"""Files that are whole or not there, and that a power cut does not take away once they are."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

ASIDE = ".aside-"
"""How the name of a file begins that is being written. One whose writer was killed stays behind."""


def write_file(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file, in place of an earlier one if there is one; when that fails the earlier one is untouched.

    Raises:
        OSError: there is no room for it, or no folder.
    """
    aside = path.with_name(ASIDE + secrets.token_hex(8))
    try:
        with aside.open("wb") as file:
            fill(file)
            file.flush()
            # Before the rename, or a power cut could leave the new name with nothing in it.
            os.fsync(file)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that a power cut does not undo what was named, renamed or removed in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, as far as they are not there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
