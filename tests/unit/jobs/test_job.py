"""A job is the fold of its log: every client that reads the log has to come to the same state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from tests.domain import new_job

from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import (
    Checkpointed,
    Completed,
    EpochUpdates,
    Event,
    Receipt,
    Started,
    StateChange,
    Warned,
    WarningReason,
)
from gradstream_server.jobs.job import ENDED, IllegalTransition, Job, JobState, advance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = Started(rows=4, features=1, targets=1, parameters={})
COMPLETED = Completed(20, 0.5, {}, Receipt("", "", "cpu", 1, {}), training_s=1.0)
UPDATES = EpochUpdates(np.array([1, 2]), np.array([30.0, 20.0]), {})

LEGAL = {
    (None, JobState.QUEUED),
    (JobState.QUEUED, JobState.RUNNING),
    (JobState.QUEUED, JobState.PAUSED),
    (JobState.QUEUED, JobState.CANCELLED),
    (JobState.QUEUED, JobState.FAILED),
    (JobState.RUNNING, JobState.RUNNING),
    (JobState.RUNNING, JobState.QUEUED),
    (JobState.RUNNING, JobState.PAUSED),
    (JobState.PAUSED, JobState.QUEUED),
    (JobState.PAUSED, JobState.CANCELLED),
    (JobState.RUNNING, JobState.CANCELLING),
    (JobState.RUNNING, JobState.SUCCEEDED),
    (JobState.RUNNING, JobState.FAILED),
    (JobState.CANCELLING, JobState.CANCELLED),
    (JobState.CANCELLING, JobState.SUCCEEDED),
    (JobState.CANCELLING, JobState.FAILED),
}


def in_state(state: JobState | None) -> Job:
    return replace(new_job(), state=state, last_sequence=7, attempt=1, start_time=NOW)


def change_to(state: JobState) -> Event:
    return COMPLETED if state is JobState.SUCCEEDED else StateChange(state)


@pytest.mark.parametrize(("before", "after"), list(product([None, *JobState], JobState)))
def test_transitions(before: JobState | None, after: JobState) -> None:
    """A user would see a job that has ended come back to life, or one that never ends."""
    job = in_state(before)
    if (before, after) in LEGAL:
        assert advance(job, change_to(after), NOW).state is after
    else:
        with pytest.raises(IllegalTransition, match=f"cannot go from {before} to {after}"):
            advance(job, change_to(after), NOW)


@pytest.mark.parametrize("event", [STARTED, UPDATES], ids=["started", "updates"])
@pytest.mark.parametrize("state", [None, *JobState])
def test_only_a_job_that_runs_is_trained(state: JobState | None, event: Event) -> None:
    """A user would find epochs after the end of the log."""
    if state in (JobState.RUNNING, JobState.CANCELLING):
        assert advance(in_state(state), event, NOW).state is state
    else:
        with pytest.raises(IllegalTransition):
            advance(in_state(state), event, NOW)


def test_each_event_is_one_further_in_the_log() -> None:
    """A client that re-attaches by sequence would miss an event or see one twice."""
    for event in (STARTED, UPDATES, COMPLETED, StateChange(JobState.CANCELLING)):
        assert advance(in_state(JobState.RUNNING), event, NOW).last_sequence == 8


def test_progress_is_that_of_the_last_epoch_reported() -> None:
    """A user who lists jobs would see how far they were some time ago."""
    job = advance(in_state(JobState.RUNNING), UPDATES, NOW)
    assert (job.epochs_done, job.last_loss) == (2, 20.0)


def test_running_again_is_another_attempt_from_the_first_start() -> None:
    """A user could not tell a repeated run from the first."""
    job = advance(new_job(), StateChange(JobState.QUEUED), NOW)
    assert (job.attempt, job.start_time) == (0, None)
    job = advance(job, StateChange(JobState.RUNNING), NOW)
    assert (job.attempt, job.start_time) == (1, NOW)
    later = NOW + timedelta(hours=1)
    again = advance(replace(job, state=JobState.QUEUED), StateChange(JobState.RUNNING), later)
    assert (again.attempt, again.start_time) == (2, NOW)


def test_an_attempt_after_the_death_of_a_worker_is_counted() -> None:
    """A job that kills its worker every time would be started for ever."""
    job = advance(in_state(JobState.RUNNING), StateChange(JobState.RUNNING), NOW)
    assert (job.attempt, job.restarts) == (2, 1)
    job = advance(replace(job, state=JobState.QUEUED), StateChange(JobState.RUNNING), NOW)
    assert (job.attempt, job.restarts) == (3, 1)


def test_the_time_that_attempts_have_run_adds_up() -> None:
    """A job would get its whole time again with every attempt, or pay for the time it was paused."""
    job = new_job()
    for seconds, event in [
        (0, StateChange(JobState.QUEUED)),
        (10, StateChange(JobState.RUNNING)),
        (12, UPDATES),
        (50, StateChange(JobState.RUNNING)),  # Its worker died after the epochs, and nobody knows when.
        (55, UPDATES),
        (55, StateChange(JobState.PAUSED)),
        (90, StateChange(JobState.QUEUED)),
        (95, StateChange(JobState.RUNNING)),
    ]:
        job = advance(job, event, NOW + timedelta(seconds=seconds))
    assert job.earlier_attempts_s == 2 + 5


def test_the_newest_checkpoints_are_kept() -> None:
    """A job would begin again from an old checkpoint, or have none left when the newest is damaged."""
    job = in_state(JobState.RUNNING)
    for epoch in (5, 9, 14):
        job = advance(job, Checkpointed(epoch, f"1-{epoch}"), NOW)
    assert [kept.epoch for kept in job.checkpoints] == [14, 9]
    assert advance(job, StateChange(JobState.PAUSED), NOW).checkpoints == job.checkpoints


def test_the_end_says_when_and_why() -> None:
    """A user would not learn why the job has failed."""
    fault = Fault(FaultReason.DIVERGED, "loss is not finite", {"epoch": "3"})
    job = advance(in_state(JobState.RUNNING), StateChange(JobState.FAILED, fault=fault), NOW)
    assert (job.end_time, job.fault, job.ended) == (NOW, fault, True)
    assert advance(in_state(JobState.RUNNING), COMPLETED, NOW).fault is None
    assert {state for state in JobState if in_state(state).ended} == ENDED


def test_a_checkpoint_that_cannot_be_used_is_not_kept() -> None:
    """The next attempt would try it again, and a good one be removed to make place for it."""
    job = in_state(JobState.RUNNING)
    damaged = Warned(WarningReason.CHECKPOINT_DAMAGED, "1-2 is damaged", checkpoint="1-2")
    for event in (Checkpointed(1, "1-1"), Checkpointed(2, "1-2"), damaged):
        job = advance(job, event, NOW)
    assert job.checkpoint_names == ("1-1",)
    assert advance(job, Checkpointed(3, "2-3"), NOW).checkpoint_names == ("2-3", "1-1")
