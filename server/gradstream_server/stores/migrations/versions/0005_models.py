"""The models that jobs have left."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_JOBS = sa.table(
    "jobs",
    sa.column("number", sa.Integer),
    sa.column("id", sa.String),
    sa.column("spec", sa.LargeBinary),
    sa.column("end_time", sa.DateTime(timezone=True)),
    sa.column("last_sequence", sa.BigInteger),
    sa.column("model_version", sa.Integer),
)
_EVENTS = sa.table(
    "events",
    sa.column("job", sa.String),
    sa.column("sequence", sa.BigInteger),
    sa.column("body", sa.LargeBinary),
)
_MODELS = sa.table(
    "models",
    sa.column("name", sa.String),
    sa.column("version", sa.Integer),
    sa.column("job", sa.String),
    sa.column("create_time", sa.DateTime(timezone=True)),
    sa.column("spec", sa.LargeBinary),
    sa.column("outcome", sa.LargeBinary),
)
_FIRST_EVENTS = 16
"""Among which `started` is, unless a job was interrupted many times before."""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("model_name", sa.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("model_version", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "models",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("job", sa.String(32), nullable=False, unique=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("name", "version"),
    )
    op.create_table(
        "deleted_models",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
    _fill()


def _fill() -> None:
    """A model for each job that has ended with a result, in the order in which they were created."""
    from gradstream.v1 import event_pb2

    connection = op.get_bind()
    number = 0
    # One at a time: all results at once may be more than the memory holds.
    while job := connection.execute(
        sa.select(_JOBS)
        .where(_JOBS.c.number > number, _JOBS.c.end_time.is_not(None))
        .order_by(_JOBS.c.number)
        .limit(1)
    ).one_or_none():
        number = job.number
        log = sa.select(_EVENTS.c.body).where(_EVENTS.c.job == job.id)
        body = connection.scalar(log.where(_EVENTS.c.sequence == job.last_sequence))
        end = event_pb2.TrainingEvent.FromString(body or b"")
        if end.HasField("completed"):
            result = end.completed
        elif end.state_change.HasField("result_so_far"):
            result = end.state_change.result_so_far
        else:
            continue
        if not result.HasField("scaling"):
            # That of standardized features was told at the beginning alone.
            for first in connection.scalars(log.where(_EVENTS.c.sequence <= _FIRST_EVENTS)):
                event = event_pb2.TrainingEvent.FromString(first)
                if event.started.HasField("scaling"):
                    result.scaling.CopyFrom(event.started.scaling)
        for large in ("predictions", "parameters", "unscaled_parameters"):
            result.ClearField(large)
        connection.execute(
            sa.insert(_MODELS).values(
                name=job.id,
                version=1,
                job=job.id,
                create_time=job.end_time,
                spec=job.spec,
                outcome=result.SerializeToString(),
            )
        )
        connection.execute(sa.update(_JOBS).where(_JOBS.c.number == number).values(model_version=1))
