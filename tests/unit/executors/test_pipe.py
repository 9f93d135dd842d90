"""The pipe to a worker: messages whole and in order, and nobody waits for a worker that does not."""

import asyncio
import os
import pickle
import struct
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from gradstream_server.executors.pipe import WorkerPipe

LARGE = bytes(range(256)) * 40_000  # 10 MB: many times what the system holds for a pipe.


@pytest.fixture
def ends() -> Iterator[tuple[WorkerPipe, Connection]]:
    pipe, worker = WorkerPipe.pair()
    yield pipe, worker
    pipe.close()
    worker.close()


async def listen(pipe: WorkerPipe, count: int) -> list[Any]:
    """So many messages from a worker."""
    received: list[Any] = []
    done = asyncio.Event()

    def receive() -> None:
        if (message := pipe.receive()) is not None:
            received.append(message)
        if len(received) == count:
            pipe.pause()
            done.set()

    pipe.listen(receive)
    await done.wait()
    return received


async def test_messages_arrive_as_they_were(ends: tuple[WorkerPipe, Connection]) -> None:
    """A job would be trained from, or end with, other numbers."""
    pipe, worker = ends
    messages = ["small", LARGE, 7, LARGE[::-1], "x" * 20_000, "last"]

    def echo() -> None:
        for _ in messages:
            worker.send(worker.recv())

    for message in messages:
        pipe.send(message)
    echoing = asyncio.create_task(asyncio.to_thread(echo))
    assert await listen(pipe, len(messages)) == messages
    await echoing


async def test_half_a_message_holds_up_nobody(ends: tuple[WorkerPipe, Connection]) -> None:
    """A worker that is suspended while it speaks would stop the server for every user."""
    pipe, worker = ends
    content = pickle.dumps("message")
    small = struct.pack("!i", len(content)) + content
    large = struct.pack("!iQ", -1, len(content)) + content  # As those of more than 2 GiB are framed.
    for frame in (small, large):
        for i in range(len(frame)):
            assert pipe.receive() is None
            os.write(worker.fileno(), frame[i : i + 1])
        assert pipe.receive() == "message"
    os.write(worker.fileno(), small[:-1])
    worker.close()
    assert pipe.receive() is None
    with pytest.raises(EOFError):
        pipe.receive()


async def test_what_nobody_takes_holds_up_nobody(ends: tuple[WorkerPipe, Connection]) -> None:
    """The same, for a worker that is suspended while it is told something."""
    pipe, worker = ends
    pipe.send(LARGE)
    pipe.send("stop")
    assert await asyncio.to_thread(worker.recv) == LARGE
    assert await asyncio.to_thread(worker.recv) == "stop"
    pipe.send("next")
    assert worker.recv() == "next", "at once, for there is room"


async def test_a_worker_that_has_ended_is_noticed(ends: tuple[WorkerPipe, Connection]) -> None:
    """Its job would wait for ever."""
    pipe, worker = ends
    pipe.send(LARGE)
    worker.close()
    await asyncio.sleep(0)  # Let it try to send the rest.
    pipe.send("to nobody")
    with pytest.raises((EOFError, OSError)):
        pipe.receive()
    pipe.close()
    pipe.send("to nobody")
