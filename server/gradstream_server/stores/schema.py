"""The tables. A change here needs a migration beside it, in `migrations/versions`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True, comment="order of creation"),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", String(128), nullable=False, comment="empty for nobody's"),
    Column("request_id", String(36), nullable=False),
    Column("spec", LargeBinary, nullable=False, comment="gradstream.v1.Spec, resolved"),
    Column("state", String(16), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("start_time", DateTime(timezone=True)),
    Column("end_time", DateTime(timezone=True)),
    Column("attempt", Integer, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("epochs_done", BigInteger, nullable=False),
    Column("last_loss", Double),
    Column("last_validation_loss", Double),
    Column("fault", Text, comment="JSON: reason, message, facts"),
    Column("data_digest", String(64), nullable=False, comment="empty for the reference experiment"),
    Column("validation_digest", String(64), nullable=False, comment="of a data set; empty for none"),
    Column("priority", Integer, nullable=False),
    Column("cancel_on_disconnect", Boolean, nullable=False),
    Column("update_time", DateTime(timezone=True)),
    Column("attempt_time", DateTime(timezone=True)),
    Column("restarts", Integer, nullable=False),
    Column("earlier_attempts_s", Double, nullable=False),
    Column("has_started", Boolean, nullable=False),
    Column("checkpoints", Text, nullable=False, comment="JSON: [{epoch, name}], newest first"),
    Column("group", String(64), nullable=False, comment="empty for none"),
    Column("model_name", String(64), nullable=False, comment="asked for; empty for the job's own"),
    Column("model_version", Integer, nullable=False, comment="of the model it has left; 0 for none"),
    Index("jobs_by_state", "state", "number"),
    Index("jobs_by_data", "data_digest"),
    Index("jobs_by_end", "end_time"),
    Index("jobs_by_group", "group", "number"),
    Index("jobs_by_owner", "owner", "number"),
    UniqueConstraint("owner", "request_id", name="jobs_by_request"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("job", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False, comment="gradstream.v1.TrainingEvent"),
)

MODELS = Table(
    "models",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True, comment="order of creation"),
    Column("name", String(193), nullable=False, comment="OWNER/NAME; nobody's without a slash"),
    Column("version", Integer, nullable=False),
    # No foreign key: a model outlives its job.
    Column("job", String(32), nullable=False, unique=True),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("spec", LargeBinary, nullable=False, comment="gradstream.v1.Spec, resolved"),
    Column("outcome", LargeBinary, nullable=False, comment="gradstream.v1.Completed, without what is large"),
    UniqueConstraint("name", "version"),
)

DELETED_MODELS = Table(
    "deleted_models",
    METADATA,
    Column("name", String(193), primary_key=True),
    Column("version", Integer, nullable=False, comment="the highest that was deleted: it is not given again"),
)

HEAD = "0006"
"""The revision that these tables are. A database at this revision needs no migration, and so no Alembic."""
