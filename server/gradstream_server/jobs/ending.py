"""How a job ends that has not succeeded: with what it has reached, and at any rate."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

from gradstream_server.jobs.checkpoint import CheckpointStore, CheckpointUnusable
from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Completed, StateChange
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.store import StorageFull

_logger = logging.getLogger(__name__)

_BY_ITS_OWN_NUMBERS = (FaultReason.DIVERGED, FaultReason.PREDICTIONS_NOT_FINITE)
_LOST = "none of its checkpoints can be used, so what it had reached is lost"
_NOT_KEPT = "there was no room to keep what it had reached"


def leaves_result(fault: Fault) -> bool:
    """Whether what a job has reached is of use after a fault."""
    return fault.reason not in _BY_ITS_OWN_NUMBERS


async def result_so_far(checkpoints: CheckpointStore, job: str, names: Iterable[str]) -> Completed | None:
    """What a job has reached by the first of some checkpoints that can be used."""
    for name in names:
        try:
            return (await asyncio.to_thread(checkpoints.read, job, name)).result
        except CheckpointUnusable as error:
            _logger.warning("a checkpoint cannot be used", extra={"job": job, "because": str(error)})
    return None


def why_cancelled(job: Job, result: Completed | None, *reasons: str) -> str:
    """Why a job was cancelled, and why it leaves nothing where something could be expected."""
    return "; ".join(filter(None, (*reasons, _LOST if job.checkpoint_names and result is None else "")))


def cancelled(state: JobState | None, reason: str, result: Completed | None) -> list[StateChange]:
    """What ends a job that is to be cancelled; its log may not say so yet."""
    end = StateChange(JobState.CANCELLED, reason, result_so_far=result)
    return [StateChange(JobState.CANCELLING), end] if state is JobState.RUNNING else [end]


async def keep(log: EventLog, job: str, *changes: StateChange) -> Job:
    """Store what becomes of a job; on a full disk without its result, if that is too large for it.

    Raises:
        IllegalTransition: something else has become of it.
        StorageFull: there is no room even so.
    """
    *before, last = changes
    try:
        return await log.append(job, *changes)
    except StorageFull:
        if last.result_so_far is None:
            raise
    return await log.append(job, *before, _without_result(last))


def _without_result(change: StateChange) -> StateChange:
    reason = "; ".join(filter(None, (change.reason, _NOT_KEPT)))
    fault = change.fault and replace(change.fault, message=f"{change.fault.message}; {_NOT_KEPT}")
    return replace(change, reason=reason, fault=fault, result_so_far=None)
