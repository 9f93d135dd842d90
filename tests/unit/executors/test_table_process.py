"""A file can harm nothing but the process that reads it."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.disk import small_disk
from tests.processes import descendants, wait_for_end, wait_until
from tests.unit.data.files import LIMIT, arrow, npy, rows_kept

from gradstream_server.data.dataset import Table
from gradstream_server.executors.table_process import TableProcesses
from gradstream_server.jobs.errors import UnreadableData
from gradstream_server.jobs.store import StorageFull


async def read(folder: Path, content: bytes, name: str, processes: TableProcesses | None = None) -> Table:
    path = folder / "file"
    path.write_bytes(content)
    return await (processes or TableProcesses(2)).read(path, name, folder / "table.arrow", LIMIT)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that no reader comes to the end of."""
    os.mkfifo(tmp_path / "endless")
    return tmp_path / "endless"


async def reader(before: set[int]) -> int:
    """The process that reads, once it is there."""

    def found() -> list[int]:
        new = descendants(os.getpid()) - before
        return [pid for pid in new if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    await asyncio.to_thread(wait_until, found, "a reader")
    return found()[0]


async def forkserver(folder: Path) -> set[int]:
    """What runs already, the fork server among it."""
    await read(folder, b"a\n1\n", "t.csv")
    return descendants(os.getpid())


async def test_a_table(tmp_path: Path) -> None:
    table = await read(tmp_path, npy(np.arange(6).reshape(3, 2)), "t.npy")
    assert (table.rows, [column.name for column in table.columns]) == (3, ["x1", "x2"])
    assert rows_kept(tmp_path)["x2"].to_pylist() == [1, 3, 5]


async def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(UnreadableData, match="row 1 has 1 value"):
        await read(tmp_path, b"a,b\n1\n", "t.csv")


async def test_no_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, 2) as disk, pytest.raises(StorageFull):
        await read(disk, npy(np.zeros((1000, 10))), "t.npy")


async def test_more_memory_than_it_may_take(tmp_path: Path) -> None:
    """A file of some megabytes would take all memory of the machine, and everybody's jobs with it."""
    large = pa.array(["x" * (8 << 20)])
    bomb = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, "i4")), large)})
    text = "to read it takes more than 600 MiB of memory at once"
    with pytest.raises(UnreadableData, match=text):
        await read(tmp_path, arrow(bomb), "t.arrow", TableProcesses(1, 600 << 20))
    assert (await read(tmp_path, b"a\n1\n", "t.csv", TableProcesses(1, 600 << 20))).rows == 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
async def test_a_reader_that_dies(tmp_path: Path, endless: Path, number: int) -> None:
    """A crash of a parser would be a fault of the server, or its end."""
    processes = TableProcesses(1)
    before = await forkserver(tmp_path)
    reading = asyncio.create_task(processes.read(endless, "t.csv.gz", tmp_path / "t", LIMIT))
    os.kill(await reader(before), number)
    with pytest.raises(
        UnreadableData, match=f"it ended its reader with -{int(number)}; perhaps it is damaged"
    ):
        await reading
    assert (await read(tmp_path, b"a\n1\n", "t.csv", processes)).rows == 1


async def test_a_reader_that_is_killed(tmp_path: Path, endless: Path) -> None:
    """A system that is short of memory would make a good file a damaged one."""
    processes = TableProcesses(1)
    before = await forkserver(tmp_path)
    reading = asyncio.create_task(processes.read(endless, "t.csv.gz", tmp_path / "t", LIMIT))
    for _ in range(3):
        pid = await reader(before)
        before.add(pid)
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(UnreadableData, match="its reader was killed 3 times"):
        await reading


async def test_one_that_nobody_waits_for_ends(tmp_path: Path, endless: Path) -> None:
    """Readers of callers that are gone would keep the places of others, and their memory."""
    processes = TableProcesses(1)
    before = await forkserver(tmp_path)
    reading = asyncio.create_task(processes.read(endless, "t.csv.gz", tmp_path / "t", LIMIT))
    pid = await reader(before)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    wait_for_end({pid})
    for _ in range(5):
        reading = asyncio.create_task(processes.read(endless, "t.csv.gz", tmp_path / "t", LIMIT))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    wait_for_end(descendants(os.getpid()) - before)
    assert (await read(tmp_path, b"a\n1\n", "t.csv", processes)).rows == 1


async def test_some_at_once(tmp_path: Path, endless: Path) -> None:
    processes = TableProcesses(2)
    before = await forkserver(tmp_path)
    first = asyncio.create_task(processes.read(endless, "t.csv.gz", tmp_path / "t", LIMIT))
    await reader(before)
    assert (await read(tmp_path, b"a\n1\n", "t.csv", processes)).rows == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
