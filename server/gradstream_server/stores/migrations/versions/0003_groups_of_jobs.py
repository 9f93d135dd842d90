"""The group of a job, and an index to find jobs by it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("group", sa.String(64), nullable=False, server_default=""))
    op.create_index("jobs_by_group", "jobs", ["group", "number"])
