"""Jobs of the domain as messages of the contract."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gradstream.v1 import event_pb2, job_pb2
from gradstream_server.jobs.errors import InvalidRequest, Violation
from gradstream_server.jobs.job import Job, JobState
from gradstream_server.rpc import specs
from gradstream_server.rpc.codec import timestamp
from gradstream_server.rpc.status import fault_status


def to_message(job: Job, jobs_ahead: int | None = None) -> job_pb2.Job:
    """A job, as it stands."""
    message = job_pb2.Job(
        id=job.id,
        state=event_pb2.JobState.Value(f"JOB_STATE_{job.state}"),
        request_id=job.request_id,
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time) if job.start_time else None,
        end_time=timestamp(job.end_time) if job.end_time else None,
        attempt=job.attempt,
        last_sequence=job.last_sequence,
        epochs_done=job.epochs_done,
        last_loss=job.last_loss,
        last_validation_loss=job.last_validation_loss,
        jobs_ahead=jobs_ahead,
        error=fault_status(job.fault) if job.fault else None,
        priority=job.priority,
        cancel_on_disconnect=job.cancel_on_disconnect,
        restarts=job.restarts,
        checkpoint_epoch=job.checkpoints[0].epoch if job.checkpoints else 0,
        group=job.group,
        model_name=job.model_name,
        model=(
            event_pb2.ModelVersion(name=job.left_as, version=job.model_version) if job.model_version else None
        ),
    )
    message.spec.ParseFromString(job.spec)
    return message


def to_listed(job: Job, jobs_ahead: int | None = None) -> job_pb2.Job:
    """A job for a list: without what may be large."""
    message = to_message(job, jobs_ahead)
    specs.shorten(message.spec)
    return message


def to_heartbeat(job: Job, jobs_ahead: int | None = None) -> event_pb2.TrainingEvent:
    """What an idle stream carries."""
    heartbeat = event_pb2.Heartbeat(
        state=event_pb2.JobState.Value(f"JOB_STATE_{job.state}"), jobs_ahead=jobs_ahead or 0
    )
    return event_pb2.TrainingEvent(
        job=job.id,
        sequence=job.last_sequence,
        attempt=job.attempt,
        time=timestamp(datetime.now(UTC)),
        heartbeat=heartbeat,
    )


def states(values: Sequence[event_pb2.JobState.ValueType]) -> list[JobState]:
    """The states that a list asks for.

    Raises:
        InvalidRequest: no such state.
    """
    names = event_pb2.JobState.keys()
    found = []
    for i, value in enumerate(values):
        name = event_pb2.JobState.Name(value) if value in event_pb2.JobState.values() else ""
        if not name or value == event_pb2.JOB_STATE_UNSPECIFIED:
            allowed = ", ".join(names[1:])
            raise InvalidRequest(
                [Violation(f"states[{i}]", f"is {name or value}; it has to be one of {allowed}")]
            )
        found.append(JobState(name.removeprefix("JOB_STATE_")))
    return found
