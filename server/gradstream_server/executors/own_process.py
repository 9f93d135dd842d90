"""Runs a function in a process of its own, for what is rare, or too hostile for a worker that others need.

The process is forked from the fork server, so torch is there already. It ends with its function, and at once
when nobody waits for its result any more.
"""

import asyncio
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess


@dataclass(frozen=True)
class Died:
    """It ended without a word."""

    exit_code: int | None
    """Below 0 for the signal that killed it; None when that was before it began."""


async def in_own_process(function: Callable[..., object], *args: object, name: str) -> object:
    """What a function returns, or `Died`.

    Args:
        function: of a module that the main process may import. It, its arguments and its result are
            picklable. What it raises is not passed on: it has to return its errors.
        name: of the process, for people who look.
    """
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, function, args), name=name, daemon=True)
    starting = asyncio.ensure_future(asyncio.to_thread(process.start))
    result: object = Died(None)
    try:
        await asyncio.shield(starting)
        theirs.close()
        result = await _receive(ours)
    except BrokenPipeError:
        pass  # It was killed before it had read what to do.
    finally:
        # Nobody waits for its result any more, or it is done.
        await asyncio.shield(_end(process, starting))
        ours.close()
        theirs.close()
    return Died(process.exitcode) if isinstance(result, Died) else result


async def _end(process: BaseProcess, starting: "asyncio.Future[None]") -> None:
    await asyncio.gather(starting, return_exceptions=True)
    if process.pid is not None:
        process.kill()
        await asyncio.to_thread(process.join)


async def _receive(pipe: Connection) -> object:
    """What the process says at its end."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    try:
        result: object = await asyncio.to_thread(pipe.recv)
    except (EOFError, OSError):
        # Also in the middle of what it says.
        return Died(None)
    return result


def _serve(pipe: Connection, function: Callable[..., object], args: tuple[object, ...]) -> None:
    """What the process runs."""
    # A crash costs an error message, not gigabytes of disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send(function(*args))
