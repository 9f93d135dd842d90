"""What a job needs to go on after a crash, to be found by its data, and to be removed when it is old."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_JOBS = sa.table(
    "jobs",
    sa.column("number", sa.Integer),
    sa.column("id", sa.String),
    sa.column("spec", sa.LargeBinary),
    sa.column("create_time", sa.DateTime(timezone=True)),
    sa.column("start_time", sa.DateTime(timezone=True)),
    sa.column("end_time", sa.DateTime(timezone=True)),
    sa.column("attempt", sa.Integer),
    sa.column("last_sequence", sa.BigInteger),
    sa.column("data_digest", sa.String),
    sa.column("update_time", sa.DateTime(timezone=True)),
    sa.column("attempt_time", sa.DateTime(timezone=True)),
    sa.column("has_started", sa.Boolean),
)
_EVENTS = sa.table(
    "events",
    sa.column("job", sa.String),
    sa.column("sequence", sa.BigInteger),
    sa.column("body", sa.LargeBinary),
)
# QUEUED, RUNNING, and CANCELLING at most come before `started`.
_STARTED_BY = 4


def upgrade() -> None:
    # Added one by one, not by a new table in place of the old: to drop the old one would remove its events.
    for column in (
        sa.Column("data_digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("cancel_on_disconnect", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("update_time", sa.DateTime(timezone=True)),
        sa.Column("attempt_time", sa.DateTime(timezone=True)),
        sa.Column("restarts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("earlier_attempts_s", sa.Double, nullable=False, server_default="0"),
        sa.Column("has_started", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("checkpoints", sa.Text, nullable=False, server_default="[]"),
    ):
        op.add_column("jobs", column)
    _fill()
    op.create_index("jobs_by_data", "jobs", ["data_digest"])
    op.create_index("jobs_by_end", "jobs", ["end_time"])


def _fill() -> None:
    from gradstream.v1 import event_pb2, spec_pb2

    connection = op.get_bind()
    number = 0
    # One at a time: all specs at once may be more than the memory holds.
    while job := connection.execute(
        sa.select(_JOBS).where(_JOBS.c.number > number).order_by(_JOBS.c.number).limit(1)
    ).one_or_none():
        number = job.number
        first = sa.select(_EVENTS.c.body).where(_EVENTS.c.job == job.id, _EVENTS.c.sequence <= _STARTED_BY)
        started = job.attempt > 0 and any(
            event_pb2.TrainingEvent.FromString(body).HasField("started") for body in connection.scalars(first)
        )
        connection.execute(
            sa.update(_JOBS)
            .where(_JOBS.c.number == number)
            .values(
                data_digest=spec_pb2.Spec.FromString(job.spec).inline_data.digest,
                update_time=job.end_time or job.start_time or job.create_time,
                attempt_time=job.start_time,
                has_started=started,
            )
        )
