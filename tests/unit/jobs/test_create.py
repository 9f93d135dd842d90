"""Creating: a request makes one job however often it comes, and a job that is accepted is never lost."""

import asyncio
import uuid

import pytest
from tests.domain import table
from tests.unit.jobs.in_process import HeldStore, eventually
from tests.unit.jobs.serving import serving

from gradstream_server.jobs.errors import InvalidRequest, QueueFull, RequestIdReused
from gradstream_server.jobs.job import JobState
from gradstream_server.jobs.spec import SpecRequest


def new_id() -> str:
    return str(uuid.uuid4())


async def test_a_request_that_comes_again_is_the_same_job(store: HeldStore) -> None:
    """A client that repeats a request after a broken connection would pay for two trainings."""
    async with serving(store) as its:
        request_id = new_id()
        job = await its.create(request_id)
        assert (await its.create(request_id)).id == job.id
        assert (await its.create(request_id.upper())).id == job.id
        await its.end(job)
        again = await its.create(request_id)
        assert (again.id, again.state) == (job.id, JobState.SUCCEEDED)
        assert its.executor.begun == [job.id]


async def test_two_at_once_are_one_job(store: HeldStore) -> None:
    """A client that hedges its requests would start two jobs."""
    async with serving(store, slots=4) as its:
        request_id = new_id()
        jobs = await asyncio.gather(*(its.create(request_id, data=table()) for _ in range(4)))
        assert len({job.id for job in jobs}) == 1
        assert len(store.page([], None, 100)[0]) == 1
        # The others began before it was known that there is one already.
        for begun in set(its.executor.begun) - {jobs[0].id}:
            await its.executor.has_ended(begun)
        assert its.service.load[2] == 0


async def test_a_request_that_comes_again_while_the_queue_is_full(store: HeldStore) -> None:
    """A client whose job was accepted would be told that it was not."""
    async with serving(store, max_queued=1) as its:
        request_id = new_id()
        await its.running()
        job = await its.create(request_id)
        assert (await its.create(request_id)).id == job.id
        with pytest.raises(RequestIdReused):
            await its.create(request_id, epochs=3)
        with pytest.raises(QueueFull):
            await its.create(new_id())


async def test_a_request_that_comes_again_long_after(store: HeldStore) -> None:
    """The worker that begins before it is known that there is such a job would be lost to the others."""
    async with serving(store) as its:
        request_id = new_id()
        job = await its.create(request_id)
        await its.end(job)
        log = store.events(job.id, 0, 1 << 20)
        await eventually(lambda: its.service.load[1] == 0)
        again = await its.create(request_id)
        assert (again.id, again.state) == (job.id, JobState.SUCCEEDED)
        _, in_vain = its.executor.begun
        await its.executor.has_ended(in_vain)
        await eventually(lambda: its.service.load[1] == 0)
        assert store.events(job.id, 0, 1 << 20) == log
        assert await its.end(await its.create()) == ["SUCCEEDED"]


async def test_an_id_used_again_for_another_spec_is_refused(store: HeldStore) -> None:
    """A user would get the result of another training than the one asked for."""
    async with serving(store) as its:
        request_id = new_id()
        job = await its.create(request_id, data=table())
        kept = set(its.data.kept)
        with pytest.raises(RequestIdReused, match=f"{request_id} has started job {job.id}"):
            await its.create(request_id, data=table(), seed=1)
        with pytest.raises(RequestIdReused):
            await its.create(request_id, data=table(rows=7))
        assert set(its.data.kept) == kept
        assert len(store.page([], None, 100)[0]) == 1


async def test_an_id_used_again_for_another_group_is_refused(store: HeldStore) -> None:
    """A sweep would take the run of another one for its own."""
    async with serving(store) as its:
        request_id = new_id()
        job = await its.create(request_id, group="a")
        assert (await its.create(request_id, group="a")).id == job.id
        for group in ("", "b"):
            with pytest.raises(RequestIdReused):
                await its.create(request_id, group=group)


@pytest.mark.parametrize("group", ["", "a", "A-1_b.c", "x" * 64, "..", "-"])
async def test_names_of_groups(store: HeldStore, group: str) -> None:
    """Jobs that belong together could not be found together."""
    async with serving(store) as its:
        job, other = await its.create(group=group), await its.create(group="other")
        assert job.group == group
        found, _ = await its.service.page([], None, 10, group)
        assert [each.id for each in found] == ([job.id] if group else [other.id, job.id])


@pytest.mark.parametrize("group", ["x" * 65, " ", "a b", "a/b", "ä", "a\n", "a\0", "*", "%"])
async def test_what_is_no_name_of_a_group_is_refused(store: HeldStore, group: str) -> None:
    """A user would be given a group that no command line can ask for."""
    async with serving(store) as its:
        for call in (its.create(group=group), its.service.page([], None, 10, group)):
            with pytest.raises(InvalidRequest, match=r"group: .*at most 64 letters") as raised:
                await call
            assert [each.field for each in raised.value.violations] == ["group"]
        assert store.page([], None, 10)[0] == []


@pytest.mark.parametrize(
    "request_id",
    ["7", "x" * 36, "24c110d6-eaf0-11f1-90a8-02fc00000001", "00000000-0000-0000-0000-000000000000"],
)
async def test_an_id_that_is_no_uuid4_is_refused(store: HeldStore, request_id: str) -> None:
    """Two users who count their requests would get each other's jobs."""
    async with serving(store) as its:
        with pytest.raises(InvalidRequest) as raised:
            await its.create(request_id)
        assert [violation.field for violation in raised.value.violations] == ["request_id"]


async def test_a_caller_who_leaves_does_not_leave_half_a_job(store: HeldStore) -> None:
    """A user would find a job that is QUEUED for ever, and get it back for each repeated request."""
    async with serving(store) as its:
        request_id = new_id()
        store.hold()
        caller = asyncio.create_task(its.create(request_id))
        await store.waits("create")
        caller.cancel()
        store.release()
        job = await its.create(request_id)
        assert await its.end(job) == ["SUCCEEDED"]
        assert caller.cancelled()


async def test_checking_a_spec_keeps_nothing(store: HeldStore) -> None:
    """A user who only asks would start a job or leave data behind."""
    async with serving(store) as its:
        job = await its.create(data=table())
        kept = set(its.data.kept)
        spec, estimate = await its.service.validate(SpecRequest("autograd", data=table(rows=50)))
        assert (spec.data.rows, spec.device) == (50, "cpu")
        assert estimate.memory_bytes > 50 * 3 * 8
        assert estimate.duration_s > 0
        assert set(its.data.kept) == kept
        assert [found.id for found in store.page([], None, 100)[0]] == [job.id]
