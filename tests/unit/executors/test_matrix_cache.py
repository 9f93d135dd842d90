"""Matrices that jobs share: made once, never seen in part, and forgotten when there are too many."""

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.disk import small_disk

from gradstream_server.executors.matrix_cache import MatrixCache


class Making:
    """Makes an entry of some bytes, and counts how often."""

    def __init__(self, size: int = 100, takes_s: float = 0.0) -> None:
        self.times = 0
        self._size = size
        self._takes_s = takes_s

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "first").write_bytes(bytes(self._size // 2))
        time.sleep(self._takes_s)
        (folder / "second").write_bytes(bytes(self._size - self._size // 2))


@pytest.fixture
def cache(tmp_path: Path) -> MatrixCache:
    cache = MatrixCache(tmp_path / "matrices", 350)
    cache.clear()
    return cache


def names(cache: MatrixCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


def test_an_entry_is_made_once(cache: MatrixCache) -> None:
    make = Making()
    for _ in range(3):
        assert sorted(path.name for path in cache.entry("a", make).iterdir()) == ["first", "second"]
    assert make.times == 1


def test_what_was_not_used_for_longest_makes_room(cache: MatrixCache) -> None:
    """The disk would fill up with the matrices of jobs that ended long ago."""
    for name in "abc":
        cache.entry(name, Making())
    cache.entry("a", Making())
    cache.entry("d", Making())
    assert names(cache) == ["a", "c", "d"]
    cache.entry("e", Making(300))
    assert names(cache) == ["e"]
    cache.entry("f", Making(500))
    assert names(cache) == ["f"], (
        "one that is larger than all may be is there for as long as it is the newest"
    )
    cache.entry("g", Making())
    assert names(cache) == ["g"]


def test_who_has_mapped_an_entry_keeps_it(cache: MatrixCache) -> None:
    with (cache.entry("a", Making()) / "first").open("rb") as mapped:
        cache.entry("b", Making(340))
        assert names(cache) == ["b"]
        assert len(mapped.read()) == 50
    cache.clear()
    assert names(cache) == []


def test_two_at_once_find_a_whole_one(cache: MatrixCache) -> None:
    """A job would train on half a matrix, or fail, because another begins at the same time."""
    make = Making(takes_s=0.01)

    def look(_: int) -> list[int]:
        return [path.stat().st_size for path in sorted(cache.entry("a", make).iterdir())]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(16))) == [[50, 50]] * 16
    assert names(cache) == ["a"]


def test_many_that_make_room_at_once(cache: MatrixCache) -> None:
    """A job would fail because another one's matrix was just removed."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.entry(f"k{i % 9}", Making()), range(300)))
    cache.entry("last", Making())
    assert len(names(cache)) <= 3
    assert not [name for name in names(cache) if name.startswith(".")]


def test_one_that_cannot_be_made_leaves_nothing(cache: MatrixCache) -> None:
    def fail(folder: Path) -> None:
        Making()(folder)
        raise MemoryError

    with pytest.raises(MemoryError):
        cache.entry("a", fail)
    assert names(cache) == []
    assert cache.entry("a", Making()).is_dir()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1) as disk:
        cache = MatrixCache(disk / "matrices", 1 << 30)
        cache.clear()
        with pytest.raises(OSError, match="No space") as raised:
            cache.entry("a", Making(4 << 20))
        assert raised.value.errno == errno.ENOSPC
        assert names(cache) == []


def test_what_killed_workers_have_left_is_removed(cache: MatrixCache) -> None:
    """Each worker that is killed while it makes a matrix would cost its size, until the server stops."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (cache.folder / f".aside-{pid}-x").mkdir()
    cache.entry("a", Making())
    assert names(cache) == [f".aside-{os.getpid()}-x", "a"]
