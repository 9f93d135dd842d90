"""Reads files as tables, each in a process of its own, which is all that a hostile file can harm."""

import asyncio
import logging
import multiprocessing
import resource
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from gradstream_server.data.dataset import Table
from gradstream_server.jobs.errors import UnreadableData
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.reserve import NO_ROOM

_logger = logging.getLogger(__name__)

_MEMORY_BYTES = 2 << 30
"""That a reader may take: blocks of rows, however large the file. More is no table that anybody meant."""


class TableProcesses:
    """Reads files, a process each, a few at a time. Lives on one event loop."""

    def __init__(self, at_once: int, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._turns = asyncio.Semaphore(at_once)

    async def read(self, path: Path, name: str, target: Path, max_bytes: int) -> Table:
        async with self._turns:
            context = multiprocessing.get_context("forkserver")
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_read,
                args=(theirs, path, name, target, max_bytes, self._memory_bytes),
                name="gradstream-reader",
                daemon=True,
            )
            starting = asyncio.ensure_future(asyncio.to_thread(process.start))
            try:
                await asyncio.shield(starting)
                theirs.close()
                result = await _receive(ours)
            finally:
                # Nobody waits for its result any more, or it is done.
                await asyncio.shield(_end(process, starting))
                ours.close()
                theirs.close()
        match result:
            case Table():
                return result
            case UnreadableData():
                raise result
            case OSError():
                if result.errno in NO_ROOM:
                    raise StorageFull("the disk is full")
                raise result
        _logger.warning("the reader of a file has died", extra={"file": name, "exit_code": process.exitcode})
        raise UnreadableData(
            f"{name!r} could not be read: it ended its reader with {process.exitcode}; perhaps it is damaged"
        )


async def _end(process: BaseProcess, starting: "asyncio.Future[None]") -> None:
    await asyncio.gather(starting, return_exceptions=True)
    if process.pid is not None:
        process.kill()
        await asyncio.to_thread(process.join)


async def _receive(pipe: Connection) -> object:
    """What the reader says at its end; None when it dies without a word."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    try:
        return await asyncio.to_thread(pipe.recv)
    except (EOFError, OSError):
        # Also in the middle of what it says.
        return None


def _read(pipe: Connection, path: Path, name: str, target: Path, max_bytes: int, memory_bytes: int) -> None:
    """What the process runs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ingest = import_module("gradstream_server.data.ingest").ingest
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, hard))
    try:
        pipe.send(ingest(path, name, target, max_bytes))
    except MemoryError:
        pipe.send(UnreadableData(f"to read it takes more than {memory_bytes >> 20} MiB of memory at once"))
    except (UnreadableData, OSError) as error:
        pipe.send(error)
