"""Jobs leave models: by which name and version, whoever ends when."""

import pytest
from tests.unit.jobs.in_process import HeldStore, completed
from tests.unit.jobs.serving import Serving, serving

from gradstream_server.jobs.errors import InvalidRequest, RequestIdReused
from gradstream_server.jobs.events import StateChange
from gradstream_server.jobs.job import Job, JobState


async def model_of(its: Serving, job: Job) -> tuple[str, int]:
    """The model that a job has left, by what its last event says; the job and the store say the same."""
    end = await its.last_event(job.id)
    result = end.completed if end.HasField("completed") else end.state_change.result_so_far
    told = result.model.name, result.model.version
    now = await its.service.get(job.id)
    assert (now.left_as, now.model_version) == told
    assert its.store.last_version(told[0]) >= told[1]
    return told


async def test_a_model_is_called_as_asked_for_or_as_its_job(store: HeldStore) -> None:
    """A user would not find the model of a job."""
    async with serving(store) as its:
        unnamed, named = await its.create(), await its.create(model_name="houses")
        await its.end(unnamed, named)
        assert await model_of(its, unnamed) == (unnamed.id, 1)
        assert await model_of(its, named) == ("houses", 1)


async def test_jobs_of_a_name_that_end_at_once(store: HeldStore) -> None:
    """One of them would lose its model, or its end."""
    async with serving(store, slots=4) as its:
        names = ["houses", "houses", "Houses", "houses"]
        jobs = [await its.running(model_name=name, epochs=2) for name in names]
        store.hold("append")
        its.executor.let_go(*(job.id for job in jobs))
        for job in jobs:
            await its.executor.has_ended(job.id)
        await store.waits("append")
        store.release()
        assert await its.end(*jobs) == ["SUCCEEDED"] * 4
        versions = [await model_of(its, job) for job in jobs]
        assert sorted(versions) == [("Houses", 1), *(("houses", version) for version in (1, 2, 3))]


async def test_a_version_that_another_server_has_taken_meanwhile(store: HeldStore) -> None:
    """A job that has trained for hours would fail at its end."""
    async with serving(store) as its:
        job = await its.running(model_name="houses")
        real, asked = store.last_version, []

        def outdated(name: str) -> int:
            asked.append(name)
            return real(name) - (len(asked) == 1)

        first = await its.create(model_name="houses")
        await its.end(job)
        store.last_version = outdated  # type: ignore[method-assign]
        assert await its.end(first) == ["SUCCEEDED"]
        assert asked == ["houses", "houses"]
        assert await model_of(its, first) == ("houses", 2)


async def test_a_model_that_is_called_as_another_job(store: HeldStore) -> None:
    """Whoever knows a job's name could let its end fail."""
    async with serving(store, slots=2) as its:
        victim = await its.running()
        other = await its.create(model_name=victim.id)
        await its.end(other)
        assert await model_of(its, other) == (victim.id, 1)
        assert await its.end(victim) == ["SUCCEEDED"]
        assert await model_of(its, victim) == (victim.id, 2)


async def test_what_was_not_trained_to_its_end_is_no_version_of_a_name(store: HeldStore) -> None:
    """Whoever asks for the latest model would be given one that somebody gave up."""
    async with serving(store) as its:
        cancelled = await its.running(model_name="houses", epochs=1000)
        await its.service.cancel(cancelled.id)
        await its.end(cancelled)
        assert await model_of(its, cancelled) == (cancelled.id, 1)
        its.executor.fails.append(StateChange("FAILED", result_so_far=completed(3)))
        failed = await its.create(model_name="houses")
        assert await its.end(failed) == ["FAILED"]
        assert await model_of(its, failed) == (failed.id, 1)
        good = await its.create(model_name="houses")
        await its.end(good)
        assert await model_of(its, good) == ("houses", 1)


async def test_a_job_without_a_result_leaves_no_model(store: HeldStore) -> None:
    """A model that cannot predict would be served."""
    async with serving(store) as its:
        running, queued = await its.running(), await its.create(model_name="houses")
        await its.service.cancel(queued.id)
        now = await its.service.get(queued.id)
        assert (now.state, now.model_version) == (JobState.CANCELLED, 0)
        assert store.last_version("houses") == store.last_version(queued.id) == 0
        await its.end(running)


@pytest.mark.parametrize("name", ["n" * 65, "a b", "a:1", "ä", "a/b", "\n", "a\0"])
async def test_names_that_no_model_can_have(store: HeldStore, name: str) -> None:
    """It would be found by no command, or lie in a strange place on the disk of who downloads it."""
    async with serving(store) as its:
        with pytest.raises(InvalidRequest) as refused:
            await its.create(model_name=name)
        assert [violation.field for violation in refused.value.violations] == ["model_name"]
        assert store.page([], None, 10) == ([], None)


async def test_the_name_belongs_to_the_request(store: HeldStore) -> None:
    """A user would get a model under another name than the one asked for."""
    async with serving(store) as its:
        job = await its.create("d9c6f0f8-6c1f-4b3d-9b57-3c0b0f4a5c11", model_name="a")
        with pytest.raises(RequestIdReused):
            await its.create(job.request_id, model_name="b")
        assert (await its.create(job.request_id, model_name="a")).id == job.id


async def test_a_job_that_is_deleted_keeps_its_model_first(store: HeldStore) -> None:
    """A crash between the two would lose it."""
    async with serving(store) as its:
        job = await its.create()
        await its.end(job)

        def keep(name: str) -> None:
            asked.append((name, store.get(name) is not None))

        asked: list[tuple[str, bool]] = []
        its.models.keep = keep  # type: ignore[method-assign]
        await its.service.delete(job.id)
        assert asked == [(job.id, True)]
        assert store.get(job.id) is None
