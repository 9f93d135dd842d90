"""Jobs as rows of their table, and back."""

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Row

from gradstream_server.jobs.errors import Fault, FaultReason
from gradstream_server.jobs.events import Checkpointed
from gradstream_server.jobs.job import Job, JobState

_FIXED = {
    "id",
    "owner",
    "request_id",
    "spec",
    "create_time",
    "data_digest",
    "validation_digest",
    "priority",
    "cancel_on_disconnect",
    "group",
    "model_name",
}
CHANGING = [field.name for field in fields(Job) if field.name not in _FIXED]
"""Columns that events change."""
_TIMES = ("create_time", "update_time", "start_time", "end_time", "attempt_time")


def to_row(job: Job) -> dict[str, Any]:
    """All columns of a new job."""
    return {name: getattr(job, name) for name in _FIXED} | to_changes(job)


def to_changes(job: Job) -> dict[str, Any]:
    """The columns of a job that events change."""
    row = {name: getattr(job, name) for name in CHANGING}
    if job.fault:
        fault = job.fault
        row["fault"] = json.dumps(
            {"reason": fault.reason, "message": fault.message, "facts": dict(fault.facts)}
        )
    row["checkpoints"] = json.dumps([asdict(kept) for kept in job.checkpoints])
    return row


def from_row(row: Row[Any]) -> Job:
    """The job of a row."""
    values = row._asdict()
    del values["number"]
    values["state"] = JobState(values["state"])
    for name in _TIMES:
        # SQLite keeps no time zones.
        time = cast(datetime | None, values[name])
        values[name] = time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
    if values["fault"]:
        fault = json.loads(values["fault"])
        values["fault"] = Fault(FaultReason(fault["reason"]), fault["message"], fault["facts"])
    values["checkpoints"] = tuple(Checkpointed(**kept) for kept in json.loads(values["checkpoints"]))
    return Job(**values)
