import asyncio
from tests.unit.jobs.in_process import HeldStore
from tests.unit.jobs.serving import serving


async def test_a_job_that_is_paused_while_it_is_being_resumed_is_queued_once(store: HeldStore) -> None:
    """Two workers would train the same job at once, and its log would tell every epoch twice."""
    async with serving(store, slots=2) as its:
        first, second, job = await its.running(), await its.running(), await its.create()
        await its.service.pause(job.id)
        store.hold("append")
        resuming = asyncio.create_task(its.service.resume(job.id))
        await store.waits("append")
        pausing = asyncio.create_task(its.service.pause(job.id))
        await asyncio.sleep(0.1)
        store.release()
        await resuming, await pausing
        await its.service.resume(job.id)
        await its.end(first, second)
        await its.end(job)
        assert its.executor.begun.count(job.id) == 1
