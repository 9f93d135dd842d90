"""Reads files as tables, each in a process of its own, which is all that a hostile file can harm."""

import asyncio
import logging
import resource
import signal
from importlib import import_module
from pathlib import Path

from gradstream_server.data.dataset import Table
from gradstream_server.executors.own_process import Died, in_own_process
from gradstream_server.jobs.errors import UnreadableData
from gradstream_server.jobs.store import StorageFull
from gradstream_server.stores.reserve import NO_ROOM

_logger = logging.getLogger(__name__)

_MEMORY_BYTES = 2 << 30
"""That a reader may take: blocks of rows, however large the file. More is no table that anybody meant."""

_KILLED = (None, -signal.SIGKILL)
"""Exit codes of a reader that others have ended, or its fork server: the file need not be to blame."""
_TRIES = 3


class TableProcesses:
    """Reads files, a process each, a few at a time. Lives on one event loop."""

    def __init__(self, at_once: int, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._turns = asyncio.Semaphore(at_once)

    async def read(self, path: Path, name: str, target: Path, max_bytes: int) -> Table:
        async with self._turns:
            for _ in range(_TRIES):
                result = await in_own_process(
                    _read, path, name, target, max_bytes, self._memory_bytes, name="gradstream-reader"
                )
                if not (isinstance(result, Died) and result.exit_code in _KILLED):
                    break
        match result:
            case Table():
                return result
            case UnreadableData():
                raise result
            case OSError():
                if result.errno in NO_ROOM:
                    raise StorageFull("the disk is full")
                raise result
        assert isinstance(result, Died), "it gives nothing else"
        _logger.warning("the reader of a file has died", extra={"file": name, "exit_code": result.exit_code})
        if result.exit_code in _KILLED:
            raise UnreadableData(
                f"{name!r} could not be read: its reader was killed {_TRIES} times, perhaps because the "
                "server's machine has too little memory; upload it again when there is more"
            )
        raise UnreadableData(
            f"{name!r} could not be read: it ended its reader with {result.exit_code}; perhaps it is damaged"
        )


def _read(
    path: Path, name: str, target: Path, max_bytes: int, memory_bytes: int
) -> Table | UnreadableData | OSError:
    """What the process runs."""
    ingest = import_module("gradstream_server.data.ingest").ingest
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, hard))
    try:
        table: Table = ingest(path, name, target, max_bytes)
        return table
    except MemoryError:
        return UnreadableData(f"to read it takes more than {memory_bytes >> 20} MiB of memory at once")
    except (UnreadableData, OSError) as error:
        return error
