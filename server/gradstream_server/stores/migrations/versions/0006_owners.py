"""Whose jobs and models are. What was there before is nobody's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NAMES = {"uq": "%(table_name)s_%(column_0_name)s_unique"}
"""What constraints are called that were made without a name."""


def upgrade() -> None:
    # SQLite drops no constraint: the table is made anew. `database.py` sees to it that events stay.
    with op.batch_alter_table("jobs", naming_convention=_NAMES) as jobs:
        jobs.add_column(sa.Column("owner", sa.String(128), nullable=False, server_default=""))
        jobs.drop_constraint("jobs_request_id_unique", type_="unique")
        jobs.create_unique_constraint("jobs_by_request", ["owner", "request_id"])
    op.create_index("jobs_by_owner", "jobs", ["owner", "number"])
    for table in ("models", "deleted_models"):
        with op.batch_alter_table(table) as names:
            names.alter_column("name", existing_type=sa.String(64), type_=sa.String(193))
