"""The lock on a data directory: one server at a time, and never one too few."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.disk import fill, small_disk

from gradstream_server.lock import DataDirError, DataDirLock


def test_only_one_has_it_and_the_other_is_told_who(tmp_path: Path) -> None:
    """Two servers would write over each other's jobs."""
    with (
        closing(DataDirLock(tmp_path)),
        pytest.raises(DataDirError, match=f"another server .process {os.getpid()}. uses"),
    ):
        DataDirLock(tmp_path)


def test_it_is_free_again(tmp_path: Path) -> None:
    """After a crash an operator would have to delete a file by hand."""
    for _ in range(3):
        with closing(DataDirLock(tmp_path)):
            assert (tmp_path / "lock").read_text() == str(os.getpid())
    (tmp_path / "lock").write_text("12345 and the rest of a crash")
    with closing(DataDirLock(tmp_path)):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_full_disk_does_not_keep_it_from_who_is_there_already(tmp_path: Path) -> None:
    """Jobs on a full disk could not even be read, or deleted to make room."""
    with small_disk(tmp_path, 1) as disk:
        fill(disk)
        for _ in range(2):
            with closing(DataDirLock(disk)), pytest.raises(DataDirError, match="process unknown"):
                DataDirLock(disk)


def test_the_directory_is_made(tmp_path: Path) -> None:
    """A new user would have to make a directory first."""
    with closing(DataDirLock(tmp_path / "a" / "b")):
        assert (tmp_path / "a" / "b").is_dir()
