"""Leaving a run ends its call: a call left running would hold one of the server's watches for ever.

The server allows a single watch, so another one is granted only once the last has ended.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from tests.proxy import cutting_proxy
from tests.server import RunningServer, running_server

from gradstream import AsyncClient, Client, EpochUpdate, JobState, ResourceExhaustedError, Run

ENDLESS = 10_000_000


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("narrow") / "data", "--max-watches", "1") as server:
        yield server


def leave_by_break(run: Run) -> None:
    for event in run:
        if isinstance(event, EpochUpdate):
            break


def leave_by_closing(run: Run) -> None:
    run.close()


def leave_by_error(run: Run) -> None:
    with suppress(ZeroDivisionError), run:
        for _ in run.events():
            raise ZeroDivisionError


def leave_by_forgetting(run: Run) -> None:
    del run


def watch_when_there_is_room(client: Client, job: str) -> Run:
    """Watch as soon as the server has noticed that the last watch has ended."""
    while True:
        try:
            return client.watch(job)
        except ResourceExhaustedError:
            continue


@pytest.mark.timeout(30)
@pytest.mark.parametrize("leave", [leave_by_break, leave_by_closing, leave_by_error, leave_by_forgetting])
def test_leaving_ends_the_call(narrow: RunningServer, leave: Callable[[Run], None]) -> None:
    """A stream left open would keep its place: the next watch would wait until the test times out."""
    with Client(narrow.address) as client:
        job = client.create(trainer="autograd", epochs=ENDLESS, report_every=1000).id
        leave(watch_when_there_is_room(client, job))
        gc.collect()
        watch_when_there_is_room(client, job).close()
        assert client.cancel(job).state in (JobState.CANCELLING, JobState.CANCELLED)


@pytest.mark.timeout(30)
def test_leaving_ends_the_call_for_asyncio(narrow: RunningServer) -> None:
    async def main() -> None:
        async with AsyncClient(narrow.address) as client:
            job = (await client.create(trainer="autograd", epochs=ENDLESS, report_every=1000)).id
            for _ in range(3):
                while True:
                    try:
                        run = await client.watch(job)
                        break
                    except ResourceExhaustedError:
                        await asyncio.sleep(0)
                async for event in run:
                    if isinstance(event, EpochUpdate):
                        break
            assert (await client.cancel(job)).state in (JobState.CANCELLING, JobState.CANCELLED)

    asyncio.run(main())


def test_a_second_watch_is_refused_at_once(narrow: RunningServer) -> None:
    with Client(narrow.address) as client:
        job = client.create(trainer="autograd", epochs=ENDLESS, report_every=1000).id
        with watch_when_there_is_room(client, job), pytest.raises(ResourceExhaustedError) as caught:
            client.watch(job)
        assert caught.value.reason == "TOO_MANY_WATCHES"
        assert caught.value.retry_after is not None
        client.cancel(job)


def test_attaching_again_waits_for_the_broken_watch_to_end(narrow: RunningServer) -> None:
    limits = [2_000, 2_000, 2_000, 2_000]
    with cutting_proxy(narrow.address, limits) as proxy, Client(proxy.address) as client:
        run = watch_when_there_is_room(client, client.create(epochs=20_000).id)
        epochs = [event.epoch for event in run if isinstance(event, EpochUpdate)]
        assert epochs == list(range(1, 20_001))
        assert proxy.cuts >= 2


def test_a_run_is_for_one_thread_at_a_time(server: RunningServer) -> None:
    with Client(server.address) as client:
        ahead = client.train(trainer="autograd", epochs=ENDLESS, report_every=1000)
        refused: list[BaseException] = []
        reading, told = threading.Event(), threading.Event()

        def read() -> None:
            for event in ahead:
                if isinstance(event, EpochUpdate):
                    reading.set()

        def read_too() -> None:
            try:
                for _ in ahead.events():
                    pass
            except RuntimeError as error:
                refused.append(error)
                told.set()

        def read_and_note() -> None:
            try:
                read()
            except RuntimeError as error:
                refused.append(error)
                told.set()

        threads = [threading.Thread(target=read_and_note), threading.Thread(target=read_too)]
        threads[0].start()
        assert reading.wait(30)
        threads[1].start()
        assert told.wait(30)
        ahead.cancel()
        for thread in threads:
            thread.join(30)
        assert len(refused) == 1, "the other one has read on"
        assert "client.watch(run.job)" in str(refused[0])
