"""What a job is measured on, and the last loss of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("validation_digest", sa.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("last_validation_loss", sa.Double))
